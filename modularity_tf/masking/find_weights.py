"""find_weights: which weights of a trained model does a task need?"""

import contextlib
import functools
import itertools
import math
import warnings
from collections.abc import Iterable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from rich import console as rich_console
from rich import progress as rich_progress

from modularity_tf.masking import (
    alpha_search,
    mask_sampling,
    masked_model,
    weight_mask,
)
from modularity_tf.masking import (
    callbacks as mask_callbacks,
)
from modularity_tf.parts import checks
from modularity_tf.parts import data as data_of_users
from modularity_tf.parts import performance as performance_rule

FRACTION = 0.95  # of the performance that the search asks for (C.2)
POOR = 0.9  # less of it is no mask of the task
LEARNING_RATE = 3e-2
FALLS = 20  # times the steps in which a logit falls to 0
HELD_OUT = 0.2  # of arrays, where there are no validation data
# Where masks start: the paper's, and higher ones. Through n layers a signal
# shrinks by the n-th power under soft masks; and a sample keeps n weights with
# it, so that too few whole samples leave no gradient to follow.
STARTS = (0.9, 0.97, 0.99, 0.9975, 0.999)
_SMALL_ALPHAS = (1e-5, 1e-7)  # of larger networks the first is not small
_EPOCHS = 10  # of each training, for callbacks and curves
_STEPS_AT_ONCE = 50  # Keras comes up for air; a small network's time is there
_HEALTH_ROWS = 512
_TOO_SMALL = "`data` has no batch of {} rows or more, one a mask."


def find_weights(
    model: keras.Model,
    data: data_of_users.Data,
    validation_data: data_of_users.Data | None = None,
    *,
    task: str | None = None,
    loss: Any = None,
    metrics: Any = None,
    layers: str | Iterable[str] | None = None,
    roles: str | Iterable[str] = "kernels",
    alpha: float | Literal["auto"] = "auto",
    keep_probability: float | Literal["auto"] = "auto",
    num_samples: int | None = None,
    batch_size: int = 128,
    steps: int | None = None,
    learning_rate: float = LEARNING_RATE,
    seed: int = 0,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    return_scores: bool = False,
    verbose: int = 1,
) -> Any:  # a mask, or the tuple that `return_scores` asks for
    """Returns the weights of a trained model that a task needs.

    Learns a mask over the weights while these stay as they are. It trains a
    `MaskedModel` and makes the choices that this leaves to its user. The
    penalty `alpha` is the largest with which the mask still keeps 95 % of the
    model's performance on the validation data, which is the rule of the paper
    (C.2). The number of steps follows the learning rate, and what `MaskHealth`
    says of the mask is passed on as a `UserWarning`.

    In contrast to the paper, masks are not drawn. Drawn masks fail where a
    task needs many weights at once, as a parity does, because no sample keeps
    all of them. And they keep weights that do nothing but cancel each other,
    because to lose one is worse than to keep both. Instead, half of each batch
    sees soft masks, numbers from 0 to 1, under which such weights sink
    together. The other half sees the thresholded mask, which is the one that
    is returned, so that soft masks can't do what that one can't.
    `num_samples=4` and `keep_probability=0.9` are the paper's. When masks with
    small penalties do not keep the performance, the next one starts at a
    higher keep probability (`STARTS`). docs/known_truth.md has the comparison.

    Performance is the accuracy, if that is one of the metrics and the only
    such one, else the loss, on a scale from 0, the model with all these weights
    removed, to 1, the model as it is.

    >>> mask = mtf.find_weights(
    ...     model, (images, labels), alpha=1e-5, keep_probability=0.9, verbose=0
    ... )
    >>> subnetwork = mask.apply(model)  # a plain Keras model
    >>> mask.keep_fraction < 0.9
    True

    Args:
        model: Built `keras.Model`, trained. It is not changed.
        data: What the task is: arrays `(x, y)`, or `(x, y, sample_weight)`,
            or batches of them, as in `parts.data.batches`.
        validation_data: The same, not in `data`, to choose `alpha` by.
            `None`: a fifth of the arrays, drawn at random, is not trained on.
            Score the mask on a third part.
        task: Str or `None`, for the record: what the task is.
        loss: As in `keras.Model.compile`; `None` for that of `model`.
        metrics: As in `keras.Model.compile`; `None` for those of `model`.
        layers: Names or paths of the layers whose weights have masks, or
            `None` for all, as in `MaskedModel`.
        roles: Which weights have masks, as in `MaskedModel`.
        alpha: Float, the penalty on each logit, or "auto". To compare masks of
            several tasks, give all the `alpha` and `keep_probability` in the
            provenance of the first.
        keep_probability: Float in (0, 1), the chance that a weight is kept
            before training, or "auto": the first of `STARTS` with which a mask
            keeps the performance, or the best. The paper has 0.9.
        num_samples: Positive int, mask samples a batch, or `None`: no mask is
            drawn.
        batch_size: Positive int, examples in a batch, where data are arrays.
        steps: Positive int, training steps of each mask. `None`: twenty times
            as many as a logit needs to fall from its start to 0, rounded up to
            a multiple of 500.
        learning_rate: Positive float, the learning rate of Adam.
        seed: Int, not negative, of samples, of the order of batches and of
            what is held out.
        callbacks: Keras callbacks for every training of a mask. Their batch
            methods are called once in up to 50 steps (`steps_per_execution`).
        return_scores: Bool, whether to return also how much the task needs
            each weight, to rank them by.
        verbose: 0 for neither a progress bar nor a line for each trial.

    Returns:
        `WeightMask`. Its provenance has the performance of the mask and the
        model (`reference`), all trials and the mask's `health`.

        With `return_scores` also a dict from weight path to a float32 array in
        [0, 1]: the mean of sigmoid(logits) over the masks that were trained
        from the same start. The search tries one penalty after the other, and
        a weight that is needed more is kept under larger ones. With a given
        `alpha` there is one mask, and little order among the weights it keeps.

    Raises:
        ValueError: If no loss is known, there are no validation data, an
            argument is out of its range, or no `alpha` keeps the performance.

    Warns:
        UserWarning: If a given `alpha` does not keep 90 % of the performance,
            or the mask is not sound.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2,
          C.2
    """
    starts: Any = STARTS if _is_auto(keep_probability) else (keep_probability,)
    learning_rate = checks.number("learning_rate", learning_rate, above=True)
    batch_size = checks.integer("batch_size", batch_size, least=1)
    if steps is not None:
        steps = checks.integer("steps", steps, least=1)
    if not _is_auto(alpha):
        alpha = checks.number("alpha", alpha)
    first_alphas: Any = _SMALL_ALPHAS if _is_auto(alpha) else (alpha,)
    masked = masked_model.MaskedModel(
        model, num_samples, first_alphas[0], starts[0], roles, layers, seed=seed
    )
    optimizer = keras.optimizers.Adam(
        learning_rate, epsilon=1e-12, global_clipnorm=1.0
    )
    objective = performance_rule.objective(model, loss, metrics)
    masked.compile(
        optimizer, **objective, steps_per_execution=_steps_at_once(steps)
    )
    data, validation, source = _split(data, validation_data, seed)
    search = _Search(
        masked, data, validation, steps, batch_size, seed, callbacks, verbose
    )
    if return_scores:
        search.scores = {}
    search.measure_whole(performance_rule.accuracy_names(objective["metrics"]))
    if _is_auto(alpha):
        search.check_falls()
        first_alphas = [search.loss_unit * each for each in first_alphas]
    with search.progress:
        first = search.choose_start(starts, first_alphas)
        if _is_auto(alpha):
            alpha = search.choose_alpha(first)
    mask, told = search.mask(alpha)
    for text in told:
        warnings.warn(text, stacklevel=2)
    performance = mask.provenance["performance"]
    if performance < POOR * search.reference:
        warnings.warn(
            f"The mask keeps {performance / search.reference:.1%} of the "
            f"performance ({search.name} {performance:.4g} of "
            f"{search.reference:.4g}): it is not what the task needs. Lower "
            f"`alpha`={alpha:g}, or raise `keep_probability`="
            f"{search.start:g}; or leave them to `find_weights`.",
            stacklevel=2,
        )
    provenance = {
        **mask.provenance,
        "task": weight_mask.task_record(task),
        "performance_is": search.name,
        "reference": search.reference,
        "keep_probability": search.start,
        "learning_rate": learning_rate,
        "num_samples": num_samples,
        "roles": masked.roles,
        "layers": masked.masked_layers,
        "trials": search.trials,
        "validation": source,
    }
    mask = weight_mask.WeightMask(dict(mask.values), provenance)
    return (mask, search.mean_scores()) if return_scores else mask


class _Search:
    """Trains masks with one alpha after the other, and keeps them all.

    Attributes:
        scores: `None`, or a dict from start to the sigmoids of all logits that
            were trained from it, added up, and the number of trainings.
    """

    def __init__(
        self,
        masked,
        data,
        validation,
        steps,
        batch_size,
        seed,
        callbacks,
        verbose,
    ):
        self._masked, self._data, self._validation = masked, data, validation
        self._steps, self._seed, self._batch_size = steps, seed, batch_size
        self._callbacks = callbacks
        self.model_name = masked.model.name
        self._found, self.trials, self.scores = {}, [], None
        self.progress = _Progress() if verbose else _Silence()
        self.name, self.reference, self._scale = "", math.nan, None
        self.loss_unit, self._nothing = 1.0, 0.0

    @property
    def start(self):
        """Float, the keep probability that masks start with."""
        return self._masked.keep_probability

    def measure_whole(self, accuracies):
        """Measures the performance of the model as it is.

        Args:
            accuracies: Names of metrics that are accuracies.

        Raises:
            ValueError: If it has none.
        """
        found = {}
        for level in (1.0, -1.0):
            for logits in self._masked.mask_logits.values():
                logits.assign(ops.full(logits.shape, level))
            found[level] = self._evaluate()
        whole, nothing = found.values()
        known = [name for name in whole if name in accuracies]
        if len(known) == 1:
            (self.name,) = known
            self.reference, self._nothing = whole[self.name], nothing[self.name]
            good = self.reference > 0
            told = f"{self.name} {self.reference:.4g}"
        else:
            self.name, self.reference = performance_rule.LOSS_EXPLAINED, 1.0
            self._scale = whole["loss"], nothing["loss"]
            self.loss_unit = nothing["loss"] - whole["loss"]
            good = math.isfinite(sum(self._scale))
            good = good and self._scale[0] < self._scale[1]
            told = "loss {:.4g}, without all these weights {:.4g}".format(
                *self._scale
            )
        if not good:
            raise ValueError(
                f"{self.model_name!r} itself does not perform on the "
                f"validation data ({told}): there is nothing to keep. Is it "
                "trained, are these its data?"
            )

    def check_falls(self):
        """Raises `ValueError` if the performance hardly needs the weights."""
        if self._nothing >= FRACTION * self.reference:
            raise ValueError(
                f"Without all these weights the {self.name} of "
                f"{self.model_name!r} is still {self._nothing:.4g} of "
                f"{self.reference:.4g}, so no mask can be chosen by it. "
                "`metrics=[]` chooses by the loss."
            )

    def choose_start(self, starts, alphas):
        """Chooses the first start with which a mask keeps the performance.

        The best, if there is none.

        Args:
            starts: Floats, keep probabilities.
            alphas: Floats, small penalties to try with each.

        Returns:
            Float, the penalty of that mask.
        """
        best, chosen = -math.inf, None
        for start, alpha in itertools.product(starts, alphas):
            self._masked.keep_probability = start
            performance, _ = self.trial(alpha)
            if performance > best:
                best, chosen = performance, (start, alpha)
            if performance >= FRACTION * self.reference:
                break
        self._masked.keep_probability, first = chosen
        return first

    def choose_alpha(self, first):
        """Returns the largest alpha that keeps the performance.

        Raises:
            ValueError: If there is none.
        """
        try:
            return alpha_search.search_alpha(
                self.trial,
                self.reference,
                first,
                FRACTION,
                factor=10.0,
                refinements=2,
                max_trials=8,
            ).alpha
        except ValueError as error:
            raise ValueError(
                f"No mask keeps {FRACTION:.0%} of the performance of "
                f"{self.model_name!r} and removes weights: {error}"
            ) from error

    def trial(self, alpha):
        """Returns performance and share kept of a mask trained with alpha."""
        mask, _ = self.mask(alpha)
        return mask.provenance["performance"], mask.keep_fraction

    def mask(self, alpha):
        """Returns a mask trained with alpha, and what its training warned of.

        Trained at the first call.
        """
        key = self.start, alpha
        if key not in self._found:
            self._found[key] = self._train(alpha)
        return self._found[key]

    def mean_scores(self):
        """Returns the mean sigmoid of each logit, over trainings."""
        total, trainings = self.scores[self.start]
        return {path: values / trainings for path, values in total.items()}

    def _add_scores(self):
        total, trainings = self.scores.get(self.start, ({}, 0))
        for path, logits in self._masked.mask_logits.items():
            kept = ops.convert_to_numpy(ops.sigmoid(logits))
            total[path] = total.get(path, 0) + kept
        self.scores[self.start] = total, trainings + 1

    def _train(self, alpha):
        """Returns a trained mask, and what its training warned of."""
        masked, steps, start = self._masked, self._steps, self.start
        if steps is None:
            falls = max(mask_sampling.logit(start), 1.0)
            rate = float(ops.convert_to_numpy(masked.optimizer.learning_rate))
            block = _EPOCHS * _STEPS_AT_ONCE
            steps = block * math.ceil(FALLS * falls / rate / block)
        health = mask_callbacks.MaskHealth(self._few())
        epochs = _epochs(steps)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            masked.reset(seed=self._seed, alpha=alpha)
            masked.fit(
                _training_batches(
                    self._data,
                    self._batch_size,
                    masked.smallest_batch,
                    self._seed,
                ),
                steps_per_epoch=steps // epochs,
                epochs=epochs,
                callbacks=[
                    health,
                    *keras.tree.flatten(self._callbacks),
                    *self.progress.begin(alpha, steps),
                ],
                shuffle=False,  # `_training_batches` does
                verbose=0,
            )
        if self.scores is not None:
            self._add_scores()
        performance = self._performance()
        mask = masked.weight_mask()
        report = health.report()
        del report["keep_fractions"]  # the mask has them
        mask = weight_mask.WeightMask(
            dict(mask.values),
            {**mask.provenance, "performance": performance, "health": report},
        )
        texts = [
            str(each.message)
            for each in told
            if issubclass(each.category, UserWarning)
            and not issubclass(each.category, masked_model.PoorMaskWarning)
        ]
        self.trials.append(
            {
                "keep_probability": start,
                "alpha": alpha,
                "performance": performance,
                "keep_fraction": mask.keep_fraction,
            }
        )
        self.progress.tell(
            f"start {start:g}, alpha {alpha:.2g}: "
            f"{performance / self.reference:.1%} of the performance, "
            f"{mask.keep_fraction:.1%} of the weights kept"
        )
        return mask, texts

    def _performance(self):
        found = self._evaluate()
        if self._scale is None:
            return found[self.name]
        return performance_rule.share_explained(found["loss"], *self._scale)

    def _evaluate(self):
        """Returns loss and metrics of the mask as it is, on validation data.

        The loss is the task's alone, without the penalty.
        """
        masked, data = self._masked, self._validation
        if data_of_users.is_arrays(data):
            names = ("x", "y", "sample_weight")
            arguments = dict(zip(names, data))
            arguments["batch_size"] = self._batch_size
        elif isinstance(data, (tf.data.Dataset, keras.utils.PyDataset)):
            arguments = {"x": data}
        else:
            arguments = {
                "x": data_of_users.batches(
                    "validation_data", data, with_weights=True
                )
            }
        found = masked.evaluate(**arguments, verbose=0, return_dict=True)
        found["loss"] -= float(ops.sum(masked.losses))
        return found

    def _few(self):
        """Returns some validation data, as arrays; `None` with weights."""
        rows = next(
            data_of_users.batches(
                "validation_data",
                self._validation,
                _HEALTH_ROWS,
                with_weights=True,
            )
        )
        few = len(keras.tree.flatten(rows[1])[0])
        is_fit = len(rows) == 2 and few >= self._masked.smallest_batch
        return rows if is_fit else None


class _Progress:
    """A bar for the mask in training, and a line for each that was trained."""

    def __init__(self):
        console = rich_console.Console(stderr=True)
        if console.is_jupyter:  # the lines alone: a bar asks for ipywidgets
            console = rich_console.Console(
                stderr=True, force_jupyter=False, force_terminal=False
            )
        self._bar = rich_progress.Progress(
            "{task.description}",
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = None

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *exception):
        self._bar.stop()

    def begin(self, alpha, steps):
        """Returns the callbacks that move a new bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(f"mask, alpha {alpha:.2g}", total=steps)
        return [_Mover(functools.partial(self._bar.update, self._task))]

    def tell(self, text):
        self._bar.console.print(text, highlight=False)


class _Mover(keras.callbacks.Callback):
    """Tells a bar how many steps of a training are done."""

    def __init__(self, update):
        super().__init__()
        self._update, self._before = update, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._before = epoch * self.params["steps"]

    def on_train_batch_end(self, batch, logs=None):
        self._update(completed=self._before + batch + 1)


class _Silence(contextlib.nullcontext):
    """In place of `_Progress`: says nothing."""

    def begin(self, alpha, steps):
        return []

    def tell(self, text):
        pass


def _epochs(steps):
    """Returns into how many epochs of equal length steps are cut."""
    return _largest_divisor(steps, _EPOCHS)


def _steps_at_once(steps):
    """Returns how many steps Keras takes at once: a divisor of an epoch."""
    if steps is None:
        return _STEPS_AT_ONCE
    return _largest_divisor(steps // _epochs(steps), _STEPS_AT_ONCE)


def _largest_divisor(number, most):
    return max(n for n in range(1, most + 1) if number % n == 0)


def _is_auto(setting):
    return isinstance(setting, str) and setting == "auto"


def _split(data, validation_data, seed):
    """Returns what to train on, what to choose by, and where that is from."""
    is_arrays = data_of_users.is_arrays(data)
    if is_arrays:
        data = data_of_users.checked_arrays("data", data)
    else:
        data_of_users.check_batches("data", data)
    if validation_data is not None:
        if data_of_users.is_arrays(validation_data):
            validation_data = data_of_users.checked_arrays(
                "validation_data", validation_data
            )
        else:
            data_of_users.check_batches("validation_data", validation_data)
            data_of_users.check_ends("validation_data", validation_data)
        return data, validation_data, "given"
    if not is_arrays:
        raise ValueError(
            "`validation_data` are needed where `data` are batches: the "
            "penalty must be chosen on data that the mask is not trained on."
        )
    rows = len(keras.tree.flatten(data[1])[0])
    held_out = math.ceil(HELD_OUT * rows)
    order = np.random.default_rng([seed, 1]).permutation(rows)
    return (
        data_of_users.take(data, order[held_out:]),
        data_of_users.take(data, order[:held_out]),
        f"{held_out} of the {rows} examples, not trained on",
    )


def _training_batches(data, batch_size, smallest, seed):
    """Returns batches without an end: of arrays, in a random order.

    What is left over and smaller than a training batch may be is left out.
    """
    if data_of_users.is_arrays(data):
        rows = len(keras.tree.flatten(data[1])[0])
        tensors = keras.tree.map_structure(
            tf.convert_to_tensor, _without_lists(data)
        )
        return (
            tf.data.Dataset.range(rows)
            .shuffle(rows, seed=seed)
            .repeat()
            .batch(min(batch_size, rows), drop_remainder=True)
            .map(
                lambda i: keras.tree.map_structure(
                    lambda tensor: tf.gather(tensor, i), tensors
                )
            )
            .prefetch(2)
        )
    if isinstance(data, tf.data.Dataset):
        fitting = data.filter(
            lambda *batch: tf.shape(tf.nest.flatten(batch)[0])[0] >= smallest
        )
        if not any(True for _ in fitting.take(1)):
            raise ValueError(_TOO_SMALL.format(smallest))
        return fitting.repeat()
    return _endless(data, smallest)


def _without_lists(data):
    """Returns arrays with tuples for lists, which `tf.data` would stack."""
    if isinstance(data, (list, tuple)):
        return tuple(map(_without_lists, data))
    return data


def _endless(data, smallest):
    """Yields batches over and over; Keras takes a generator alone."""
    is_empty = False
    while not is_empty:
        is_empty = True
        for batch in data_of_users.batches("data", data, with_weights=True):
            if len(keras.tree.flatten(batch[1])[0]) >= smallest:
                is_empty = False
                yield batch
    raise ValueError(_TOO_SMALL.format(smallest))
