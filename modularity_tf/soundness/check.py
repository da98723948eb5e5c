"""check: is a finding sound, and what does it share with others?"""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import keras
import numpy as np

from modularity_tf import checks, stats
from modularity_tf.findings import part_set
from modularity_tf.network import evaluation, progress, seeds, task_outputs
from modularity_tf.network.batches import Data
from modularity_tf.soundness import (
    arguments,
    kept_parts,
    result,
    sharing_of_sets,
)

SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # of the curve
GROUPS = (0.01, 0.1)  # shares of the finding that are removed at once
LIKE_RANDOM = 0.05  # share of random parts that may do as well as a finding
_Parts = TypeVar("_Parts", bound=part_set.PartSet)
_CURVE_REPEATS = 5  # random parts of each size
_FEW = 20  # removals to find out how many must go at once,
_GROWTH = 4  # so many times more if too few did
_DISTINCT = 0.95  # share of distinct examples, below which users are warned


def check(
    finding: _Parts,
    model: keras.Model,
    data: Data,
    *,
    loss: Any = None,
    metrics: Any = None,
    performance: Any = None,
    outputs: task_outputs.Chosen = None,
    elsewhere: Data | None = None,
    untrained: keras.Model | None = None,
    scores: Mapping[str, np.ndarray] | None = None,
    repeats: Sequence[_Parts] = (),
    others: Mapping[str, Sequence[_Parts]] | None = None,
    incoming: bool = False,
    examples: int = 2000,
    random_parts: int = 20,
    removals: int = 100,
    tolerance: float = 0.01,
    seed: int | None = 0,
    verbose: int = 1,
) -> result.Soundness:
    """Returns whether a finding is what its task needs, beside controls.

    A finding is a set of weights or neurons. Each number has a 95 % interval,
    in which the sampling of examples enters, and stands beside what chance
    gives:

    - Faithfulness: the performance of the part alone (`finding.apply`), beside
      the whole model, random parts with as many members in each layer, and the
      same part of an untrained network.
    - Completeness: the performance without the part (`finding.remove_from`),
      beside that without random parts.
    - Minimality: the share of the part's members without which it performs
      as well: taken out one by one, a hundredth and a tenth of them at once.
      As well means no more than `tolerance` below the part's own performance
      on these examples. The interval goes from the removals that surely
      change that little to those of which it can't be excluded, by a paired
      test of each over examples. Few examples exclude little: the interval of
      16 examples is wide, whatever they say.
    - Sizes: with `scores`, the performance of the parts with the highest
      scores alone, and of the rest, from 0.1 to 50 % of all parts, beside
      random parts with as many members in each layer.
    - Sharing: with `others`, how many members the findings of other tasks
      share with this one, between what random sets share (floor) and what
      findings of one task share from seed to seed (ceiling), and a verdict
      for each: "separate", "shared" or "undetermined". See `soundness.sharing`
      for what each rejects. Here "shared" asks for two things more: that the
      finding does better than random parts, alone or by its removal, and that
      what it shares matters to it. Parts that no output notices (weights that
      are zero, units that never fire) don't count.

    - Elsewhere: with `elsewhere`, the same of other data than the task's. A
      part holds for the data that it was found on: one that finds faces
      among faces may find them everywhere.

    Performance is the accuracy, if that is one of the metrics and the only
    such one, else the loss, on a scale from 0, the model without any part that
    the finding could have, to 1, the model as it is: that of `find_weights`.

    `check` trains nothing. Findings of other seeds are made by
    `[find_weights(model, data, seed=s) for s in range(5)]`.

    Copies of an example say nothing new: intervals are as wide as distinct
    examples make them. Examples that only resemble each other (frames of one
    film, windows that overlap, augmented images) can't be told from others:
    give one of each, or the intervals are too narrow.

    >>> threes = mtf.find_neurons(model, (images, labels), label=3)
    >>> of_3 = images[labels == 3], labels[labels == 3]
    >>> found = mtf.soundness.check(threes, model, of_3, removals=10)
    >>> figure = found.plot()

    Args:
        finding: `WeightMask` or `NeuronSelection` with a member or more.
        model: Built `keras.Model` in which it was found. It is not changed.
        data: The task: arrays `(x, y)` or `(x, y, sample_weight)`, or batches
            of them (a list, a `tf.data.Dataset`, a `PyDataset`); other
            examples than those that the finding was made from. An example
            counts as much as its weight; where positions have weights, as much
            as their sum. Those of weight 0 count for nothing.
        loss: As in `keras.Model.compile`; `None` for that of `model`. With
            several outputs the sum of their losses is what performance is.
        metrics: As in `keras.Model.compile`; `None` for those of `model`.
        performance: What is measured: "loss", a metric that is a mean over
            examples or its name, or a function `(y_true, y_pred)` of tensors
            that returns a value for each example; `None` for the accuracy, if
            there is exactly one, else the loss. Others than accuracies are on
            the scale from the model without all parts to the model as it is.
        outputs: Name of the output that the task is about, or names of
            several; `None` for all that have a loss.
        elsewhere: Data like `data` for which the part was *not* found: other
            classes, another kind of input; or `None`.
        untrained: `keras.Model` of the same shape that was not trained, or
            `None`.
        scores: Dict from the paths of the finding to arrays of their shapes,
            higher for parts that matter more, `finding.scores` say; or
            `None`.
        repeats: List of findings of the same task, extracted with other seeds
            or from other data. Two or more for a verdict.
        others: Dict from the name of another task to a list of findings of
            it, each extracted with another seed. Three or more for a verdict.
        incoming: Bool. Remove the incoming weights of neurons, as in
            `NeuronSelection.remove_from`.
        examples: Positive int, how many examples of the data are used at
            most: of arrays at random, of batches the first.
        random_parts: Int, at least 2, random parts of the finding's size.
        removals: Positive int, how many removals of each size are tried. All
            single ones are, if there are no more of them.
        tolerance: Float in [0, 1), in points of performance.
        seed: Int in [0, 2**31), of all that is random, layers of the model
            that draw random numbers in inference, too, included; at the end
            the model's own generators are as they were. `None` is random.
        verbose: 0 for no progress bars. Those of random parts and of removals
            begin after 5 seconds, with the time that is left.

    Returns:
        `Soundness`.

    Raises:
        ValueError: If a finding is empty, does not fit, or was found in a
            network with other weights; or if an argument is out of its range.

    Warns:
        UserWarning: If one example in twenty or more is a copy of another.
    """
    seed = checks.seed(seed)
    settings = {
        "examples": checks.integer("examples", examples, least=1),
        "random_parts": checks.integer("random_parts", random_parts, least=2),
        "removals": checks.integer("removals", removals, least=1),
        "tolerance": checks.number("tolerance", tolerance, below=1),
        "seed": seed,
    }
    arguments.check_finding("finding", finding, model)
    repeats = arguments.checked_list(
        "repeats", repeats, finding, model, [finding]
    )
    others = arguments.checked_others(others, finding, model)
    if scores is not None:
        scores = arguments.checked_scores(scores, finding)
    if untrained is not None:
        arguments.check_finding("finding", finding, untrained, is_twin=True)
    asked = task_outputs.task(model, loss, metrics, outputs)
    parts = kept_parts.KeptParts(finding, model, incoming)
    drawn = {
        name: evaluation.examples_of(
            asked.data(name, given, model), int(examples), seed, model, name
        )
        for name, given in (("data", data), ("elsewhere", elsewhere))
        if given is not None
    }
    with (
        seeds.generators_of(model, seed),
        seeds.generators_of(untrained or model, seed),
    ):
        network = evaluation.OnExamples(
            model,
            drawn["data"],
            asked.objective,
            parts.nothing,
            performance=performance,
        )
        checker = _Check(finding, parts, network, settings, verbose)
        twin = None
        if untrained is not None:
            twin = evaluation.OnExamples(
                untrained,
                drawn["data"],
                asked.objective,
                parts.nothing,
                network,
                performance=performance,
            )
        alone, rest = checker.faithfulness(twin), checker.completeness()
        there = None
        if elsewhere is not None:
            there = checker.elsewhere(
                evaluation.OnExamples(
                    model,
                    drawn["elsewhere"],
                    asked.objective,
                    parts.nothing,
                    argument="elsewhere",
                    must_perform=False,  # but its part may do something
                    performance=performance,
                )
            )
        minimality = checker.minimality()
        curve = () if scores is None else tuple(checker.curve(scores))
        shared = {
            name: checker.sharing(name, [finding, *repeats], extracted)
            for name, extracted in others.items()
        }
    if _is_like_random(alone.random) and _is_like_random(rest.random):
        reason = (
            "the finding is not shown to do better than random parts: "
            f"{alone.random.as_well} of {alone.random.n} do as well alone, and "
            f"the removal of {rest.random.as_well} hurts as much"
        )
        shared = {
            name: dataclasses.replace(
                each, verdict="undetermined", reason=reason
            )
            for name, each in shared.items()
        }
    distinct = int(network.copies.max()) + 1
    if distinct <= _DISTINCT * network.count:
        effective = stats.effective_count(network.copies, network.weights)
        warnings.warn(
            f"`data` has {distinct} distinct examples of {network.count}. "
            "Copies say nothing new: the intervals are those of "
            f"{effective:.0f} examples.",
            stacklevel=2,
        )
    told = {
        "name": network.name,
        **settings,
        "examples": network.count,
        "model": model.name,
        "distinct_examples": distinct,
    }
    return result.Soundness(alone, rest, minimality, curve, shared, told, there)


def _is_like_random(random):
    """Returns whether too many random parts do as well as the finding."""
    return random.as_well / random.n > LIKE_RANDOM


class _Check:
    """The quantities of a check, each a method."""

    def __init__(self, finding, parts, network, settings, verbose):
        self._verbose = verbose
        self._finding, self._parts, self._network = finding, parts, network
        self._seed = settings["seed"]
        self._removals = settings["removals"]
        self._tolerance = settings["tolerance"]
        self._random = [
            finding.shuffled(int(s)).values
            for s in self._rng(0).integers(2**31, size=settings["random_parts"])
        ]
        self._values = network.values(parts.alone(finding.values))
        self._alone = network.performance(self._values)
        self._counts = None

    def faithfulness(self, twin):
        """Returns the performance of the part alone."""
        return result.Faithfulness(
            whole=self._estimate(self._network.whole),
            alone=self._estimate(self._values),
            random=self._of_random(
                self._parts.alone, self._random, lambda x: x >= self._alone
            ),
            untrained=None
            if twin is None
            else self._estimate(
                twin.values(self._parts.alone(self._finding.values))
            ),
        )

    def completeness(self):
        """Returns the performance of the rest."""
        rest = self._network.values(self._parts.without(self._finding.values))
        left = self._network.performance(rest)
        return result.Completeness(
            without=self._estimate(rest),
            random=self._of_random(
                self._parts.without, self._random, lambda x: x <= left
            ),
        )

    def elsewhere(self, network):
        """Returns what the part does on data that it was not found for.

        Args:
            network: `OnExamples` of these data.
        """
        alone, without = (
            network.values(kept(self._finding.values))
            for kept in (self._parts.alone, self._parts.without)
        )
        reached = network.performance(alone)
        return result.Elsewhere(
            whole=self._estimate(network.whole, network),
            alone=self._estimate(alone, network),
            random=self._of_random(
                self._parts.alone,
                self._random,
                lambda x: x >= reached,
                network,
            ),
            without=self._estimate(without, network),
        )

    def minimality(self):
        """Returns the share of removals that change nothing, by their size."""
        members = np.flatnonzero(self._parts.flat(self._finding.values))
        sizes = {1, *(round(share * len(members)) for share in GROUPS)}
        found = {}
        for size in sorted(s for s in sizes if 0 < s < max(len(members), 2)):
            without, is_all = self._without_some(
                members, size, self._removals, 1
            )
            redundant = self._drops(without) <= self._tolerance + 1e-9
            within, beyond = np.transpose([self._is_fall(v) for v in without])
            low, high = (
                float(
                    stats.share_interval(flags.sum(), len(flags), is_all)[end]
                )
                for end, flags in enumerate((within, ~beyond))
            )
            over = "removals, all" if is_all else "removals"
            found[size] = result.Estimate(
                float(redundant.mean()), low, high, over, len(without)
            )
        return found

    def curve(self, scores):
        """Yields the points of the curve over sizes."""
        flat = self._parts.flat(scores)
        rng = self._rng(2)
        order = np.lexsort((rng.random(flat.size), -flat))  # ties at random
        counts = {max(1, round(s * flat.size)) for s in SIZES}
        for count in sorted(counts):
            top = np.zeros(flat.size, bool)
            top[order[:count]] = True
            chosen = type(self._finding)(self._parts.nest(top))
            random = [
                chosen.shuffled(int(s)).values
                for s in rng.integers(2**31, size=_CURVE_REPEATS)
            ]
            found = {}
            for key, kept in (
                ("alone", self._parts.alone),
                ("rest", self._parts.without),
            ):
                values = self._network.values(kept(chosen.values))
                found[key] = self._estimate(values)
                found[f"random_{key}"] = self._of_random(kept, random)
            yield result.CurvePoint(count / flat.size, count, **found)

    def sharing(self, name, own, extracted):
        """Returns what another task shares, a `Sharing`."""
        if self._counts is None:
            self._counts = self._parts.count(self._network, self._seed)
        own, other = (
            [
                {
                    path: found.values[path][self._counts[path]]
                    for path in self._parts.paths
                }
                for found in findings
            ]
            for findings in (own, extracted)
        )
        for argument, sets in (("repeats", own), (f"others[{name!r}]", other)):
            if not all(any(v.any() for v in one.values()) for one in sets):
                raise ValueError(
                    f"`finding` or `{argument}` has only members that no "
                    "output notices."
                )
        needed = self._needed(sharing_of_sets.in_most(other))
        return sharing_of_sets.sharing(
            own, other, needed=needed, seed=self._seed
        )

    def _needed(self, other):
        """Returns how much the parts in common matter, a lower bound.

        As the drop of performance without some of them, over the drop without
        as many of any of the finding; as few as make a difference. Parts that
        hurt one by one but not together only cancel each other: 0.
        """
        mine = self._parts.flat(self._finding.values)
        both = np.zeros(mine.size, bool)
        both[self._parts.flat(self._counts)] = self._parts.flat(other)
        members, common = np.flatnonzero(mine), np.flatnonzero(mine & both)
        if not common.size:
            return 0.0
        if not self._is_fall(self._without(common))[1]:  # not surely
            return 0.0
        size, notable = 1, max(2 * self._tolerance, 0.1 * self._alone)
        while _GROWTH * size <= len(common):
            without, _ = self._without_some(members, size, _FEW, 3)
            if self._drops(without).mean() > notable:
                break
            size *= _GROWTH
        falls = []
        for some, stream in ((common, 4), (members, 5)):
            without, is_all = self._without_some(
                some, size, self._removals, stream
            )
            falls.append((self._drops(without), is_all))
        return sharing_of_sets.need(*falls)

    def _without_some(self, members, size, count, stream):
        """Returns what the examples say without some of the part.

        Args:
            members: Int array, members of the part, of which some are removed.
            size: Positive int, how many at once.
            count: Positive int, removals at most.
            stream: Int, of the random numbers.

        Returns:
            List of arrays `(examples,)`, one for each removal, and whether
            these are all the removals that there are.
        """
        rng, is_all = self._rng(stream), size == 1 and len(members) <= count
        if size == 1:
            chosen = rng.permutation(members)[:count, None]
        else:
            chosen = [
                rng.choice(members, size, replace=False) for _ in range(count)
            ]
        shown = progress.shown(chosen, "removal", len(chosen), self._verbose)
        return [self._without(removed) for removed in shown], is_all

    def _without(self, removed):
        """Returns what the examples say of the part without some members."""
        left = self._parts.flat(self._finding.values)
        left[removed] = False
        return self._network.values(self._parts.alone(self._parts.nest(left)))

    def _drops(self, without):
        """Returns by how much the part's performance falls, an array."""
        return self._alone - np.array(
            [self._network.performance(values) for values in without]
        )

    def _is_fall(self, values):
        return self._network.is_fall(self._values, values, self._tolerance)

    def _estimate(self, values, network=None):
        """Returns the performance of what `values` of a network returned."""
        network = network or self._network
        low, high = network.interval(values, self._seed)
        value = network.performance(values)
        return result.Estimate(value, low, high, "examples", network.count)

    def _of_random(self, kept, random, does_as_well=None, network=None):
        """Returns what random parts do in the mean.

        Args:
            kept: Function from values of the parts to what stays of weights.
            random: List of such values, one for each random part.
            does_as_well: Function from their performance, an array, to which
                do as well as the finding; or `None`.
            network: `OnExamples`, `None` for that of the task.
        """
        network = network or self._network
        shown = progress.shown(random, "part", len(random), self._verbose)
        found = [network.values(kept(values)) for values in shown]
        each = np.array([network.performance(values) for values in found])
        value, n, p = float(each.mean()), len(each), None
        low, high = stats.combined_interval(
            value,
            stats.bounded_interval(each, *network.bounds),
            network.interval(np.mean(found, axis=0), self._seed),
            bounds=network.bounds,
        )
        if does_as_well is not None:
            p = float((1 + does_as_well(each).sum()) / (1 + n))
        return result.Estimate(value, low, high, "random parts", n, p)

    def _rng(self, stream):
        return np.random.default_rng([self._seed, stream])
