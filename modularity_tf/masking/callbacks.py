"""Callbacks for mask training: what the mask keeps, whether it is sound."""

import math
import os
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.masking import mask_sampling
from modularity_tf.network import seeds

Logs: TypeAlias = dict[str, Any] | None
# These move a logit by the learning rate at most.
_BOUNDED = (
    keras.optimizers.Adam,
    keras.optimizers.Nadam,
    keras.optimizers.Adamax,
    keras.optimizers.Lion,
)


class MaskSummary(keras.callbacks.Callback):
    """Writes what a `MaskedModel` keeps to TensorBoard after every epoch.

    Scalars `keep_fraction/PATH` and `keep_fraction/all`, the share of weights
    that the thresholded mask keeps, and histograms `keep_probability/PATH` of
    sigmoid(l). The step is the optimizer's.

    Args:
        log_dir: Str or path, the folder of the event files.

    Raises:
        ValueError: If `log_dir` is no path; when training begins, if the
            model is no `MaskedModel`.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), figure 7
    """

    def __init__(self, log_dir: str | os.PathLike) -> None:
        super().__init__()
        if not isinstance(log_dir, (str, os.PathLike)):
            raise ValueError(f"`log_dir` must be a path, got {log_dir!r}.")
        self._log_dir = str(log_dir)
        self._writer: Any = None

    def on_train_begin(self, logs: Logs = None) -> None:
        _check_masked(self)
        self._writer = tf.summary.create_file_writer(self._log_dir)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        step = int(ops.convert_to_numpy(self.model.optimizer.iterations))
        kept = total = 0
        with self._writer.as_default(step=step):
            for path, variable in self.model.mask_logits.items():
                logits = ops.convert_to_numpy(variable.value)
                mask = logits > 0
                kept, total = kept + mask.sum(), total + mask.size
                tf.summary.scalar(f"keep_fraction/{path}", np.mean(mask))
                tf.summary.histogram(
                    f"keep_probability/{path}", ops.sigmoid(logits)
                )
            tf.summary.scalar("keep_fraction/all", kept / total)

    def on_train_end(self, logs: Logs = None) -> None:
        self._writer.close()


class FitHealth(keras.callbacks.Callback):
    """Says what makes a mask worthless; every `MaskedModel.fit` has one.

    It warns (`UserWarning`) before the first step if the steps are too few to
    remove a weight, and at the end if the thresholded mask is far worse than
    the model on some of the training data.

    Args:
        warns: Whether advice is given as warnings, too.

    Attributes:
        advice: Dict from the kind of a fault to what to change, of the last
            training.
        some_rows: Function to some training data, `(inputs, targets)` and
            sample weights if there are any, or `None`; `fit` sets it. It is
            called after training: to look into a dataset that is shuffled
            would change its order.
        is_scheduled: Whether a callback decides on the learning rate; `fit`
            sets it.
    """

    FAR_WORSE = 0.5  # of what the loss gains by the masked weights

    def __init__(self, *, warns: bool = True) -> None:
        super().__init__()
        self.advice: dict[str, str] = {}
        self.some_rows: Callable[[], tuple[Any, ...] | None] = lambda: None
        self.is_scheduled = False
        self._warns, self._has_begun = warns, False

    def on_train_begin(self, logs: Logs = None) -> None:
        _check_masked(self)
        self.advice, self._has_begun = {}, False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if not self._has_begun:
            self._has_begun = True
            steps, epochs = map((self.params or {}).get, ("steps", "epochs"))
            if steps and epochs and not self.is_scheduled:
                self._check_steps(steps * (epochs - epoch))

    def on_train_end(self, logs: Logs = None) -> None:
        removes = any(
            ops.any(logits.value <= 0)
            for logits in self.model.mask_logits.values()
        )
        rows = self.some_rows() if removes else None
        if rows is None:
            return
        whole, mask, nothing = self._losses(*rows)
        if self._lost(whole, mask, nothing) > self.FAR_WORSE:
            start = self.model.initial_keep_probability
            self._say(
                "far_worse",
                f"The thresholded mask of {self.model.model.name!r} is far "
                f"worse than the model on the training data: loss {mask:.3g}, "
                f"the whole model {whole:.3g}, without these weights "
                f"{nothing:.3g}. Lower `alpha`={self.model.alpha:g}, start at "
                f"a higher `initial_keep_probability` than {start:g}, or let "
                "`find_weights` choose both.",
            )

    def _say(self, kind, text):
        self.advice[kind] = text
        if self._warns:
            warnings.warn(text, stacklevel=3)

    def _check_steps(self, steps):
        """Says so if the steps are too few to remove a weight."""
        optimizer = getattr(
            self.model.optimizer, "inner_optimizer", self.model.optimizer
        )
        rate = optimizer.get_config()["learning_rate"]  # a dict: a schedule
        if not isinstance(rate, float) or not isinstance(optimizer, _BOUNDED):
            return
        steps //= optimizer.gradient_accumulation_steps or 1
        smallest = min(
            float(ops.min(logits.value))
            for logits in self.model.mask_logits.values()
        )
        if rate > 0 and steps * rate < smallest:
            self._say(
                "few_steps",
                f"`fit` removes no weight: in {steps} steps with a learning "
                f"rate of {rate:g} a logit moves by {steps * rate:.3g} at "
                f"most, and the lowest is at {smallest:.3g}. It takes "
                f"{math.ceil(smallest / rate)} steps to remove the first, and "
                "many more until the mask is sound.",
            )

    def _losses(self, inputs, targets, sample_weight=None):
        """Returns the loss of the whole model, of the mask, and of nothing."""
        model, losses = self.model, []
        mask = {
            path: ops.convert_to_numpy(mask_sampling.threshold(logits.value))
            for path, logits in model.mask_logits.items()
        }
        for kept in (
            {path: np.ones_like(flags) for path, flags in mask.items()},
            mask,
            {path: np.zeros_like(flags) for path, flags in mask.items()},
        ):
            outputs = model.under(kept, inputs)
            loss = model.compute_loss(
                inputs, targets, outputs, sample_weight, training=False
            )
            losses.append(float(loss) - float(ops.sum(model.losses)))
        return losses

    def _lost(self, whole, mask, nothing):
        """Returns the share that a mask loses; NaN if nothing is no worse."""
        gain = nothing - whole
        return (mask - whole) / gain if gain > 0 else math.nan


class MaskHealth(FitHealth):
    """Watches whether mask training goes well, and says what to change.

    After every epoch it adds to the logs, so that `History`, TensorBoard and
    progress bars show them:

    - `kept`: share of weights that the thresholded mask keeps.
    - `undecided`: share with a keep probability in (0.05, 0.95). The paper
      finds nearly none at the end, and thresholding safe because of it.
    - `saturated`: share whose logit is so far from 0 (11.8) that no sample
      differs from the threshold, so that the task hardly moves it any more.
    - `dead_layers`: number of kernels of which nothing is kept.
    - `sampling_gap`: loss with sampled masks minus loss with the thresholded
      one, on `data`.

    At the end of training it warns (`UserWarning`) if the mask can't be
    trusted, with what to change. A kernel of which nothing is kept is no fault
    if the task needs none of it: with `data` it is told only if the loss on
    them has risen by more than a tenth of what all masked weights gain.
    `report()` returns the last epoch's numbers.

    Args:
        data: `(inputs, targets)` arrays of held-out data for `sampling_gap`,
            at least `smallest_batch` rows, or `None` to leave it out.
        warns: As in `FitHealth`.

    Attributes:
        advice: As in `FitHealth`; the kinds are "few_steps", "far_worse",
            "dead", "kept", "undecided", "saturated" and "gap".

    Raises:
        ValueError: If `data` is no such pair or has fewer rows; when training
            begins, if the model is no `MaskedModel`; if the loss on `data`
            is NaN.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2,
          footnote 1, and figure 7
    """

    UNDECIDED = mask_sampling.logit(0.95)
    LOST = 0.1  # of what the loss gains by the masked weights
    SATURATED = mask_sampling.logit(
        1 - 2.0 ** -(mask_sampling.BITS_PER_SAMPLE + 1)
    )

    def __init__(
        self, data: tuple[Any, Any] | None = None, *, warns: bool = True
    ) -> None:
        super().__init__(warns=warns)
        pair = isinstance(data, (tuple, list)) and len(data) == 2
        if data is not None and not pair:
            raise ValueError(
                "`data` must be a pair `(inputs, targets)` of arrays, got a "
                f"{type(data).__name__}."
            )
        self._data = data
        self._report: dict[str, float] = {}
        self._kept: dict[str, float] = {}

    def on_train_begin(self, logs: Logs = None) -> None:
        super().on_train_begin(logs)
        if self._data is None:
            return
        rows = keras.tree.flatten(self._data[0])[0].shape[0]
        if rows < self.model.smallest_batch:
            raise ValueError(
                f"`data` of MaskHealth has {rows} rows, fewer than the "
                f"{self.model.smallest_batch} masks of a batch."
            )

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        logits = {
            path: ops.convert_to_numpy(variable.value)
            for path, variable in self.model.mask_logits.items()
        }
        flat = np.concatenate([x.reshape(-1) for x in logits.values()])
        self._kept = {p: float(np.mean(x > 0)) for p, x in logits.items()}
        self._report = {
            "kept": float(np.mean(flat > 0)),
            "undecided": float(np.mean(np.abs(flat) < self.UNDECIDED)),
            "saturated": float(np.mean(np.abs(flat) > self.SATURATED)),
            "dead_layers": len(self._dead()),
        }
        if self._data is not None:
            self._report["sampling_gap"] = self._sampling_gap(*self._data)
        if logs is not None:
            logs.update(self._report)

    def on_train_end(self, logs: Logs = None) -> None:
        super().on_train_end(logs)
        report, name = self._report, self.model.name
        if not report:
            return
        if self._dead() and not self._loses_little():
            self._say(
                "dead",
                f"{name}: nothing is kept of {', '.join(self._dead())}: lower "
                "`alpha`, unless the task is done without.",
            )
        if report["kept"] > 0.99:
            start = mask_sampling.logit(self.model.initial_keep_probability)
            self._say(
                "kept",
                f"{name}: {report['kept']:.1%} of the {self._parts} are kept: "
                "train for more steps or with a higher learning rate (a logit "
                f"starts at {start:.2g} and moves by at most the learning "
                "rate a step), or raise `alpha`.",
            )
        elif report["undecided"] > self._most_undecided():
            self._say(
                "undecided",
                f"{name}: {report['undecided']:.1%} of the {self._parts} are "
                "undecided, so the threshold is arbitrary for them: train for "
                "more steps.",
            )
        if report["saturated"] > 0.99:
            self._say(
                "saturated",
                f"{name}: {report['saturated']:.1%} of the logits are "
                "saturated, and training on changes nothing: stop earlier, as "
                "`MaskEarlyStopping` does.",
            )
        if report.get("sampling_gap", 0.0) < -0.1:
            self._say(
                "gap",
                f"{name}: the thresholded mask has a higher loss than its "
                f"samples, by {-report['sampling_gap']:.3g}: train for more "
                "steps, until few weights are undecided.",
            )

    def report(self) -> dict[str, Any]:
        """Returns the last epoch's numbers, and what is kept of each weight.

        Returns:
            Dict from name to float; under "keep_fractions" a dict from path
            to float.
        """
        if not self._report:
            raise ValueError("MaskHealth reports after the first epoch only.")
        return {**self._report, "keep_fractions": self._kept}

    def _dead(self):
        """Returns the paths of kernels of which nothing is kept."""
        return [
            path
            for path, kept in self._kept.items()
            if not kept and len(self.model.mask_logits[path].shape) > 1
        ]

    def _loses_little(self):
        """Returns whether the mask is known to do the task on `data`."""
        if self._data is None:
            return False  # it can't be seen
        return self._lost(*self._losses(*self._data)) <= self.LOST

    @property
    def _parts(self):
        """Str, what has logits."""
        return "weights" if self.model.groups is None else "units"

    def _most_undecided(self):
        """Returns which share of undecided weights a finished mask may have.

        Drawn masks decide nearly all. Soft ones leave up to a fifth where the
        network does with one weight what it can do with another, and soft
        gates of units, which are few and used in part, any share.
        """
        if self.model.num_samples:
            return 0.1
        return 0.5 if self.model.groups is None else 1.0

    def _sampling_gap(self, inputs, targets):
        model = self.model
        state = model.sampler_state.numpy()  # watching must change nothing
        with seeds.generators_of(model.model, model.seed):
            sampled = model(inputs, training=True)
            thresholded = model(inputs, training=False)
        model.sampler_state.assign(state)
        losses = [
            float(model.compute_loss(inputs, targets, outputs, training=False))
            for outputs in (sampled, thresholded)
        ]
        if not np.isfinite(losses).all():
            raise ValueError(
                f"The losses on `data` of MaskHealth are {losses}: look for "
                "NaN and infinity in it."
            )
        return losses[0] - losses[1]


class MaskEarlyStopping(keras.callbacks.Callback):
    """Stops training when the thresholded mask no longer changes.

    Epochs before the first weight is removed don't count: no logit has yet
    had the time to fall to 0.

    Args:
        patience: Positive int. Epochs in a row without a change.
        tolerance: Float in [0, 1]. The share of weights that may change sides
            in an epoch and still count as no change.

    Raises:
        ValueError: If an argument is out of its range, or the model is no
            `MaskedModel`.
    """

    def __init__(self, *, patience: int = 3, tolerance: float = 0.0) -> None:
        super().__init__()
        checks.integer("patience", patience, least=1)
        checks.number("tolerance", tolerance, most=1)
        self.patience = patience
        self.tolerance = tolerance
        self._kept: np.ndarray | None = None
        self._unchanged = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        _check_masked(self)
        self._kept, self._unchanged = None, 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        kept = np.concatenate(
            [
                ops.convert_to_numpy(variable.value).reshape(-1) > 0
                for variable in self.model.mask_logits.values()
            ]
        )
        if self._kept is not None and not kept.all():
            changed = np.mean(kept != self._kept)
            self._unchanged += 1
            if changed > self.tolerance:
                self._unchanged = 0
            if self._unchanged >= self.patience:
                self.model.stop_training = True
        self._kept = kept


class StepCounter(keras.callbacks.Callback):
    """Tells how many steps were taken since it told so last.

    Keras may take several steps at once (`steps_per_execution`).

    Args:
        advance: Function of an int, the number of steps.

    Attributes:
        taken: Int, the number of all steps.
    """

    def __init__(self, advance: Callable[[int], Any]) -> None:
        super().__init__()
        self.taken, self._batch = 0, -1
        self._advance = advance

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._batch = -1

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        steps, self._batch = batch - self._batch, batch
        self.taken += steps
        self._advance(steps)


def _check_masked(callback):
    if not hasattr(callback.model, "mask_logits"):
        raise ValueError(
            f"`{type(callback).__name__}` needs a MaskedModel, got "
            f"{callback.model!r}."
        )
