"""find_weights: which weights of a trained model does a task need?"""

import contextlib
import dataclasses
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

from modularity_tf import checks
from modularity_tf.findings import weight_mask
from modularity_tf.masking import (
    alpha_search,
    examination,
    mask_sampling,
    masked_model,
)
from modularity_tf.masking import (
    callbacks as mask_callbacks,
)
from modularity_tf.network import batches, measurement, scoring, seeds

FRACTION = 0.95  # of the performance that the search asks for (C.2)
POOR = 0.9  # less of it is no mask of the task
FAR_BELOW = 300  # times the first small penalty is too small to say anything
_LITTLE = 0.05  # of what is missing without the weights: no scale to judge by
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
_TRAINING_ROWS = 4096  # most that a found mask is examined on


def find_weights(
    model: keras.Model,
    data: batches.Data,
    validation_data: batches.Data | None = None,
    *,
    task: str | None = None,
    loss: Any = None,
    metrics: Any = None,
    performance: Any = None,
    layers: str | Iterable[str] | None = None,
    roles: str | Iterable[str] = "kernels",
    alpha: float | Literal["auto"] = "auto",
    initial_keep_probability: float | Literal["auto"] = "auto",
    num_samples: int | None = None,
    batch_size: int = 128,
    steps: int | None = None,
    learning_rate: float = LEARNING_RATE,
    seed: int | None = 0,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    verbose: int = 1,
) -> weight_mask.WeightMask:
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
    `num_samples=4` and `initial_keep_probability=0.9` are the paper's. When masks with
    small penalties do not keep the performance, the next one starts at a
    higher keep probability (`STARTS`). docs/known_truth.md has the comparison.

    Performance is the accuracy, if that is one of the metrics and the only
    such one, else the loss, or what `performance` says. It is measured on a
    scale from 0, the model with all these weights removed, to 1, the model as
    it is; 95 % means 0.95 on this scale. For an accuracy 0 is at least the
    best accuracy of an answer that is always the same, as the share of the
    most frequent label is. With several outputs each has its own scale, and
    the worst one counts. Outputs that do not depend on these weights do not.

    >>> mask = mtf.find_weights(
    ...     model,
    ...     (images, labels),
    ...     alpha=1e-5,
    ...     initial_keep_probability=0.9,
    ...     verbose=0,
    ... )
    >>> subnetwork = mask.apply(model)  # a plain Keras model
    >>> mask.keep_fraction < 0.9
    True

    Args:
        model: Built `keras.Model`, trained. It is not changed.
        data: What the task is: arrays `(x, y)`, or `(x, y, sample_weight)`,
            or batches of them, as in `network.batches`.
        validation_data: The same, not in `data`, to choose `alpha` by.
            `None`: a fifth of the arrays, drawn at random, is not trained on.
            Score the mask on a third part.
        task: Str or `None`, for the record: what the task is.
        loss: As in `keras.Model.compile`; `None` for that of `model`.
        metrics: As in `keras.Model.compile`; `None` for those of `model`.
            A metric object is used as it is, and its state stays as it was.
        performance: What the mask has to keep. `None`: for each output its
            accuracy, if there is exactly one, else its loss. Otherwise "loss",
            the name of one of the metrics, a Keras metric, or a function
            `(y_true, y_pred)` of all validation data at once, NumPy arrays,
            that returns a value, or one for each example. With several outputs
            a dict from output to one of these. Higher may be better or worse.
        layers: Names or paths of the layers whose weights have masks, or
            `None` for all, as in `MaskedModel`.
        roles: Which weights have masks, as in `MaskedModel`.
        alpha: Float, the penalty on each logit, or "auto". To compare masks of
            several tasks, give all the `alpha` and `initial_keep_probability`
            in the provenance of the first.
        initial_keep_probability: Float in (0, 1), the chance that a weight is
            kept before training, or "auto": the first of `STARTS` with which a mask
            keeps the performance, or the best. The paper has 0.9.
        num_samples: Positive int, mask samples a batch, or `None`: no mask is
            drawn.
        batch_size: Positive int, examples in a batch, where data are arrays.
        steps: Positive int, training steps of each mask. `None`: twenty times
            as many as a logit needs to fall from its start to 0, rounded up to
            a multiple of 500.
        learning_rate: Positive float, the learning rate of Adam.
        seed: Int, not negative, of samples, of the order of batches, of
            what is held out, and of layers of the model that draw random
            numbers in inference, too; at the end the model's own generators
            are as they were. `None` is random.
        callbacks: Keras callbacks for every training of a mask. Each training
            begins with the learning rate `learning_rate`, and calls their
            `on_train_begin`, with which Keras's begin anew but for
            `ModelCheckpoint`: its best is that of all trainings. Batch methods
            are called once in up to 50 steps (`steps_per_execution`).
        verbose: 0 for neither a progress bar nor a line for each trial.

    Returns:
        `WeightMask`. Its `path` lists the masks that were trained. Its
        `scores` are the mean of sigmoid(logits) over the masks that were
        trained from the same start, float32 arrays in [0, 1]: the search tries
        one penalty after the other, and a weight that is needed more is kept
        under larger ones. With a given `alpha` there is one mask, and little
        order among the weights it keeps. The provenance has

        - `task`, as it was given;
        - `performance_is`, what was measured, `performance`, that of the mask,
          `reference`, that of the model, and `scale`: where the mask lies from
          0, nothing, to 1, the model, and `zeros`, what nothing means for each
          output;
        - `by_output` and `by_class`: performance of each output on its scale,
          and the recall of each class;
        - `health`, what `MaskHealth` saw in training;
        - the settings: `alpha`, `initial_keep_probability`, `learning_rate`,
          `num_samples`, `roles`, `layers`, `seed`, `steps`;
        - `model`, its name, `model_fingerprint`, a digest of its weights, and
          `validation`, where the data come from that chose `alpha`.

    Raises:
        ValueError: If no loss is known, there are no validation data, an
            argument is out of its range, no output depends on some of the
            weights, or no `alpha` keeps the performance.

    Warns:
        UserWarning: If a given `alpha` does not keep 90 % of the performance,
            or the mask is not sound: a class, an output or some few examples
            get lost, the data are too few, or it was trained for too few steps.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2,
          C.2
    """
    starts: Any = STARTS
    if not _is_auto(initial_keep_probability):
        starts = (initial_keep_probability,)
    learning_rate = checks.number("learning_rate", learning_rate, above=True)
    batch_size = checks.integer("batch_size", batch_size, least=1)
    if steps is not None:
        steps = checks.integer("steps", steps, least=1)
    if not _is_auto(alpha):
        alpha = checks.number("alpha", alpha)
    seed = checks.seed(seed)
    first_alphas: Any = _SMALL_ALPHAS if _is_auto(alpha) else (alpha,)
    masked = masked_model.MaskedModel(
        model, num_samples, first_alphas[0], starts[0], roles, layers, seed=seed
    )
    optimizer = keras.optimizers.Adam(
        learning_rate, epsilon=1e-12, global_clipnorm=1.0
    )
    objective = scoring.objective(model, loss, metrics)
    masked.compile(
        optimizer, **objective, steps_per_execution=_steps_at_once(steps)
    )
    data, validation, source = _split(data, validation_data, seed, model)
    search = _Search(
        masked, data, validation, steps, batch_size, seed, callbacks, verbose
    )
    search.measure_by(objective, performance)
    with (
        _unchanged(objective["metrics"]),
        seeds.generators_of(model, seed),
        search.progress,
    ):
        search.measure_whole(_is_auto(alpha))
        if _is_auto(alpha):
            first_alphas = [search.loss_unit * each for each in first_alphas]
        first = search.choose_start(starts, first_alphas)
        if _is_auto(alpha):
            alpha = search.choose_alpha(first)
        mask, told = search.mask(alpha)
        record, texts = search.examine(mask, first_alphas[0])
    for text in [*told, *texts]:
        warnings.warn(text, stacklevel=2)
    provenance = {
        **mask.provenance,
        "task": weight_mask.task_record(task),
        "performance_is": search.name,
        "reference": search.reference,
        **record,
        "initial_keep_probability": search.start,
        "learning_rate": learning_rate,
        "num_samples": masked.num_samples,
        "roles": masked.roles,
        "layers": masked.masked_layers,
        "path": search.trials,
        "validation": source,
    }
    return weight_mask.WeightMask(
        mask.values, provenance, search.mean_scores()
    )


@contextlib.contextmanager
def _unchanged(metrics):
    """Trains with metric objects of users, and leaves their state as it was."""
    objects = [
        metric
        for metric in keras.tree.flatten(metrics)
        if isinstance(metric, keras.metrics.Metric)
    ]
    before = [
        [(v, ops.convert_to_numpy(v.value)) for v in metric.variables]
        for metric in objects
    ]
    for metric in objects:
        metric.reset_state()
    try:
        yield
    finally:
        for metric, states in zip(objects, before, strict=True):
            metric.reset_state()
            for variable, value in states:
                variable.assign(value)


class _Search:
    """Trains masks with one alpha after the other, and keeps them all.

    Attributes:
        scores: Dict from start to the sigmoids of all logits that were trained
            from it, added up, and the number of trainings.
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
        self._found, self.trials, self.scores = {}, [], {}
        self.progress = _Progress() if verbose else _Silence()
        self.name, self.reference, self.loss_unit = "", math.nan, 1.0
        self.measure = self.scale = None

    @property
    def start(self):
        """Float, the keep probability that masks start with."""
        return self._masked.keep_probability

    def measure_by(self, objective, performance):
        """Says what performance is.

        Args:
            objective: As `performance.objective` returns it.
            performance: As in `find_weights`.

        Raises:
            ValueError: If `performance` can't be measured.
        """
        self.measure = measurement.Measure(
            functools.partial(self._masked, training=False),
            objective,
            performance,
            self._masked.output_names,
        )

    def measure_whole(self, is_auto):
        """Measures the model as it is, which gives the scale of performance.

        Args:
            is_auto: Bool, whether a penalty is to be chosen by performance.

        Raises:
            ValueError: If it does not perform, or no penalty can be chosen.
        """
        whole, nothing = (self._measured_at(level) for level in (1.0, -1.0))
        chance = self.measure.chance(self._batches(), whole)
        zeros = [
            float(np.fmax(nothing_of.value, always))
            for nothing_of, always in zip(nothing, chance, strict=True)
        ]
        has_one = [bool(one.name) for one in whole]
        counted = [
            has and not _is_same(one, other)
            for has, one, other in zip(has_one, whole, nothing, strict=True)
        ]
        self.scale = measurement.Scale(
            whole, nothing, zeros, counted if any(counted) else has_one
        )
        if not any(has_one):
            raise ValueError(
                f"No output of {self.model_name!r} has a loss or a metric."
            )
        self._check_performs(is_auto)
        used = [one for one, c in zip(whole, self.scale.counted) if c]
        if len(used) == 1:
            self.name, (one,) = used[0].name, used
            self.reference = 1.0 if one.is_loss else one.value
            if len(whole) > 1:
                self.name = f"{one.name} of {one.output}"
        else:
            names = ", ".join(f"{one.output}: {one.name}" for one in used)
            self.name, self.reference = f"the worst output of {names}", 1.0
        if len(whole) > 1 or used[0].is_loss:
            unit = sum(
                weight * (other.loss - one.loss)
                for one, other, weight in zip(
                    whole, nothing, self.measure.loss_weights, strict=True
                )
                if math.isfinite(one.loss)
            )
            self.loss_unit = unit if math.isfinite(unit) and unit > 0 else 1.0

    def _check_performs(self, is_auto):
        """Raises `ValueError` if an output is no better than nothing."""
        scale = self.scale
        for i, (one, nothing, zero) in enumerate(
            zip(scale.whole, scale.nothing, scale.zeros, strict=True)
        ):
            if not scale.counted[i]:
                continue
            what = repr(self.model_name)
            if len(scale.whole) > 1:
                what = f"{one.output!r} of {what}"
            good = math.isfinite(one.value + nothing.value)
            told = f"{one.name} {one.value:.4g}"
            if one.is_loss:
                told = (
                    f"loss {one.value:.4g}, without all these weights "
                    f"{nothing.value:.4g}"
                )
                good = good and one.value < nothing.value
            elif one.is_accuracy:
                good = good and one.value > 0
            if not good:
                text = (
                    f"{what} itself does not perform on the validation data "
                    f"({told}): there is nothing to keep. Is it trained, are "
                    "these its data?"
                )
                if len(scale.whole) > 1:
                    text += (
                        " `performance` can name the one output that counts, "
                        f"as '{scale.whole[i - 1].output}_loss'."
                    )
                raise ValueError(text)
            if one.is_loss:
                continue
            above = one.value - zero
            if (one.is_accuracy and above <= _LITTLE * (1 - zero)) or not above:
                text = (
                    f"Without all these weights the {one.name} of {what} is "
                    f"still {nothing.value:.4g} of {one.value:.4g}"
                    if nothing.value >= FRACTION * one.value
                    else f"The {one.name} of {what} is {one.value:.4g}, and an "
                    f"answer that is always the same has {zero:.4g}"
                )
                if is_auto:
                    raise ValueError(
                        f"{text}, so no mask can be chosen by it. `metrics=[]` "
                        "chooses by the loss."
                    )
                warnings.warn(
                    f"{text}: it says little about a mask.", stacklevel=4
                )
                scale.zeros[i] = min(0.0, 2 * one.value)

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
            if performance >= FRACTION:
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
                1.0,  # on the scale
                first,
                FRACTION,
                factor=10.0,
                refinements=2,
                max_trials=8,
            ).alpha
        except ValueError as error:
            raise ValueError(
                f"No mask keeps {FRACTION:.0%} of the performance of "
                f"{self.model_name!r} and removes weights: {error} "
                f"{self._what_to_change()}"
            ) from error

    def _what_to_change(self):
        """Returns advice where no penalty keeps the performance."""
        masks = [mask for mask, _ in self._found.values()]
        best = max(masks, key=lambda mask: mask.provenance["scale"]["mask"])
        share = best.provenance["scale"]["mask"]
        training = self._examined_in_training(best)
        scale = dataclasses.replace(self.scale, whole=training.whole)
        there = scale.share(training.mask)
        told = (
            f"(The best mask, of alpha {best.provenance['alpha']:.2g}, keeps "
            f"{share:.1%} on the validation data and {there:.1%} on the "
            "training data: "
        )
        if there >= FRACTION > share:
            return f"{told}these are too few, give more.)"
        return f"{told}give it more `steps`.)"

    def trial(self, alpha):
        """Returns performance, on the scale, and share kept with alpha."""
        mask, _ = self.mask(alpha)
        return mask.provenance["scale"]["mask"], mask.keep_fraction

    def mask(self, alpha):
        """Returns a mask trained with alpha, and what its training warned of.

        Trained at the first call.
        """
        key = self.start, f"{alpha:.5g}"  # floats differ in the last bit
        if key not in self._found:
            self._found[key] = self._train(alpha)
        return self._found[key]

    def examine(self, mask, small_alpha):
        """Returns a record of what a found mask does, and warnings about it.

        Args:
            mask: `WeightMask`, one that `mask` returned.
            small_alpha: Float, the penalty that a search starts with.
        """
        scale = self.scale
        found = examination.Examined(scale.whole, self._measured_of_mask(mask))
        training = self._examined_in_training(mask)
        shares = scale.shares(found.mask)
        record = {
            "scale": {
                "mask": min(shares.values()),
                "zeros": {
                    one.output: zero
                    for one, zero in zip(scale.whole, scale.zeros, strict=True)
                    if one.output in shares
                },
            },
            "by_output": shares,
            "by_class": examination.by_class(found),
        }
        texts = self._poor(mask)
        if not texts:
            texts += examination.lost_examples([found, training])
            texts += self._far_below(mask, small_alpha)
        texts += [
            *examination.fallen_outputs(scale, found),
            *examination.fallen_classes(found),
            *examination.differs_in_training(scale, found, training),
            *examination.few_rows(
                mask, found, training, self._share_examined()
            ),
        ]
        return record, texts

    def _poor(self, mask):
        """Returns a sentence if a mask does not keep the performance."""
        told = mask.provenance
        share, value = told["scale"]["mask"], told["performance"]
        if share >= POOR:
            return []
        return [
            f"The mask keeps {value / self.reference:.1%} of the performance "
            f"({self.name} {value:.4g} of {self.reference:.4g}; "
            f"{share:.1%} on the scale from nothing to the model): it is not "
            f"what the task needs. Lower `alpha`={told['alpha']:g}, or raise "
            f"`initial_keep_probability`={self.start:g}; or leave them to "
            "`find_weights`."
        ]

    def _far_below(self, mask, small_alpha):
        """Returns a sentence if only tiny penalties keep the performance."""
        alpha = mask.provenance["alpha"]
        if not 0 < alpha < small_alpha / FAR_BELOW:
            return []
        return [
            f"Performance allows only an `alpha` of {alpha:.2g}, far below "
            f"{small_alpha:.2g}, which is small already: the mask keeps what "
            "it can, not what is needed. Give more data, or more `steps`."
        ]

    def _examined_in_training(self, mask):
        rows = self._training_rows
        return examination.Examined(
            self._measured_at(1.0, rows(), _TRAINING_ROWS),
            self._measured_of_mask(mask, rows(), _TRAINING_ROWS),
        )

    def _share_examined(self):
        """Returns the share of training data examined; `None` if unknown."""
        if not batches.is_arrays(self._data):
            return None
        rows = batches.count_rows(self._data[1])
        return min(1.0, _TRAINING_ROWS / rows)

    def _training_rows(self):
        """Returns batches of some training data, each once."""
        data, size = self._data, self._batch_size
        if not batches.is_arrays(data):
            return batches.read("data", data, with_weights=True, must_end=False)
        rows = batches.count_rows(data[1])
        order = np.random.default_rng([self._seed, 2]).permutation(rows)
        few = batches.take(data, order[:_TRAINING_ROWS])
        return batches.read("data", few, size, True)

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
        health = mask_callbacks.MaskHealth(self._few())
        with (
            warnings.catch_warnings(record=True) as told,
            batches.training_batches(
                self._data, self._batch_size, masked.smallest_batch, self._seed
            ) as endless,
        ):
            warnings.simplefilter("always")
            masked.reset(seed=self._seed, alpha=alpha)
            if steps is None:  # callbacks may have changed the rate till now
                falls = max(mask_sampling.logit(start), 1.0)
                rate = masked.optimizer.learning_rate
                block = _EPOCHS * _STEPS_AT_ONCE
                steps = math.ceil(FALLS * falls / float(rate) / block) * block
            epochs = _epochs(steps)
            masked.fit(
                endless,
                steps_per_epoch=steps // epochs,
                epochs=epochs,
                callbacks=[
                    health,
                    *keras.tree.flatten(self._callbacks),
                    *self.progress.begin(alpha, steps),
                ],
                shuffle=False,  # `training_batches` does
                verbose=0,
            )
        self._add_scores()
        found = self._measured()
        share = self.scale.share(found)
        mask = masked.weight_mask()
        report = health.report()
        del report["keep_fractions"]  # the mask has them
        performance = self._in_its_unit(found)
        mask = weight_mask.WeightMask(
            dict(mask.values),
            {
                **mask.provenance,
                "performance": performance,
                "scale": {"mask": share},
                "health": report,
            },
        )
        texts = [
            str(each.message)
            for each in told
            if issubclass(each.category, UserWarning)
            and not issubclass(each.category, masked_model.PoorMaskWarning)
            and not (
                share >= FRACTION
                and issubclass(each.category, mask_callbacks.DeadLayerWarning)
            )
        ]
        self.trials.append(
            {
                "initial_keep_probability": start,
                "alpha": alpha,
                "performance": performance,
                "on_scale": share,
                "keep_fraction": mask.keep_fraction,
            }
        )
        self.progress.tell(
            f"start {start:g}, alpha {alpha:.2g}: "
            f"{share:.1%} of the performance, "
            f"{mask.keep_fraction:.1%} of the weights kept"
        )
        return mask, texts

    def _in_its_unit(self, found):
        """Returns the performance as `reference` is, of what was measured."""
        used = [one for one, c in zip(found, self.scale.counted) if c]
        if len(used) > 1 or used[0].is_loss:
            return self.scale.share(found)
        return used[0].value

    def _batches(self):
        return batches.read(
            "validation_data", self._validation, self._batch_size, True
        )

    def _measured(self, rows=None, most=math.inf):
        """Returns what the mask as it is does, on validation data."""
        return self.measure(rows or self._batches(), most)

    def _measured_at(self, level, *data):
        """Returns what the model does with all logits at a level."""
        for logits in self._masked.mask_logits.values():
            logits.assign(ops.full(logits.shape, level))
        return self._measured(*data)

    def _measured_of_mask(self, mask, *data):
        for path, kept in mask.values.items():
            self._masked.mask_logits[path].assign(np.where(kept, 1.0, -1.0))
        return self._measured(*data)

    def _few(self):
        """Returns some validation data, as arrays; `None` with weights."""
        rows = next(
            batches.read(
                "validation_data",
                self._validation,
                _HEALTH_ROWS,
                with_weights=True,
            )
        )
        few = batches.count_rows(rows[1])
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
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return 1  # Keras fails at more on several devices
    if steps is None:
        return _STEPS_AT_ONCE
    return _largest_divisor(steps // _epochs(steps), _STEPS_AT_ONCE)


def _is_same(one, other):
    """Returns whether two measurements of one output are the same."""
    pairs = [(one.value, other.value), (one.loss, other.loss)]
    return all(
        math.isclose(*pair, rel_tol=1e-6) or not any(map(math.isfinite, pair))
        for pair in pairs
    )


def _largest_divisor(number, most):
    return max(n for n in range(1, most + 1) if number % n == 0)


def _is_auto(setting):
    return isinstance(setting, str) and setting == "auto"


def _split(data, validation_data, seed, model):
    """Returns what to train on, what to choose by, and where that is from."""
    is_arrays = batches.is_arrays(data, model)
    data = _checked("data", data, model)
    if validation_data is not None:
        validation_data = _checked("validation_data", validation_data, model)
        if not batches.is_arrays(validation_data):
            batches.check_ends("validation_data", validation_data)
        return data, validation_data, "given"
    if not is_arrays:
        raise ValueError(
            "`validation_data` are needed where `data` are batches: the "
            "penalty must be chosen on data that the mask is not trained on."
        )
    rows = batches.count_rows(data[1])
    held_out = math.ceil(HELD_OUT * rows)
    order = np.random.default_rng([seed, 1]).permutation(rows)
    return (
        batches.take(data, order[held_out:]),
        batches.take(data, order[:held_out]),
        f"{held_out} of the {rows} examples, not trained on",
    )


def _checked(name, data, model):
    """Returns arrays as arrays of few kinds, batches as they are."""
    if batches.is_arrays(data, model):
        return batches.checked_arrays(name, data)
    batches.check_batches(name, data)
    batches.check_repeats(name, data)
    return data
