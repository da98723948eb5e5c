"""Judge: how well masks of a model do a task, and what is wrong with one."""

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from modularity_tf.findings import part_set
from modularity_tf.masking import examination, masked_model
from modularity_tf.network import batches, evaluation, measurement, scoring

FRACTION = 0.95  # of the performance that a mask has to keep (C.2)
POOR = 0.9  # less of it is no mask of the task
FAR_BELOW = 300  # times the first penalty is too small to say anything
_LITTLE = 0.05  # of what is missing without the weights: no scale to judge by
_HEALTH_ROWS = 512
_ROWS = 2048  # most that a mask of the path is judged on, of each part
_TRAINING_ROWS = 4096  # most that a found mask is examined on
_KEPT_ROWS = {"data": _TRAINING_ROWS, "validation_data": _ROWS}
_CONTRADICTED = 2.0  # standard errors


@dataclasses.dataclass(frozen=True)
class Judged:
    """How well a mask does.

    Shares are on the scale from 0, nothing, to 1, the whole model. Errors are
    standard errors, 0 if they are not known.

    Attributes:
        performance: Float, on validation data, in its own unit.
        share: Float, on validation data.
        error: Float, of `share`.
        overall: Float, on training and validation data together.
        overall_error: Float, of `overall`.
        loses_rule: Bool, whether the mask loses a rule that few examples need.
    """

    performance: float
    share: float
    error: float
    overall: float
    overall_error: float
    loses_rule: bool = False

    def performs(self, *, surely: bool = True) -> bool:
        """Returns whether a mask keeps what it has to.

        It does if it keeps it on all data, and the validation data alone do
        not contradict.

        Args:
            surely: Bool. Whether it must do so by a standard error, and lose
                no rule.
        """
        if self.share + _CONTRADICTED * self.error < FRACTION:
            return False
        if not surely:
            return self.overall >= FRACTION
        by_margin = self.overall - self.overall_error >= FRACTION
        return by_margin and not self.loses_rule


class Judge:
    """Measures masks of a model on the data of a task.

    Args:
        masked: `MaskedModel` whose masks they are.
        asked: `Evaluation` of the task.
        data: What masks are trained on.
        validation: What they are chosen by.
        batch_size: Int, examples in a batch, where data are arrays.
        seed: Int, of the examples that are drawn of many.

    Attributes:
        name: Str, what performance is.
        reference: Float, the performance of the model.
        loss_unit: Float, in what unit a penalty is: what the model explains of
            the loss, or 1.
        scale: `Scale` of performance.
        batch_seconds: Float, how long the model took for a batch.
    """

    def __init__(
        self,
        masked: masked_model.MaskedModel,
        asked: evaluation.Evaluation,
        data: batches.Data,
        validation: batches.Data,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._masked, self._asked = masked, asked
        self._data, self._validation = data, validation
        self._batch_size, self._seed = batch_size, seed
        self.model_name = masked.model.name
        self.name, self.reference, self.loss_unit = "", math.nan, 1.0
        self.scale: Any = None
        self.batch_seconds = math.nan
        self._wholes: list[list[measurement.Measured]] = []
        self._streamed: dict[str, list[tuple]] = {}

    def __call__(self, kept: Mapping[str, np.ndarray]) -> Judged:
        """Returns how well a mask does, on at most 2,048 rows of each part.

        Args:
            kept: Dict from weight path, or from layer path for gates, to
                booleans, True for what is kept.
        """
        if not self._wholes:
            self._wholes = self._on_both(self._all(True))
        here, there = self._on_both(kept)
        found = []
        for i, counts in enumerate(self.scale.counted):
            if counts:
                zero = self.scale.zeros[i]
                whole_here, whole_there = (each[i] for each in self._wholes)
                parts = [
                    _Share.of(whole_here, here[i], zero),
                    _Share.of(whole_there, there[i], zero),
                ]
                found.append((_Share.together(parts), parts[0]))
        overall, share = min(found, key=lambda pair: pair[0].value)
        both = zip(self._wholes, (here, there), strict=True)
        lost = examination.lost_examples(
            [examination.Examined(whole, mask) for whole, mask in both]
        )
        return Judged(
            self._in_its_unit(here),
            share.value,
            share.error,
            overall.value,
            overall.error,
            bool(lost),
        )

    def _on_both(self, kept):
        """Returns what a mask does on validation data and on training data."""
        return [
            self._measured(kept, self._drawn(name, _ROWS), _ROWS)
            for name in ("validation_data", "data")
        ]

    def measure_whole(self, is_auto: bool) -> list[str]:
        """Measures the model as it is, which gives the scale of performance.

        Args:
            is_auto: Bool, whether a mask is to be chosen by performance.

        Returns:
            List of str, what is to be warned of.

        Raises:
            ValueError: If it does not perform, or no penalty can be chosen.
        """
        whole = self._measured(self._all(True))
        start = time.monotonic()
        counted_batches: list[None] = []
        nothing = self._measured(  # by what is traced by now
            self._all(False), _noted(self._batches(), counted_batches)
        )
        taken = time.monotonic() - start
        self.batch_seconds = taken / max(len(counted_batches), 1)
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
        doubts = self._check_performs(is_auto)
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
        return doubts

    def _check_performs(self, is_auto):
        """Returns doubts about the scale; raises `ValueError` if it is none."""
        scale, doubts = self.scale, []
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
                doubts.append(f"{text}: it says little about a mask.")
                scale.zeros[i] = min(0.0, 2 * one.value)
        return doubts

    def examine(
        self, mask: part_set.PartSet, small_alpha: float
    ) -> tuple[dict[str, Any], list[str]]:
        """Returns a record of what a found mask does, and warnings about it.

        Args:
            mask: `WeightMask` or `NeuronSelection`.
            small_alpha: Float, the penalty that the path starts with.
        """
        scale = self.scale
        found = examination.Examined(scale.whole, self._measured(mask.values))
        training = self._examined_in_training(mask)
        shares = scale.shares(found.mask)
        share, performance = min(shares.values()), self._in_its_unit(found.mask)
        record = {
            "performance": performance,
            "scale": {
                "mask": share,
                "zeros": {
                    one.output: zero
                    for one, zero in zip(scale.whole, scale.zeros, strict=True)
                    if one.output in shares
                },
            },
            "by_output": shares,
            "by_class": examination.by_class(found),
        }
        alpha = mask.provenance["alpha"]
        if share < POOR:
            texts = [
                f"The mask keeps {share:.1%} of the performance, on the scale "
                f"from nothing to the model ({self.name} {performance:.4g}, "
                f"that of the model {self.reference:.4g}): it is not what the "
                "task needs. Let it be larger, by a lower `alpha` than "
                f"{alpha:g} or a higher `keep`; or leave them to "
                "`find_weights`."
            ]
        else:
            texts = examination.lost_examples([found, training])
            if 0 < alpha < small_alpha / FAR_BELOW:
                texts.append(
                    f"Performance allows only an `alpha` of {alpha:.2g}, far "
                    f"below {small_alpha:.2g}, which is small already: the "
                    "mask keeps what it can, not what is needed. Give more "
                    "data, or more `steps`."
                )
        texts += [
            *examination.fallen_outputs(scale, found),
            *examination.fallen_classes(found),
            *examination.differs_in_training(scale, found, training),
            *examination.few_rows(
                mask, found, training, self._share_examined()
            ),
        ]
        return record, texts

    def in_training(self, mask: part_set.PartSet) -> float:
        """Returns the performance of a mask on training data, on the scale."""
        training = self._examined_in_training(mask)
        scale = dataclasses.replace(self.scale, whole=training.whole)
        return scale.share(training.mask)

    def few_rows(self) -> tuple[Any, Any] | None:
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

    def _examined_in_training(self, mask):
        def measured(kept):
            rows = self._drawn("data", _TRAINING_ROWS)
            return self._measured(kept, rows, _TRAINING_ROWS)

        return examination.Examined(
            measured(self._all(True)), measured(mask.values)
        )

    def _share_examined(self):
        """Returns the share of training data examined; `None` if unknown."""
        if not batches.is_arrays(self._data):
            return None
        rows = batches.count_rows(self._data[1])
        return min(1.0, _TRAINING_ROWS / rows)

    def _drawn(self, name, most):
        """Returns batches of training or validation data, some of many.

        Always the same: the next pass over batches may have another order, and
        the model and a mask are compared example by example.

        Args:
            name: "data" or "validation_data".
            most: Int, rows that are drawn of arrays.
        """
        data = self._data if name == "data" else self._validation
        if not batches.is_arrays(data):
            if name not in self._streamed:
                stream = batches.read(
                    name, data, with_weights=True, must_end=False
                )
                self._streamed[name] = _first(stream, _KEPT_ROWS[name])
            return self._streamed[name]
        rows = batches.count_rows(data[1])
        order = np.random.default_rng([self._seed, 2]).permutation(rows)
        few = batches.take(data, order[:most])
        return batches.read(name, few, self._batch_size, True)

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
        weights = self._masked.weights_under(kept)
        return self._asked.measure(weights, rows or self._batches(), most)


def _first(items, rows):
    """Returns the first batches, which have so many rows or all."""
    found, count = [], 0
    for item in items:
        found.append(item)
        count += batches.count_rows(item[1])
        if count >= rows:
            break
    return found


def _noted(items, seen):
    """Yields items, and adds an entry to a list for each of them."""
    for item in items:
        seen.append(None)
        yield item


@dataclasses.dataclass(frozen=True)
class _Share:
    """The performance of a mask on some data, on the scale.

    Attributes:
        value: Float.
        gains: Float array of what the mask gains by each element, on the
            scale; `None` where performance is no mean of elements.
        count: Int, the elements, 1 where nobody knows.
        step: Float, what a right answer is on the scale; 0 of other values.
    """

    value: float
    gains: np.ndarray | None
    count: int
    step: float

    @classmethod
    def of(cls, whole, found, zero):
        """Returns what a mask keeps of an output.

        Args:
            whole: `Measured`, of the model.
            found: `Measured`, of the mask.
            zero: Float, the performance that counts as nothing.
        """
        value = scoring.share_explained(found.value, whole.value, zero)
        is_known = whole.values is not None and found.values is not None
        if not is_known or whole.value == zero:
            return cls(value, None, 1, 0.0)
        span = whole.value - zero
        gains = (found.values.astype(float) - whole.values) / span
        return cls(value, gains, len(gains), whole.is_accuracy / abs(span))

    @classmethod
    def together(cls, parts):
        """Returns the share on all of several data."""
        count = sum(part.count for part in parts)
        value = sum(part.count * part.value for part in parts) / count
        gains = None
        if all(part.gains is not None for part in parts):
            gains = np.concatenate([part.gains for part in parts])
        return cls(value, gains, count, parts[0].step)

    @property
    def error(self):
        """Float, the standard error; 0 if it is not known.

        As of one more answer than there are, so that none lost is not 0.
        """
        if self.gains is None:
            return 0.0
        spread = self.gains.var() + self.step**2 / len(self.gains)
        return math.sqrt(spread / len(self.gains))


def _is_same(one, other):
    """Returns whether two measurements of one output are the same."""
    pairs = [(one.value, other.value), (one.loss, other.loss)]
    return all(
        math.isclose(*pair, rel_tol=1e-6) or not any(map(math.isfinite, pair))
        for pair in pairs
    )
