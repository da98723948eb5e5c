"""find_weights: which weights of a trained model does a task need?"""

import contextlib
import math
import warnings
from collections.abc import Iterable
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from scipy import stats

from modularity_tf import checks
from modularity_tf.findings import part_set, weight_mask
from modularity_tf.masking import (
    callbacks as mask_callbacks,
)
from modularity_tf.masking import (
    judging,
    masked_model,
    penalty_path,
)
from modularity_tf.masking.alpha_search import NoMaskError
from modularity_tf.network import batches, evaluation, seeds, task_outputs

LEARNING_RATE = 3e-2
HELD_OUT = 0.2  # of arrays, where there are no validation data
_TYPICAL_STEPS, _TYPICAL_LEVELS = 2500, 20  # of a path
_FIRST_ALPHA = 1e-5
_MOST_EPOCHS = 10_000  # the path ends earlier
_STEP_IN_PASSES = 3  # what a step takes: forward, and twice that backward
_LONG, _FEW_STEPS = 30, 10  # minutes of which is warned; steps that take less


def find_weights(
    model: keras.Model,
    data: batches.Data,
    validation_data: batches.Data | None = None,
    *,
    task: str | None = None,
    loss: Any = None,
    metrics: Any = None,
    performance: Any = None,
    outputs: task_outputs.Chosen = None,
    layers: str | Iterable[str] | None = None,
    roles: str | Iterable[str] = "kernels",
    alpha: float | Literal["auto"] = "auto",
    keep: float | None = None,
    initial_keep_probability: float = 0.9,
    num_samples: int | None = None,
    batch_size: int = 128,
    steps: int | None = None,
    learning_rate: float = LEARNING_RATE,
    seed: int | None = 0,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    verbose: int = 1,
) -> weight_mask.WeightMask:
    """Returns the weights of a trained model that a task needs.

    Learns a mask over the weights while these stay as they are: it trains a
    `MaskedModel`, and makes the choices that this leaves to its user. One mask
    is trained while its penalty `alpha` grows, four levels a decade, each time
    the mask has stopped shrinking. Weights or whole tensors that hover at the
    threshold leave together if the mask does as well without them. The result
    is the smallest mask that still keeps 95 % of the model's performance, which
    is the share of the paper (C.2). `MaskHealth` examines it, and its warnings
    are passed on as a `UserWarning`.

    Training and validation data together decide whether a mask keeps 95 %:
    its performance must be above that by one standard error, and performance
    on the validation data alone may be below it by two at most. So the size
    of the mask does not depend on which few examples are held out, and a mask
    that fits only its training data is not taken. Neither is a mask that
    loses a rule which few examples need: the model answers some examples
    surely right that the mask answers surely wrong.
    `keep=0.05` asks for a size instead, `alpha` for a penalty.

    In contrast to the paper, masks are not drawn. Drawn masks fail where a
    task needs many weights at once, as a parity does, because no sample keeps
    all of them. And they keep weights that do nothing but cancel each other,
    because to lose one is worse than to keep both. Instead, half of each batch
    sees soft masks, numbers from 0 to 1, under which such weights sink
    together. The other half sees the thresholded mask, which is the one that
    is returned, so that soft masks can't do what this one can't.
    `num_samples=4` draws masks as the paper does; in trained networks these
    keep more of what is needed (docs/known_truth_numbers.md compares the two).

    Performance is the accuracy, if that is one of the metrics and the only
    such one, else the loss, or what `performance` says. It is measured on a
    scale from 0, the model with all these weights removed, to 1, the model as
    it is; 95 % means 0.95 on this scale. For an accuracy 0 is at least the
    best accuracy of an answer that is always the same, as the share of the
    most frequent label is. With several outputs each has its own scale, and
    the worst one counts. Outputs that do not depend on these weights do not.

    >>> mask = mtf.find_weights(model, (images, labels), steps=50, verbose=0)
    >>> subnetwork = mask.apply(model)  # a plain Keras model
    >>> mask.keep_fraction < 0.9
    True
    >>> smaller = mask.at(keep=mask.keep_fraction / 2)

    Args:
        model: Built `keras.Model`, trained. It is not changed.
        data: What the task is: arrays `(x, y)`, or `(x, y, sample_weight)`,
            or batches of them: a list, a `tf.data.Dataset`, a `PyDataset` or
            another iterable.
        validation_data: The same, not in `data`, to choose the mask by.
            `None`: a fifth of the arrays, drawn at random, is not trained on.
            Masks are chosen by 2,048 examples of either at most, of arrays at
            random, of batches the first, so shuffle them; the result is
            examined on all validation data. Score it on a third part.
        task: Str or `None`, for the record: what the task is.
        loss: As in `keras.Model.compile`; `None` for that of `model`. A dict
            from the names of outputs, `{"head": "mse"}` say, may leave out
            outputs that the task is not about, and so may the labels then.
        metrics: As in `keras.Model.compile`; `None` for those of `model`.
            A metric object is used as it is, and its state stays as it was.
        performance: What the mask has to keep. `None`: for each output its
            accuracy, if there is exactly one, else its loss. Otherwise "loss",
            the name of one of the metrics, a Keras metric, or a function
            `(y_true, y_pred)` of all validation data at once, NumPy arrays,
            that returns a value, or one for each example. With several outputs
            a dict from output to one of these. Higher may be better or worse.
        outputs: Name of the output that the task is about, or names of
            several; `None` for all outputs that have a loss. Then `loss`,
            `metrics` and labels may be those of these outputs alone.
        layers: Names or paths of the layers whose weights have masks, or
            `None` for all.
        roles: Which weights have masks: some of "kernel", "recurrent_kernel",
            "bias", "norm_scale", "norm_offset", "embedding" and "adapter", or
            one of the papers' choices: "kernels" ("kernel" and
            "recurrent_kernel"), "all" (all but "embedding") or "transformer"
            ("kernel", "norm_scale" and "norm_offset").
        alpha: Float, the penalty on each logit at which the path ends,
            whatever the mask then does, or "auto". If the mask performs at no
            less than 0.56 of it, and then not any more, the last that performed
            is returned, with its own `alpha`. It is added to the loss as
            it is, so it is in units of the loss: where losses are a thousand
            times as large, so is an `alpha` of the same effect. "auto" takes
            that into account where performance is the loss (`loss_unit` in
            the provenance). To compare masks of several tasks, give all the
            `alpha` and the `initial_keep_probability` in the provenance of the
            first.
        keep: Float in (0, 1), the share of the weights to keep, whatever the
            mask then does; `None` to keep the performance.
        initial_keep_probability: Float in (0, 1), the chance that a weight is
            kept before training. Where no mask performs at the first penalty,
            and `alpha` is not as low, the path begins once more, from 0.9975 at
            least unless masks are drawn; the provenance has the start that the
            mask comes from.
        num_samples: Positive int, mask samples for each batch, or `None`: no
            mask is drawn.
        batch_size: Positive int, examples in a batch, where data are arrays.
        steps: Positive int, training steps at each penalty, above 50 rounded
            up to a multiple of 50. `None`: 300 at the first, and at the others
            until the mask shrinks by less than 2 % in 50 steps, twice. Where a
            mask does not perform, the path waits longer, as long as its
            performance changes.
        learning_rate: Positive float, the learning rate of Adam.
        seed: Int, not negative, of samples, of the order of batches, of
            what is held out, and of layers of the model that draw random
            numbers in inference, too; at the end the model's own generators
            are as they were. TensorFlow's global seed decides the order of
            batches, too. `None` is random.
        callbacks: Keras callbacks for the training of the mask, which is one
            `fit` with epochs of up to 50 steps. Their logs have `alpha` and
            `keep_fraction`. Batch methods are called once in an epoch
            (`steps_per_execution`).
        verbose: 0 for no progress bar. It is one of Keras's kind, with the
            penalty, performance and size of the latest mask. Before the first
            step it says how many steps and minutes are expected, from the
            time that the model takes for a batch; a `UserWarning` says what
            takes less where that is more than half an hour.

    Returns:
        `WeightMask`. Its `path` has the performance and size of the mask at
        each penalty. Its `scores` are the penalty up to which each weight was
        kept, float32 arrays: weights that are needed more stay longer. Those
        that the first mask does not keep have less than half of its penalty,
        the more the nearer their logits are to 0. `at` cuts masks of other
        sizes by them.
        The provenance has

        - `task`, as it was given;
        - `performance_is`, what was measured, `performance`, that of the mask
          on validation data, `reference`, that of the model, and `scale`:
          where the mask lies from 0, nothing, to 1, the model, and `zeros`,
          what nothing means for each output;
        - `by_output` and `by_class`: performance of each output on its scale,
          and the recall of each class;
        - `health`, what `MaskHealth` says of the mask;
        - the settings: `alpha`, `loss_unit`, `keep`, `outputs`,
          `initial_keep_probability`,
          `learning_rate`, `num_samples`, `roles`, `layers`, `seed`, and
          `steps`, the training steps up to this mask;
        - `path`, what `WeightMask.path` shows;
        - `keep_fractions`, the share of the weights that the mask keeps in each
          tensor, and `keep_probabilities`, `counts` of the sigmoid(logits) in
          500 equal steps from 0 to 1, and how many are `tiny`, below 0.0002;
        - `model`, its name, `model_fingerprint`, a digest of its weights, and
          `validation`, where the data come from that chose the mask.

    Raises:
        NoMaskError: If no mask of the path keeps the performance.
        ValueError: If no loss is known, there are no validation data, an
            argument is out of its range, or no output depends on some of the
            weights.

    Warns:
        UserWarning: If a mask of a given `alpha` or `keep` does not keep 90 %
            of the performance, or the mask is not sound: a class, an output or
            some few examples get lost, the data are too few, or it was trained
            for too few steps.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2,
          C.2
    """
    masked = masked_model.MaskedModel(
        model,
        num_samples=num_samples,
        initial_keep_probability=initial_keep_probability,
        roles=roles,
        layers=layers,
        seed=seed,
    )
    found, texts = learned(
        masked,
        data,
        validation_data,
        task=task,
        loss=loss,
        metrics=metrics,
        performance=performance,
        outputs=outputs,
        alpha=alpha,
        keep=keep,
        batch_size=batch_size,
        steps=steps,
        learning_rate=learning_rate,
        callbacks=callbacks,
        verbose=verbose,
    )
    for text in texts:
        warnings.warn(text, stacklevel=2)
    provenance = {**found.provenance, "roles": masked.roles}
    return weight_mask.WeightMask(found.values, provenance, found.scores)


def learned(
    masked: masked_model.MaskedModel,
    data: batches.Data,
    validation_data: batches.Data | None,
    *,
    task: str | None,
    loss: Any,
    metrics: Any,
    performance: Any,
    outputs: task_outputs.Chosen,
    alpha: float | Literal["auto"],
    keep: float | None,
    batch_size: int,
    steps: int | None,
    learning_rate: float,
    callbacks: Iterable[keras.callbacks.Callback],
    verbose: int,
) -> tuple[part_set.PartSet, list[str]]:
    """Trains a mask while its penalty grows, and returns what it finds.

    What `find_weights` and `find_neurons` have in common: the arguments are
    theirs.

    Args:
        masked: `MaskedModel`, not compiled. Its mask is trained.
        data: As in `find_weights`.
        validation_data: As there.
        task: As there.
        loss: As there.
        metrics: As there.
        performance: As there.
        outputs: As there.
        alpha: As there.
        keep: As there.
        batch_size: As there.
        steps: As there.
        learning_rate: As there.
        callbacks: As there.
        verbose: As there.

    Returns:
        `WeightMask`, or `NeuronSelection` where units have gates, with the
        scores and the provenance that `find_weights` describes; and what is to
        be warned of.

    Raises:
        NoMaskError: As there.
        ValueError: As there.
    """
    model, seed = masked.model, masked.seed
    learning_rate = checks.number("learning_rate", learning_rate, above=True)
    batch_size = checks.integer("batch_size", batch_size, least=1)
    if steps is not None:
        steps = checks.integer("steps", steps, least=1)
    is_auto = isinstance(alpha, str) and alpha == "auto"
    last = None if is_auto else checks.number("alpha", alpha)
    if keep is not None:
        keep = checks.number("keep", keep, above=True, below=1)
        if last is not None:
            raise ValueError(
                f"`keep`={keep:g} and `alpha`={last:g} both say where the path "
                "ends: give one of them."
            )
        is_auto = False
    task = weight_mask.task_record(task)
    optimizer = keras.optimizers.Adam(
        learning_rate, epsilon=1e-12, global_clipnorm=1.0
    )
    asked = task_outputs.task(model, loss, metrics, outputs)
    objective = asked.objective
    data = asked.data("data", data, model)
    if validation_data is not None:
        validation_data = asked.data("validation_data", validation_data, model)
    block = min(steps or penalty_path.BLOCK, penalty_path.BLOCK)
    masked.compile(
        optimizer, **objective, steps_per_execution=_steps_at_once(block)
    )
    data, validation, source = _split(data, validation_data, seed, model)
    judge = judging.Judge(
        masked,
        evaluation.Evaluation(model, objective, performance, learns=True),
        data,
        validation,
        batch_size=batch_size,
        seed=seed,
    )
    with _unchanged(objective["metrics"]), seeds.generators_of(model, seed):
        doubts = judge.measure_whole(is_auto)
        first_alpha = judge.loss_unit * _FIRST_ALPHA
        expected, few = (
            expected_steps(count, first_alpha, last)
            for count in (steps, _FEW_STEPS)
        )
        minutes = expected * _STEP_IN_PASSES * judge.batch_seconds / 60
        if verbose and minutes > _LONG:
            shorter = (
                f"With `steps`={_FEW_STEPS} at each penalty it is some "
                f"{minutes * few / expected:.0f}. "
            )
            warnings.warn(
                f"{expected:,} steps are expected, some {minutes:.0f} minutes. "
                f"{shorter if few < expected else ''}A step takes less with a "
                f"`batch_size` smaller than {batch_size}.",
                stacklevel=3,
            )
        bar = _Bar(expected, minutes, verbose)
        path = penalty_path.PenaltyPath(
            judge,
            first_alpha,
            last=last,
            keep=keep,
            blocks=steps and math.ceil(steps / block),
            show=bar.show,
        )
        with batches.training_batches(
            data, batch_size, masked.smallest_batch, seed
        ) as endless:
            masked.fit(
                endless,
                steps_per_epoch=block,
                epochs=_MOST_EPOCHS,
                callbacks=[
                    path,
                    bar,
                    mask_callbacks.FitHealth(warns=False),
                    *keras.tree.flatten(callbacks or ()),
                ],
                shuffle=False,  # `training_batches` does
                verbose=0,
            )
        level = path.found
        if level is None:
            raise NoMaskError(_why_none(judge, path))
        bar.end(level)
        masked.set_logits(level.logits)
        masked.alpha = level.alpha
        if masked.groups is None:
            mask: part_set.PartSet = masked.weight_mask(task)
        else:
            mask = masked.neuron_selection(task)
        if keep is not None:
            mask = _at(mask, path.left, keep)
            masked.set_logits(_on_side(level.logits, mask.values))
        record, texts = judge.examine(mask, first_alpha)
        health, advice = _health(masked, judge, record["scale"]["mask"])
    provenance = {
        **mask.provenance,
        "performance_is": judge.name,
        "reference": judge.reference,
        **record,
        "health": health,
        "alpha": level.alpha,
        "loss_unit": judge.loss_unit,
        "outputs": [*asked.chosen] or None,
        "steps": level.steps,
        "keep": keep,
        "initial_keep_probability": path.initial_keep_probability,
        "learning_rate": learning_rate,
        "num_samples": masked.num_samples,
        "layers": masked.masked_layers,
        "path": [*map(_told, path.levels)],
        "validation": source,
    }
    found = type(mask)(mask.values, provenance, path.left)
    return found, [*doubts, *advice, *texts]


def _at(mask, scores, keep):
    """Returns a mask of another size, with its provenance."""
    chosen = type(mask)(mask.values, {}, scores).at(keep=keep)
    told = {"keep_fractions": chosen.keep_fractions()}
    return type(mask)(chosen.values, mask.provenance | told)


def _on_side(logits, kept):
    """Returns logits with the signs that keep what is kept."""
    sizes = {path: np.maximum(np.abs(x), 1e-6) for path, x in logits.items()}
    return {path: np.where(kept[path], x, -x) for path, x in sizes.items()}


class _Bar(keras.callbacks.Callback):
    """Shows what the path is expected to take, and then how far it is.

    Args:
        expected: Int, the training steps that are expected.
        minutes: Float, how long they are expected to take.
        verbose: 0 for no bar.
    """

    def __init__(self, expected, minutes, verbose):
        super().__init__()
        self._expected, self._level = expected, []
        self._bar = keras.utils.Progbar(
            None,
            verbose=1 if verbose else 0,
            stateful_metrics=[
                "expected_steps",
                "expected_minutes",
                *("alpha", "on_scale", "keep_fraction"),
            ],
        )
        told = [("expected_steps", expected), ("expected_minutes", minutes)]
        self._bar.update(0, told, finalize=False)

    def on_epoch_end(self, epoch, logs=None):
        block = (self.params or {}).get("steps", penalty_path.BLOCK)
        done = (epoch + 1) * block
        # With a target, the bar tells the time that is left.
        self._bar.target = max(self._expected, done + block)
        self._bar.update(done, self._level, finalize=False)

    def show(self, level):
        """Notes what is shown of a level from now on."""
        self._level = [
            ("alpha", level.alpha),
            ("on_scale", level.judged.share),
            ("keep_fraction", level.keep_fraction),
        ]

    def end(self, level):
        """Shows the level that was found."""
        self.show(level)
        self._bar.target = None
        self._bar.update(level.steps, self._level, finalize=True)


def _told(level):
    """Returns what a mask's path has of a level."""
    judged, interval = level.judged, None
    if judged.error:
        half_width = stats.norm.isf(0.025) * judged.error
        interval = [judged.share - half_width, judged.share + half_width]
    return {
        "alpha": level.alpha,
        "performance": judged.performance,
        "on_scale": judged.share,
        "interval": interval,
        "on_all_data": judged.overall,
        "keep_fraction": level.keep_fraction,
        "steps": level.steps,
    }


def _why_none(judge, path):
    """Returns what to change where no mask keeps the performance."""
    best = path.best
    if best is None:
        return (
            "The training was stopped, by one of `callbacks` say, before a "
            f"mask of {judge.model_name!r} was judged."
        )
    mask = part_set.PartSet(
        {path: logits > 0 for path, logits in best.logits.items()}
    )
    there = judge.in_training(mask)
    if there >= judging.FRACTION > best.judged.share:
        advice = "these are too few, give more"
    else:
        advice = (
            "give it more `steps`, or start at a higher "
            f"`initial_keep_probability` than {path.initial_keep_probability}"
        )
    return (
        f"No mask keeps {judging.FRACTION:.0%} of the performance of "
        f"{judge.model_name!r}. The best, of alpha {best.alpha:.2g}, keeps "
        f"{best.judged.share:.1%} on the validation data and {there:.1%} on "
        f"the training data: {advice}."
    )


def _health(masked, judge, share):
    """Returns what `MaskHealth` reports of a mask, and its advice."""
    health = mask_callbacks.MaskHealth(judge.few_rows(), warns=False)
    health.set_model(masked)
    health.on_train_begin()
    health.on_epoch_end(0)
    health.on_train_end()
    report, advice = health.report(), dict(health.advice)
    del report["keep_fractions"]  # the mask has them
    if share >= judging.FRACTION:
        advice.pop("dead", None)
    return report, [*advice.values()]


def typical_steps(steps: int = 0) -> int:
    """Returns how many training steps a mask usually takes, for estimates.

    Args:
        steps: Int, those at each penalty; 0 for the default.
    """
    return _TYPICAL_LEVELS * steps or _TYPICAL_STEPS


def expected_steps(
    steps: int | None, first_alpha: float, last: float | None
) -> int:
    """Returns how many training steps a path is expected to take.

    Args:
        steps: Positive int, those at each penalty; `None` for the default.
        first_alpha: Float, the first penalty.
        last: Float, the penalty at which the path ends; `None` where
            performance decides.
    """
    if last is None:
        return typical_steps(steps or 0)
    return penalty_path.steps_between(first_alpha, last, steps)


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


def _steps_at_once(steps):
    """Returns how many steps Keras takes at once."""
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return 1  # Keras fails at more on several devices
    return steps


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
    if rows < 2:
        raise ValueError(
            "`data` has one example: the mask is chosen by examples that it is "
            "not trained on. Give more, or `validation_data`."
        )
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
