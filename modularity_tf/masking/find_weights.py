"""find_weights: which weights of a trained model does a task need?"""

import contextlib
import dataclasses
import itertools
import math
import warnings
from collections.abc import Iterable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops

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
from modularity_tf.masking.alpha_search import NoMaskError
from modularity_tf.network import (
    batches,
    evaluation,
    measurement,
    scoring,
    seeds,
)

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
    `num_samples=4` and `initial_keep_probability=0.9` are the paper's. When
    masks with small penalties do not keep the performance, the next one starts
    at a higher keep probability: 0.97, 0.99, 0.9975, 0.999.
    docs/known_truth.md has the comparison.

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
            or batches of them: a list, a `tf.data.Dataset`, a `PyDataset` or
            another iterable.
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
            `None` for all.
        roles: Which weights have masks: some of "kernel", "recurrent_kernel",
            "bias", "norm_scale", "norm_offset", "embedding" and "adapter", or
            one of the papers' choices: "kernels" ("kernel" and
            "recurrent_kernel"), "all" (all but "embedding") or "transformer"
            ("kernel", "norm_scale" and "norm_offset").
        alpha: Float, the penalty on each logit, or "auto". To compare masks of
            several tasks, give all the `alpha` and `initial_keep_probability`
            in the provenance of the first.
        initial_keep_probability: Float in (0, 1), the chance that a weight is
            kept before training, or "auto": the first of 0.9, 0.97, 0.99,
            0.9975 and 0.999 with which a mask keeps the performance, or the
            best. The paper has 0.9.
        num_samples: Positive int, mask samples for each batch, or `None`: no
            mask is drawn.
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
        verbose: 0 for no progress bars. There is one for each mask, of Keras's
            kind, which ends with what `WeightMask.path` has of the mask.

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
        - `path`, a dict for each mask that was trained: where it started, its
          penalty, its performance and the share of the weights that it keeps;
        - `keep_fractions`, the share of the weights that the mask keeps in each
          tensor, and `keep_probabilities`, `counts` of the sigmoid(logits) in
          500 equal steps from 0 to 1, and how many are `tiny`, below 0.0002;
        - `model`, its name, `model_fingerprint`, a digest of its weights, and
          `validation`, where the data come from that chose `alpha`.

    Raises:
        NoMaskError: If no `alpha` keeps the performance.
        ValueError: If no loss is known, there are no validation data, an
            argument is out of its range, or no output depends on some of the
            weights.

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
    seed, task = checks.seed(seed), weight_mask.task_record(task)
    first_alphas: Any = _SMALL_ALPHAS if _is_auto(alpha) else (alpha,)
    masked = masked_model.MaskedModel(
        model,
        num_samples=num_samples,
        alpha=first_alphas[0],
        initial_keep_probability=starts[0],
        roles=roles,
        layers=layers,
        seed=seed,
    )
    optimizer = keras.optimizers.Adam(
        learning_rate, epsilon=1e-12, global_clipnorm=1.0
    )
    objective = scoring.objective(model, loss, metrics)
    masked.compile(
        optimizer, **objective, steps_per_execution=_steps_at_once(steps)
    )
    data, validation, source = _split(data, validation_data, seed, model)
    asked = evaluation.Evaluation(model, objective, performance, learns=True)
    search = _Search(
        masked,
        asked,
        data,
        validation,
        steps,
        batch_size,
        seed,
        callbacks,
        verbose,
    )
    with _unchanged(objective["metrics"]), seeds.generators_of(model, seed):
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
        "task": task,
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
    return weight_mask.WeightMask(mask.values, provenance, search.mean_scores())


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
        asked,
        data,
        validation,
        steps,
        batch_size,
        seed,
        callbacks,
        verbose,
    ):
        self._masked, self._asked = masked, asked
        self._data, self._validation = data, validation
        self._steps, self._seed, self._batch_size = steps, seed, batch_size
        self._callbacks, self._verbose = callbacks, verbose
        self.model_name = masked.model.name
        self._found, self.trials, self.scores = {}, [], {}
        self.name, self.reference, self.loss_unit = "", math.nan, 1.0
        self.scale = None

    @property
    def start(self):
        """Float, the keep probability that masks start with."""
        return self._masked.initial_keep_probability

    def measure_whole(self, is_auto):
        """Measures the model as it is, which gives the scale of performance.

        Args:
            is_auto: Bool, whether a penalty is to be chosen by performance.

        Raises:
            ValueError: If it does not perform, or no penalty can be chosen.
        """
        whole, nothing = (
            self._measured(self._all(stay)) for stay in (True, False)
        )
        chance = self._asked.measure.chance(self._batches(), whole)
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
                    whole,
                    nothing,
                    self._asked.measure.loss_weights,
                    strict=True,
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
            self._masked.initial_keep_probability = start
            performance, _ = self.trial(alpha)
            if performance > best:
                best, chosen = performance, (start, alpha)
            if performance >= FRACTION:
                break
        self._masked.initial_keep_probability, first = chosen
        return first

    def choose_alpha(self, first):
        """Returns the largest alpha that keeps the performance.

        Raises:
            NoMaskError: If there is none.
        """
        try:
            return alpha_search.search_alpha(
                self.trial,
                1.0,  # on the scale
                start=first,
                fraction=FRACTION,
                factor=10.0,
                refinements=2,
                max_trials=8,
            ).alpha
        except NoMaskError as error:
            raise NoMaskError(
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
        found = examination.Examined(scale.whole, self._measured(mask.values))
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
            self._measured(self._all(True), rows(), _TRAINING_ROWS),
            self._measured(mask.values, rows(), _TRAINING_ROWS),
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
        """Returns a trained mask, and what `MaskHealth` says of it."""
        masked, start, steps = self._masked, self.start, self._steps
        health = mask_callbacks.MaskHealth(self._few(), warns=False)
        masked.reset(seed=self._seed, alpha=alpha)
        if steps is None:  # callbacks may have changed the rate till now
            rate = float(masked.optimizer.learning_rate)
            steps = default_steps(start, rate)
        epochs = _epochs(steps)
        bar = keras.utils.Progbar(steps, verbose=1 if self._verbose else 0)
        shown = mask_callbacks.StepCounter(
            lambda _: bar.update(shown.taken, finalize=False)
        )
        with batches.training_batches(
            self._data, self._batch_size, masked.smallest_batch, self._seed
        ) as endless:
            masked.fit(
                endless,
                steps_per_epoch=steps // epochs,
                epochs=epochs,
                callbacks=[
                    health,
                    *keras.tree.flatten(self._callbacks),
                    *([shown] if self._verbose else []),
                ],
                shuffle=False,  # `training_batches` does
                verbose=0,
            )
        self._add_scores()
        mask = masked.weight_mask()
        found = self._measured(mask.values)
        share, performance = self.scale.share(found), self._in_its_unit(found)
        trial = {
            "initial_keep_probability": start,
            "alpha": alpha,
            "performance": performance,
            "on_scale": share,
            "keep_fraction": mask.keep_fraction,
        }
        self.trials.append(trial)
        bar.update(steps, [*trial.items()], finalize=True)
        report = health.report()
        del report["keep_fractions"]  # the mask has them
        mask = weight_mask.WeightMask(
            dict(mask.values),
            {
                **mask.provenance,
                "performance": performance,
                "scale": {"mask": share},
                "health": report,
            },
        )
        advice = dict(health.advice)
        advice.pop("far_worse", None)  # `_poor` says it, of validation data
        if share >= FRACTION:
            advice.pop("dead", None)
        return mask, [*advice.values()]

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

    def _all(self, stay):
        """Returns the mask that keeps all weights, or none."""
        return {
            path: np.full(logits.shape, stay)
            for path, logits in self._masked.mask_logits.items()
        }

    def _measured(self, kept, rows=None, most=math.inf):
        """Returns what a mask does, on validation data if no rows are given."""
        return self._asked.measure(kept, rows or self._batches(), most)

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


def default_steps(
    initial_keep_probability: float, learning_rate: float = LEARNING_RATE
) -> int:
    """Returns how many steps a mask is trained for if nobody says.

    They are `FALLS` times those in which a logit falls from its start to 0,
    rounded up to a multiple of 500.

    Args:
        initial_keep_probability: As in `find_weights`.
        learning_rate: As in `find_weights`.
    """
    falls = max(mask_sampling.logit(initial_keep_probability), 1.0)
    block = _EPOCHS * _STEPS_AT_ONCE
    return math.ceil(FALLS * falls / learning_rate / block) * block


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
