"""Callbacks for mask training: what the mask keeps, whether it is sound."""

import os
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.masking import mask_sampling
from modularity_tf.network import seeds


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

    def __init__(self, log_dir):
        super().__init__()
        if not isinstance(log_dir, (str, os.PathLike)):
            raise ValueError(f"`log_dir` must be a path, got {log_dir!r}.")
        self._log_dir = str(log_dir)
        self._writer = None

    def on_train_begin(self, logs=None):
        _check_masked(self)
        self._writer = tf.summary.create_file_writer(self._log_dir)

    def on_epoch_end(self, epoch, logs=None):
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

    def on_train_end(self, logs=None):
        self._writer.close()


class DeadLayerWarning(UserWarning):
    """Nothing is kept of a kernel, which is right if no task needs it."""


class MaskHealth(keras.callbacks.Callback):
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

    def __init__(self, data=None):
        super().__init__()
        pair = isinstance(data, (tuple, list)) and len(data) == 2
        if data is not None and not pair:
            raise ValueError(
                "`data` must be a pair `(inputs, targets)` of arrays, got a "
                f"{type(data).__name__}."
            )
        self._data = data
        self._report = {}

    def on_train_begin(self, logs=None):
        _check_masked(self)
        if self._data is None:
            return
        rows = keras.tree.flatten(self._data[0])[0].shape[0]
        if rows < self.model.smallest_batch:
            raise ValueError(
                f"`data` of MaskHealth has {rows} rows, fewer than the "
                f"{self.model.smallest_batch} masks of a batch."
            )

    def on_epoch_end(self, epoch, logs=None):
        logits = {
            path: ops.convert_to_numpy(variable.value)
            for path, variable in self.model.mask_logits.items()
        }
        flat = np.concatenate(
            [values.reshape(-1) for values in logits.values()]
        )
        self._dead = [
            path
            for path, values in logits.items()
            if values.ndim > 1 and not (values > 0).any()
        ]
        self._report = {
            "kept": float(np.mean(flat > 0)),
            "undecided": float(np.mean(np.abs(flat) < self.UNDECIDED)),
            "saturated": float(np.mean(np.abs(flat) > self.SATURATED)),
            "dead_layers": len(self._dead),
        }
        if self._data is not None:
            self._report["sampling_gap"] = self._sampling_gap(*self._data)
        if logs is not None:
            logs.update(self._report)

    def on_train_end(self, logs=None):
        report = self._report
        if not report:
            return
        advice = []
        if self._dead and self._lost() > self.LOST:
            warnings.warn(
                f"{self.model.name}: nothing is kept of "
                f"{', '.join(self._dead)}: lower `alpha`, unless the task is "
                "done without.",
                DeadLayerWarning,
                stacklevel=2,
            )
        if report["kept"] > 0.99:
            advice.append(
                f"{report['kept']:.1%} of the weights are kept: train for "
                "more steps or with a higher learning rate (a logit starts at "
                f"{mask_sampling.logit(self.model.keep_probability):.2g} and "
                "moves by at most the learning rate a step), or raise `alpha`"
            )
        elif report["undecided"] > self._most_undecided():
            advice.append(
                f"{report['undecided']:.1%} of the weights are undecided, so "
                "the threshold is arbitrary for them: train for more steps"
            )
        if report["saturated"] > 0.99:
            advice.append(
                f"{report['saturated']:.1%} of the logits are saturated, and "
                "training on changes nothing: stop earlier, as "
                "`MaskEarlyStopping` does"
            )
        if report.get("sampling_gap", 0.0) < -0.1:
            advice.append(
                "the thresholded mask has a higher loss than its samples, by "
                f"{-report['sampling_gap']:.3g}: train for more steps, until "
                "few weights are undecided"
            )
        for text in advice:
            warnings.warn(f"{self.model.name}: {text}.", stacklevel=2)

    def report(self):
        """Returns the last epoch's numbers, and what is kept of each weight.

        Returns:
            Dict from name to float; under "keep_fractions" a dict from path
            to float.
        """
        if not self._report:
            raise ValueError("MaskHealth reports after the first epoch only.")
        kept = self.model.weight_mask().keep_fractions()
        return {**self._report, "keep_fractions": kept}

    def _most_undecided(self):
        """Returns which share of undecided weights a finished mask may have.

        Drawn masks decide nearly all. Soft ones leave up to a fifth where the
        network does with one weight what it can do with another.
        """
        return 0.1 if self.model.num_samples else 0.5

    def _lost(self):
        """Returns the share of what the loss gains that the mask loses."""
        if self._data is None:
            return 1.0  # it can't be seen
        logits, losses = self.model.mask_logits, []
        before = {
            path: ops.convert_to_numpy(variable.value)
            for path, variable in logits.items()
        }
        for level in (1.0, None, -1.0):
            for path, variable in logits.items():
                values = before[path]
                if level is not None:
                    values = np.full_like(values, level)
                variable.assign(values)
            inputs, targets = self._data
            outputs = self.model(inputs, training=False)
            loss = self.model.compute_loss(
                inputs, targets, outputs, training=False
            )
            losses.append(float(loss) - float(ops.sum(self.model.losses)))
        for path, variable in logits.items():
            variable.assign(before[path])
        whole, mask, nothing = losses
        if not whole < nothing:
            return 1.0
        return (mask - whole) / (nothing - whole)

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

    def __init__(self, patience=3, tolerance=0.0):
        super().__init__()
        checks.integer("patience", patience, least=1)
        checks.number("tolerance", tolerance, most=1)
        self.patience = patience
        self.tolerance = tolerance
        self._kept, self._unchanged = None, 0

    def on_train_begin(self, logs=None):
        _check_masked(self)
        self._kept, self._unchanged = None, 0

    def on_epoch_end(self, epoch, logs=None):
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


def _check_masked(callback):
    if not hasattr(callback.model, "mask_logits"):
        raise ValueError(
            f"`{type(callback).__name__}` needs a MaskedModel, got "
            f"{callback.model!r}."
        )
