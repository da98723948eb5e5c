"""PenaltyPath: one mask is trained while its penalty grows, level by level."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from modularity_tf.masking import judging, mask_sampling

BLOCK = 50  # steps between two looks at the mask
_PER_DECADE = 4  # levels
_SAME = 1.01  # penalties of a smaller ratio are the same
# The first level has six blocks at least, as most weights leave then. At the
# others the penalty grows after two blocks in which the mask has shrunk by less
# than 2 %, or after 30 of any kind.
_WARM_UP = 6
_SHRINKS, _STILL, _STAY = 0.02, 2, 30
_TYPICAL_STAY = 6  # blocks
# A mask that does not perform has time as long as performance moves: until it
# has not for some blocks, and at most for some more. A first mask has more.
_MOVES = 0.02  # on the scale of performance, from block to block
_PATIENCE, _WAIT = 3, 30
_PATIENCE_AT_FIRST, _WAIT_AT_FIRST = 10, 60
_COLLAPSED = 0.5  # of the weights of the last mask that performed: no patience
_RETRIES = 2
# Scores lie between penalties, so no two levels may be nearer to each other.
_SMALLEST_STEP = 10 ** (1 / _PER_DECADE / 2**_RETRIES)
# A mask is cut at one of the four widest gaps between its logits. What stays
# are at least a fifth of its weights.
_GAPS, _LEAVES = 4, 0.2
_GAP = 1.0  # is wide; a mask that does not perform is cut at narrower ones
_OUT = 2.2  # by how much cut logits are below the threshold at least
# A second start, if no mask of the first has performed.
_LOWER = 100.0  # by what its penalty is divided
_SURER = 0.9975  # the chance that a weight is kept, at least
_LEVELS_AT_FIRST = 12  # that need not perform: a smaller mask may generalize
_NEAR = 0.8  # of the size that was asked for


def steps_between(first: float, last: float, steps: int | None) -> int:
    """Returns the training steps of a path that ends at a given penalty.

    If every mask on the way performs.

    Args:
        first: Float, the penalty at which the path would begin.
        last: Float, the penalty at which it ends.
        steps: Positive int, those at each penalty; `None` for six blocks at
            the first, and at the others as many as is usual.
    """
    more = 0
    if last > first:
        more = math.ceil(_PER_DECADE * math.log10(last / first) - 0.02)
    if steps is None:
        return BLOCK * (_WARM_UP + _TYPICAL_STAY * more)
    block = min(steps, BLOCK)
    return math.ceil(steps / block) * block * (1 + more)


@dataclasses.dataclass(frozen=True)
class Level:
    """A mask of the path.

    Attributes:
        alpha: Float, its penalty.
        judged: `Judged`, how well it does.
        keep_fraction: Float, the share of the weights that it keeps.
        logits: Dict from weight path to float32 array.
        steps: Int, the training steps so far.
    """

    alpha: float
    judged: judging.Judged
    keep_fraction: float
    logits: Mapping[str, np.ndarray]
    steps: int


class PenaltyPath(keras.callbacks.Callback):
    """Lets the penalty of a `MaskedModel` grow while it trains.

    An epoch of the training is a block of steps. At the first penalty the mask
    trains for six. If it performs, the penalty is multiplied by 10 ** (1 / 4),
    and the mask trains on from where it is: as long as it performs and shrinks
    by more than 2 % in a block, until it has not done so in two blocks, at
    most for thirty. So weights that only cancel each other have time to leave
    before the penalty tears at those that are needed.

    Some of these hover at the threshold instead: if one leaves alone, the loss
    brings it back. So before the penalty grows, the widest gaps between the
    mask's logits are looked at, and those between the highest logits of its
    tensors. If the mask does as well without all that is below such a gap, this
    leaves at once.

    A mask that does not perform may be a passage: in heads that cancel each
    other, performance falls while the mask goes over from one arrangement to
    another. So the path waits at the same penalty as long as performance
    changes. Then it tries such cuts again, at narrower gaps, too, for the mask
    may have lost one of two weights that cancel each other. A cut has to do as
    well as the last mask that performed. If none does, the path goes back to
    that mask, and goes on in steps half as large on the log scale. After two
    such returns it ends.

    As long as no mask has performed, the path waits longer. If none does, it
    begins once more, with a hundredth of the first penalty, which some large
    networks need, and, unless masks are drawn, with keep probabilities of at
    least 0.9975, which networks of many steep layers need. If that does not
    help, either, the penalty grows twelve times in spite of it: where training
    data are few, a smaller mask may do better on validation data than a large
    one.

    Args:
        judge: Function from a dict from weight path to booleans, True for what
            is kept, to `Judged`.
        alpha: Float, the first penalty.
        last: Float, the penalty at which the path ends whether or not the mask
            performs, or `None`. If a mask performs within one level of it, and
            none at it, that mask is found.
        keep: Float, the share of the weights at which it ends likewise, or
            `None`.
        blocks: Int, the blocks of each level; `None` for six of the first and
            of the others as many as the mask shrinks.
        show: Function that is called with each `Level`.

    Attributes:
        levels: List of `Level` without logits, the last of each penalty that
            performed, or that was reached because `last` or `keep` asks for it.
        found: The last of these, with logits; `None` if there is none.
        initial_keep_probability: Float, the chance that a weight was kept at
            the start.
        best: The `Level` that did best before one performed.
        left: Dict from weight path to the penalty up to which each weight was
            kept, float32 arrays. Weights that the first mask that performed
            does not keep have less than half of its penalty, the more the
            nearer their logits are to 0.
    """

    def __init__(
        self,
        judge: Callable[[Mapping[str, np.ndarray]], judging.Judged],
        alpha: float,
        *,
        last: float | None = None,
        keep: float | None = None,
        blocks: int | None = None,
        show: Callable[[Level], Any] = lambda level: None,
    ) -> None:
        super().__init__()
        self._judge, self._show = judge, show
        self._alpha = alpha if last is None else min(alpha, last)
        self._last, self._keep, self._level_blocks = last, keep or 0.0, blocks
        self._log_step = 1 / _PER_DECADE
        self._retries, self._surely = _RETRIES, True
        self._levels_left, self._may_begin_lower = _LEVELS_AT_FIRST, True
        self._is_forced = False  # goes on whatever the performance
        # Masks at this penalty, without those that wait by now, and how many
        # in a row that hardly shrank.
        self._masks, self._still = 0, 0
        self._steps = 0
        self.initial_keep_probability = math.nan
        self.levels: list[Level] = []
        self.found: Level | None = None
        self.best: Level | None = None
        self.left: dict[str, np.ndarray] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.initial_keep_probability = self.model.initial_keep_probability
        self._begin_level(self._alpha)

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self._blocks += 1
        self._steps += (self.params or {}).get("steps", BLOCK)
        logits = {
            path: ops.convert_to_numpy(variable.value)
            for path, variable in self.model.mask_logits.items()
        }
        kept = {path: values > 0 for path, values in logits.items()}
        share = _share_of(kept)
        if logs is not None:
            logs.update(alpha=self._alpha, keep_fraction=share)
        if not self._level_ends or self._is_untouched(share):
            return
        level = Level(
            self._alpha, self._judge(kept), share, logits, self._steps
        )
        self._show(level)
        best = -math.inf if self.best is None else self.best.judged.overall
        if self.found is None and level.judged.overall > best:
            self.best = level
        if level.judged.performs(surely=self._surely) or self._is_forced:
            self._go_on(level)
        elif self._has_patience(level):
            pass
        elif self.found is None:
            self._begin_anyway(level)
        elif (part := self._cut(level, 0.0)) is not None:
            self._masks += self._waited  # blocks count, however they end
            self._go_on_from(part)
        elif self._is_near_last:
            self.model.stop_training = True
        elif self._retries:
            self._go_back()
        else:
            self._give_up(level)

    def _begin_level(self, alpha):
        self._alpha = self.model.alpha = alpha
        self._blocks = 0
        self._waited, self._before, self._since = 0, math.inf, 0

    def _step_up(self, alpha):
        """Begins the level after a penalty."""
        alpha *= 10**self._log_step
        if self._last is not None and alpha > self._last / _SMALLEST_STEP:
            alpha = self._last
        self._masks, self._still = 0, 0
        self._begin_level(alpha)

    @property
    def _level_ends(self):
        """Whether a mask has been trained at the penalty for long enough."""
        if self._level_blocks is not None:
            return self._blocks >= self._level_blocks
        is_first = self.found is None and self._levels_left == _LEVELS_AT_FIRST
        return self._blocks >= (_WARM_UP if is_first else 1)

    def _is_untouched(self, share):
        """Returns whether the mask of a second start has lost no weight yet.

        It would perform, and say nothing.
        """
        is_second = not self._may_begin_lower
        is_first_level = self._levels_left == _LEVELS_AT_FIRST
        is_begun = self.found is not None or self._blocks >= _WAIT_AT_FIRST
        return is_second and is_first_level and share == 1 and not is_begun

    def _go_on(self, level):
        """Notes a mask that performs, and goes on from it."""
        previous = self.found
        is_too_small = level.keep_fraction < _NEAR * self._keep
        if is_too_small and previous is not None and self._retries:
            self._go_back()
            return
        self.found = level
        self.best = None  # its logits take memory
        if previous is not None and previous.alpha == level.alpha:
            self.levels.pop()
        self.levels.append(dataclasses.replace(level, logits={}))
        self._masks += 1
        if previous is not None:
            smaller = (1 - _SHRINKS) * previous.keep_fraction
            is_still = level.keep_fraction >= smaller
            self._still = self._still + 1 if is_still else 0
        self._note_scores(level)
        if level.keep_fraction <= self._keep:
            if self._last is not None:  # what is empty stays so until then
                self.found = dataclasses.replace(level, alpha=self._last)
            self.model.stop_training = True
        elif previous is not None and self._is_to_wait:
            self._begin_level(level.alpha)
        elif (part := self._cut(level, _GAP)) is not None:
            self._go_on_from(part)
        elif self._last is not None and level.alpha >= self._last:
            self.model.stop_training = True
        else:
            self._step_up(level.alpha)

    @property
    def _is_to_wait(self):
        """Whether to stay at a penalty, as the mask still shrinks."""
        is_free = self._level_blocks is None
        return is_free and self._still < _STILL and self._masks < _STAY

    @property
    def _is_near_last(self):
        """Whether a mask performed a level before the end asked for, or less.

        Another seed or task may just miss the penalty that one has reached.
        """
        if self._last is None:
            return False
        return self._last <= _SAME * self.found.alpha * 10 ** (1 / _PER_DECADE)

    def _go_on_from(self, part):
        """Goes on from a part of a mask."""
        self._show(part)
        self.model.set_logits(part.logits)
        self._go_on(part)

    def _cut(self, level, width):
        """Returns a level with a part of the mask that does well, or `None`.

        That is as well as the last mask that performed.

        Args:
            level: `Level`.
            width: Float, a gap must be wider.
        """
        if self._is_forced:
            return None
        logits = level.logits
        kept = np.sort(np.concatenate([x[x > 0] for x in logits.values()]))
        total = sum(x.size for x in logits.values())
        most = kept.size - max(_LEAVES * kept.size, self._keep * total)
        below = np.arange(1, kept.size + 1)
        for end in _ends(kept, below, most, width):
            if part := self._part(level, {path: end for path in logits}):
                return part
        highest = {
            p: float(x.max()) for p, x in logits.items() if (x > 0).any()
        }
        order = sorted(highest, key=highest.get)
        heights = np.array([highest[path] for path in order])
        below = np.cumsum([(logits[path] > 0).sum() for path in order])
        for end in _ends(heights, below, most, width):
            ends = {p: end if highest.get(p, 0) <= end else 0 for p in logits}
            if part := self._part(level, ends):
                return part
        return None

    def _part(self, level, ends):
        """Returns the part of a mask above an end in each tensor, or `None`."""
        logits = {
            path: np.where(
                (x > 0) & (x <= ends[path]), x - ends[path] - _OUT, x
            )
            for path, x in level.logits.items()
        }
        kept = {path: x > 0 for path, x in logits.items()}
        judged = self._judge(kept)
        if judged.overall < self.found.judged.overall:
            return None
        if not judged.performs(surely=self._surely):
            return None
        return dataclasses.replace(
            level, judged=judged, keep_fraction=_share_of(kept), logits=logits
        )

    def _note_scores(self, level):
        """Notes the penalty up to which weights are kept.

        A weight of a later mask has a higher score, also at the same penalty.
        """
        for path, logits in level.logits.items():
            if path not in self.left:
                self.left[path] = level.alpha / (2 + np.abs(logits))
            within = 1 / (1 + np.exp(-np.abs(logits)))  # orders those that stay
            part = 1 - 1 / (self._masks + within)  # of the smallest step
            penalty = level.alpha * _SMALLEST_STEP**part
            self.left[path] = np.where(logits > 0, penalty, self.left[path])

    def _has_patience(self, level):
        """Returns whether to wait at a mask that does not perform."""
        self._waited += 1
        before, self._before = self._before, level.judged.overall
        is_still = abs(level.judged.overall - before) <= _MOVES
        self._since = self._since + 1 if is_still else 0
        if self.found is None:
            if self._levels_left < _LEVELS_AT_FIRST:
                return False
            patience, wait = _PATIENCE_AT_FIRST, _WAIT_AT_FIRST
        elif level.keep_fraction <= _COLLAPSED * self.found.keep_fraction:
            return False
        else:
            patience, wait = _PATIENCE, _WAIT
        return self._since < patience and self._waited < wait

    def _begin_anyway(self, level):
        """Goes on where no mask has performed."""
        if level.judged.performs(surely=False):
            self._surely = False
            self._go_on(level)
        elif level.alpha == self._last:
            self._give_up(level)
        elif self._may_begin_lower:
            self._may_begin_lower = False
            self.model.reset(seed=self.model.seed)
            if self.model.num_samples is None:
                self._begin_surer()
            self._begin_level(level.alpha / _LOWER)
        elif self._levels_left and level.keep_fraction > 0:
            self._levels_left -= 1
            self._step_up(level.alpha)
        else:
            self._give_up(level)

    def _begin_surer(self):
        """Lets logits begin where soft masks are near to 1."""
        start = max(self.initial_keep_probability, _SURER)
        self.initial_keep_probability = start
        logit = mask_sampling.logit(start)
        self.model.set_logits(
            {
                path: np.full(variable.shape, logit, "float32")
                for path, variable in self.model.mask_logits.items()
            }
        )

    def _go_back(self):
        """Goes on from the last mask that performed, in smaller steps."""
        self._retries -= 1
        self._log_step /= 2
        self.model.set_logits(self.found.logits)
        self._step_up(self.found.alpha)

    def _give_up(self, level):
        """Ends the path, unless its end was asked for."""
        if self._last is None and not self._keep:
            self.model.stop_training = True
        else:
            self._is_forced = True
            self._go_on(level)


def _share_of(kept):
    """Returns the share of all weights that are kept."""
    total = sum(flags.size for flags in kept.values())
    return sum(int(flags.sum()) for flags in kept.values()) / total


def _ends(heights, below, most, width):
    """Returns the lower ends of the widest gaps, the widest first.

    Args:
        heights: Float array, sorted, of which the gaps are.
        below: Int array, how many weights would leave up to each height.
        most: Float, how many may.
        width: Float, a gap must be wider.
    """
    gaps = np.flatnonzero(np.diff(heights) > width)
    gaps = gaps[below[gaps] <= most]
    widest = np.argsort(heights[gaps] - heights[gaps + 1], kind="stable")
    return heights[gaps[widest[:_GAPS]]].tolist()
