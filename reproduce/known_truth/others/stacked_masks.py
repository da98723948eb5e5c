"""A mask for every feature of many small networks, trained side by side.

`find_weights` trains one mask while its penalty grows, and takes the smallest
that keeps 95 % of the performance. Here the same path (`PenaltyPath`, half
soft, half thresholded masks) is trained for all networks and features at once:
each has a copy of its network, a loss of its own in the unit of what its
network explains of it, and a choice of its own. What is left out is the wait
where performance falls: the path goes on for the others. A test compares the
two on one network.
"""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from modularity_tf.masking import (
    callbacks,
    find_weights,
    judging,
    masked_model,
    penalty_path,
)
from reproduce.known_truth.others import superposition

FIRST_ALPHA, LAST_ALPHA = 1e-5, 1.0  # in the unit of the explained loss
_BATCH = 256
_EXAMPLES = 4096  # that masks are chosen on


class Stack(keras.layers.Layer):
    """Copies of networks, of each of which one output is asked for.

    Args:
        kind: `superposition.Kind`.
        weights: Dict from name to array; the first axis is the copy.
        own: Int array `(copies,)`, the output of each.

    Call arguments:
        inputs: Tensor `(batch, features)`.

    Returns:
        Tensor `(batch, copies)`.
    """

    def __init__(
        self,
        kind: superposition.Kind,
        weights: Mapping[str, np.ndarray],
        own: np.ndarray,
    ) -> None:
        super().__init__(name="stack")
        self._kind, self._own = kind, np.asarray(own, "int32")
        self._weights = {
            name: self.add_weight(
                shape=values.shape,
                name=name,
                initializer=lambda shape, dtype, v=values: ops.cast(v, dtype),
            )
            for name, values in weights.items()
        }
        self.built = True

    def call(self, inputs):
        values = {k: ops.convert_to_tensor(v) for k, v in self._weights.items()}
        found = self._kind.outputs(
            values, inputs, ops.convert_to_tensor(self._own)
        )
        return ops.transpose(found)


@dataclasses.dataclass(frozen=True)
class Found:
    """The masks of all networks and features.

    Attributes:
        network: Int array `(copies,)`.
        feature: Int array `(copies,)`.
        kept: Dict from the name of a weight to a bool array whose first axis
            is the copy.
        explained: Float array `(copies,)`, the share of the loss that the
            network explains of a feature.
        share: Float array `(copies,)`, the performance that a mask keeps; NaN
            where no mask keeps 95 %, and the whole network stands.
    """

    network: np.ndarray
    feature: np.ndarray
    kept: Mapping[str, np.ndarray]
    explained: np.ndarray
    share: np.ndarray


def find(
    kind: superposition.Kind,
    weights: Mapping[str, np.ndarray],
    *,
    seed: int,
    steps: int = 0,
) -> Found:
    """Returns the mask of each feature of each network.

    Args:
        kind: `superposition.Kind`.
        weights: Dict from name to array; the first axis is the network.
        seed: Int, not negative, of the examples.
        steps: Int, training steps at each penalty, up to 50; 0 for the
            default of `find_weights`.
    """
    count = len(next(iter(weights.values())))
    network, feature = (
        each.ravel() for each in np.indices((count, kind.features))
    )
    copies = {name: values[network] for name, values in weights.items()}
    inputs = keras.Input((kind.features,))
    stack = Stack(kind, copies, feature)
    model = keras.Model(inputs, stack(inputs), name="stack_of_networks")
    masked = masked_model.MaskedModel(model, num_samples=None, seed=seed)
    draws = tf.random.Generator.from_seed(seed)
    examples = [superposition.drawn(kind, _EXAMPLES, draws) for _ in range(2)]

    def errors(kept, features):
        """Returns squared errors `(copies, examples)` under a mask."""
        right = ops.take(kind.targets(features), feature, axis=1)
        found = masked.under(kept, features)
        return ops.convert_to_numpy(ops.transpose(ops.square(found - right)))

    def mask_of(stay):
        shapes = masked.mask_logits.items()
        return {path: np.full(logits.shape, stay) for path, logits in shapes}

    everything = np.concatenate(examples)
    whole, nothing = (errors(mask_of(x), everything) for x in (True, False))
    unit = (nothing - whole).mean(axis=1)
    explained = unit / nothing.mean(axis=1)
    unit = np.where(unit > 0, unit, np.inf).astype("float32")

    def loss(targets, found):
        right = ops.take(targets, feature, axis=1)
        return ops.sum(ops.square(found - right) / unit, axis=-1)

    masked.compile(
        keras.optimizers.Adam(find_weights.LEARNING_RATE, epsilon=1e-12),
        loss,
        steps_per_execution=steps or penalty_path.BLOCK,
    )

    def judge(kept):
        """Says that all masks perform, as each is chosen by itself later.

        The smaller, the worse, lest the path cut the masks of all.
        """
        overall = 1 + sum(flags.mean() for flags in kept.values())
        return judging.Judged(1.0, 1.0, 0.0, overall, 0.0)

    path = penalty_path.PenaltyPath(
        judge,
        FIRST_ALPHA,
        last=LAST_ALPHA,
        blocks=1 if steps else None,
    )

    def batches():
        while True:
            features = superposition.drawn(kind, _BATCH, draws).numpy()
            yield features, ops.convert_to_numpy(kind.targets(features))

    masked.fit(
        batches(),
        steps_per_epoch=steps or penalty_path.BLOCK,
        epochs=10_000,  # the path ends earlier
        callbacks=[path, callbacks.FitHealth(warns=False)],
        shuffle=False,
        verbose=0,
    )
    kept, share = _chosen(path, errors, everything, whole, unit)
    names = {p: p.rpartition("/")[2] for p in kept}
    return Found(
        network,
        feature,
        {names[p]: flags for p, flags in kept.items()},
        explained,
        share,
    )


def _chosen(path, errors, everything, whole, unit):
    """Returns the smallest mask of each copy that keeps 95 %, and its share.

    By a standard error, as `find_weights` chooses. The mask of a penalty here
    is what any of its masks kept there.
    """
    kept = {p: np.ones(left.shape, bool) for p, left in path.left.items()}
    share = np.full(len(unit), np.nan)
    for level in path.levels:
        now = {p: left > level.alpha for p, left in path.left.items()}
        lost = (errors(now, everything) - whole) / unit[:, None]
        mean = 1 - lost.mean(axis=1)
        error = lost.std(axis=1) / np.sqrt(lost.shape[1])
        performs = mean - error >= judging.FRACTION
        share = np.where(performs, mean, share)
        for p, flags in now.items():
            kept[p][performs] = flags[performs]
    return kept, share
