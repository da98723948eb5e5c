"""Binary masks over weights: sample, threshold, penalty, top scores. Pure.

A mask holds one logit l per weight. While it trains, the weight is kept with
probability sigmoid(l); afterwards it is kept where l > 0. A mask value of 1
keeps a weight, 0 removes it.

References:
    - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2 and
      appendix A
"""

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from modularity_tf import checks
from modularity_tf.network import keras_private

BITS_PER_SAMPLE = 16  # keep probabilities are resolved to 2 ** -16
_GROUP_SIZE = 2**16  # weights; fewer share a kernel with others
_ALGORITHM = "philox"
Seed: TypeAlias = int | tf.Tensor | keras.random.SeedGenerator


class SmallBatchError(ValueError):
    """A training batch has fewer rows than there are masks to see it."""


def todays_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration of a model or layer with today's names.

    Args:
        config: Dict; release 0.1 says `keep_probability`.
    """
    old = {"keep_probability": "initial_keep_probability"}
    return {old.get(name, name): value for name, value in config.items()}


def logit(probability: float) -> float:
    """Returns the logit of a keep probability, log(p / (1 - p)).

    Args:
        probability: Float in (0, 1).

    Returns:
        Float, the logit.

    Raises:
        ValueError: If `probability` is not in (0, 1).
    """
    checks.number("initial_keep_probability", probability, above=True, below=1)
    return math.log(probability) - math.log1p(-probability)


def threshold(logits: tf.Tensor) -> tf.Tensor:
    """Returns the mask after training: 1 where the logit is above 0, else 0.

    A logit of exactly 0 removes the weight.

    Args:
        logits: Float tensor of any shape.

    Returns:
        Boolean tensor of the same shape.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
    """
    return ops.greater(logits, 0)


def penalty(logits: tf.Tensor, alpha: float) -> tf.Tensor:
    """Returns the regularization term r = alpha * sum(l).

    It is linear in the logits, as in the paper: an unused logit falls for
    ever, it does not settle.

    Args:
        logits: Float tensor of any shape.
        alpha: Float, at least 0: the penalty on each logit.

    Returns:
        Float scalar tensor.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2
    """
    return alpha * ops.sum(ops.cast(logits, "float32"))


def top_scores(
    scores: Mapping[str, tf.Tensor], count: int
) -> dict[str, tf.Tensor]:
    """Returns the mask of the highest scores: True for `count` of them.

    Exactly `count`, whatever the ties: of equal scores the first is kept.

    Args:
        scores: Dict of float tensors of any shape, compared with each other.
        count: Int from 0 to the number of scores.

    Returns:
        Dict of boolean tensors with the same keys and shapes.

    Raises:
        ValueError: If `count` is out of range.

    References:
        - [Ramanujan et al., 2020](https://arxiv.org/abs/1911.13299), section
          3 (edge-popup)
    """
    shapes = [value.shape for value in scores.values()]
    size = sum(math.prod(shape) for shape in shapes)
    if not 0 <= count <= size:
        raise ValueError(f"`count` must be in [0, {size}], got {count!r}.")
    flat = _flatten([*scores.values()])
    chosen = tf.math.top_k(flat, count).indices
    kept = tf.scatter_nd(chosen[:, None], tf.ones_like(chosen), (size,)) > 0
    return dict(zip(scores, _unflatten(kept, shapes), strict=True))


def sample_weights(
    weights: tf.Tensor,
    logits: tf.Tensor,
    seed: Seed,
    num_samples: int = 1,
    temperature: float = 1.0,
) -> list[tf.Tensor]:
    """Draws masks, straight-through, and returns the weights under them.

    Forward, a mask is 1 with probability sigmoid(l), else 0, whatever the
    temperature. Backward, it has the gradient of the soft Gumbel-sigmoid
    sample s = sigmoid((l + log(u / (1 - u))) / tau) with u uniform on (0, 1),
    which is s * (1 - s) / tau. (The paper writes the noise with two uniforms,
    -log(log U1 / log U2); its law is the same.) The random bits are hashed
    from the weight's index and never stored, so memory is that of the results
    alone.

    Args:
        weights: Float tensor of any shape.
        logits: Float tensor of the same shape.
        seed: Int, integer tensor of shape `(2,)` or
            `keras.random.SeedGenerator`. The same seed draws the same masks.
        num_samples: Positive int. How many masks there are.
        temperature: Positive float tau.

    Returns:
        List of float tensors of shape `logits.shape`, one for each sample.

    Raises:
        ValueError: If `num_samples` or `temperature` is not positive.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066),
          equations 1 and 2, appendix A
    """
    check_arguments(num_samples, temperature=temperature)
    weights = tf.convert_to_tensor(weights)
    logits = tf.convert_to_tensor(logits, tf.float32)
    drawn = _draw(
        _flatten([weights]),
        _flatten([logits]),
        _draw_keys(seed, 1, num_samples)[0],
        range(num_samples),
        temperature,
        train_weights=True,
    )
    return [ops.reshape(values, logits.shape) for values in drawn]


def sample_weight_dict(
    weights: Mapping[str, tf.Tensor],
    logits: Mapping[str, tf.Tensor],
    seed: Seed,
    num_samples: int = 1,
    temperature: float = 1.0,
    samples: range | None = None,
) -> list[dict[str, tf.Tensor]]:
    """Draws masks for several weights and returns the masked weights.

    As `sample_weights`, for each weight of a model, but the weights are
    constants: gradients reach the logits alone. Launching and compiling a
    kernel costs as much as sampling some ten thousand weights, so small
    weights of a dtype share one.

    Args:
        weights: Dict of float tensors of any shape.
        logits: Dict of float tensors with the same keys and shapes.
        seed: As in `sample_weights`.
        num_samples: As in `sample_weights`.
        temperature: As in `sample_weights`.
        samples: Range within `range(num_samples)`, the masks to draw; all by
            default. Several devices can draw a part each.

    Returns:
        List of dicts like `weights`, one for each sample.

    Raises:
        ValueError: If `num_samples` or `temperature` is not positive.
    """
    check_arguments(num_samples, temperature=temperature)
    samples = samples or range(num_samples)
    groups = _group(weights)
    keys = _draw_keys(seed, len(groups), num_samples)

    def draw(group, weights, logits):
        return _draw(weights, logits, keys[group], samples, temperature, False)

    return _by_group(draw, groups, weights, logits)


def soft_and_hard_weight_dict(
    weights: Mapping[str, tf.Tensor], logits: Mapping[str, tf.Tensor]
) -> list[dict[str, tf.Tensor]]:
    """Returns weights under soft masks, and under the thresholded ones.

    Nothing is drawn. The soft mask is sigmoid(l), and the hard one has its
    gradient, straight through. As in `sample_weight_dict` the weights are
    constants.

    Args:
        weights: Dict of float tensors of any shape.
        logits: Dict of float tensors with the same keys and shapes.

    Returns:
        List of two dicts like `weights`.
    """

    def both(_, weights, logits):
        return _soft_and_hard(weights, logits)

    return _by_group(both, _group(weights), weights, logits)


def _by_group(mask, groups, weights, logits):
    """Returns what `mask` makes of weights that share kernels.

    Args:
        mask: Function from the number of a group, its weights and its logits,
            flat tensors, to a list of flat tensors.
        groups: Lists of keys.
        weights: Dict of tensors.
        logits: Dict of tensors.

    Returns:
        List of dicts like `weights`, as long as that of `mask`.
    """
    found = None
    for i, names in enumerate(groups):
        shapes = [weights[name].shape for name in names]
        flat = mask(
            i,
            _flatten([weights[name] for name in names]),
            _flatten([logits[name] for name in names]),
        )
        found = found or [dict.fromkeys(weights) for _ in flat]
        for part, values in zip(found, flat, strict=True):
            part.update(zip(names, _unflatten(values, shapes), strict=True))
    return found


def split_batch(inputs: Any, num_samples: int) -> list[Any]:
    """Cuts a batch into `num_samples` parts that differ by one row at most.

    Args:
        inputs: Tensor of shape `(batch, ...)`, or a nest of such.
        num_samples: Positive int, at most `batch`.

    Returns:
        List of `num_samples` nests like `inputs`.

    Raises:
        SmallBatchError: If the batch is smaller than `num_samples`
            (`tf.errors.InvalidArgumentError` where the batch size is unknown
            until the compiled step runs).
    """
    if num_samples == 1:
        return [inputs]
    batch = _count_rows(keras.tree.flatten(inputs)[0])
    message = (
        "The batch must hold at least one row for each of the "
        f"`num_samples`={num_samples} masks"
    )
    if isinstance(batch, int):
        if batch < num_samples:
            raise keras_private.told_as_it_is(
                SmallBatchError(f"{message}, got a batch of {batch}.")
            )
    else:
        tf.debugging.assert_greater_equal(batch, num_samples, message)
    cuts = [batch * k // num_samples for k in range(num_samples + 1)]
    return [
        keras.tree.map_structure(
            functools.partial(_rows, start=start, stop=stop), inputs
        )
        for start, stop in itertools.pairwise(cuts)
    ]


def check_arguments(
    num_samples: int | None, alpha: float = 0.0, temperature: float = 1.0
) -> None:
    """Raises `ValueError` for what no mask can be trained with."""
    if num_samples is not None:
        checks.integer("num_samples", num_samples, least=1)
    checks.number("alpha", alpha)
    checks.number("temperature", temperature, above=True)


def _count_rows(tensor):
    """Returns the rows of a batch: an int, or a tensor where unknown."""
    if tensor.shape[0] is not None:
        return tensor.shape[0]
    if isinstance(tensor, tf.SparseTensor):
        return tf.cast(tensor.dense_shape[0], tf.int32)
    if isinstance(tensor, tf.RaggedTensor):
        return tensor.nrows(tf.int32)
    return ops.shape(tensor)[0]


def _rows(tensor, start, stop):
    if not isinstance(tensor, tf.SparseTensor):
        return tensor[start:stop]
    size = tensor.dense_shape[1:]
    first, count = (tf.cast([x], tf.int64) for x in (start, stop - start))
    part = tf.sparse.slice(
        tensor,
        tf.concat([first, tf.zeros_like(size)], 0),
        tf.concat([count, size], 0),
    )
    part.set_shape([None, *tensor.shape[1:]])
    return part


def _seed_pair(seed):
    """Returns the `(2,)` integer tensor that stateless random ops take."""
    if isinstance(seed, keras.random.SeedGenerator):
        seed = seed.next()
    if isinstance(seed, int):
        seed = (seed, 0)
    return tf.cast(seed, tf.int64)


def _draw_keys(seed, groups, num_samples):
    """Returns what each group hashes its bits with: 64 bits for two samples.

    Returns:
        uint32 tensor of shape `(groups, words, 2)`.
    """
    words = -(-num_samples * BITS_PER_SAMPLE // 32)
    # Philox's integers are the same on every device, with and without XLA;
    # "auto_select" and floats are not.
    return tf.random.stateless_uniform(
        (groups, words, 2),
        _seed_pair(seed),
        None,
        None,
        tf.uint32,
        alg=_ALGORITHM,
    )


def _group(tensors):
    """Cuts a dict of tensors into lists of keys, to be sampled together.

    Only tensors of one dtype share a group, and large ones have their own.
    """
    groups, shared = [], {}
    for key, tensor in tensors.items():
        size, dtype = math.prod(tensor.shape), tensor.dtype
        group, room = shared.get(dtype, (None, 0))
        if size > room:
            group = []
            groups.append(group)
            room = _GROUP_SIZE
        group.append(key)
        if size < _GROUP_SIZE:
            shared[dtype] = group, room - size
    return groups


def _flatten(tensors):
    flat = [ops.reshape(tensor, (-1,)) for tensor in tensors]
    return flat[0] if len(flat) == 1 else ops.concatenate(flat)


def _unflatten(flat, shapes):
    sizes = [math.prod(shape) for shape in shapes]
    parts = tf.split(flat, sizes) if len(shapes) > 1 else [flat]
    return [
        ops.reshape(part, shape)
        for part, shape in zip(parts, shapes, strict=True)
    ]


def _draw(weights, logits, keys, samples, temperature, train_weights):
    """Returns flat masked weights, a tensor for each sample.

    Args:
        weights: Float tensor of shape `(size,)`.
        logits: Float32 tensor of shape `(size,)`.
        keys: Of the group, as `_draw_keys` returns them.
        samples: Range, the masks to draw.
        temperature: Positive float.
        train_weights: Bool. Whether gradients reach the weights, too.
    """
    temperature = float(temperature)

    @tf.custom_gradient
    def draw(weights, logits):
        def gradient(*upstream):
            arguments = upstream, weights, logits, keys, samples
            to_weights = None
            if train_weights:  # of its own, so that a graph can prune it
                to_weights = _weight_gradient(*arguments)
            return to_weights, _logit_gradient(*arguments, temperature)

        drawn = _masked_weights(weights, logits, keys, samples)
        return tf.unstack(drawn), gradient

    return draw(weights, logits)


@tf.custom_gradient
def _soft_and_hard(weights, logits):
    def gradient(*upstream):
        return None, _soft_gradient(*upstream, weights, logits)

    return _soft_and_hard_weights(weights, logits), gradient


# The kernels below are element-wise loops over flat tensors. Compiled by XLA,
# each is one pass over memory; the random bits live in registers, and the
# backward pass hashes them anew. What is compiled depends on the size and the
# samples alone, so that weights and models of equal sizes share it.


@tf.function(jit_compile=True, autograph=False)
def _masked_weights(weights, logits, keys, samples):
    """Returns a tensor of shape `(samples, size)`."""
    # One loop for all samples: XLA would compile one for each output.
    keys = tf.gather(keys, [[k // 2] for k in samples])
    word = _mix(weights.shape[0], keys[..., 0], keys[..., 1])
    halves = tf.constant([[k % 2] for k in samples], tf.uint32)
    uniform = _uniform(word, halves)
    return tf.where(uniform > tf.sigmoid(-logits), weights, 0)


@tf.function(jit_compile=True, autograph=False)
def _weight_gradient(upstream, weights, logits, keys, samples):
    removed = tf.sigmoid(-logits)
    uniforms = _uniforms(weights.shape[0], keys, samples)
    return tf.add_n(
        [
            tf.where(uniform > removed, tf.cast(grad, weights.dtype), 0)
            for grad, uniform in zip(upstream, uniforms, strict=True)
        ]
    )


@tf.function(jit_compile=True, autograph=False)
def _logit_gradient(upstream, weights, logits, keys, samples, temperature):
    kept, removed = tf.sigmoid(logits), tf.sigmoid(-logits)
    total = 0.0
    uniforms = _uniforms(weights.shape[0], keys, samples)
    for grad, uniform in zip(upstream, uniforms, strict=True):
        if temperature == 1.0:  # without a logarithm
            on, off = kept * uniform, removed * (1.0 - uniform)
            slope = on * off / tf.square(on + off)
        else:
            noise = tf.math.log(uniform) - tf.math.log1p(-uniform)
            soft = tf.sigmoid((logits + noise) / temperature)
            slope = soft * (1.0 - soft) / temperature
        total += tf.cast(grad, slope.dtype) * slope
    return total * tf.cast(weights, slope.dtype)


@tf.function(jit_compile=True, autograph=False)
def _soft_and_hard_weights(weights, logits):
    soft = tf.cast(tf.sigmoid(logits), weights.dtype)
    return weights * soft, tf.where(threshold(logits), weights, 0)


@tf.function(jit_compile=True, autograph=False)
def _soft_gradient(soft, hard, weights, logits):
    slope = tf.sigmoid(logits) * tf.sigmoid(-logits)
    return (
        tf.cast(soft + hard, slope.dtype)
        * slope
        * tf.cast(weights, slope.dtype)
    )


def _uniforms(size, keys, samples):
    """Yields `size` uniform numbers for each sample."""
    words = {k // 2: _mix(size, *tf.unstack(keys[k // 2])) for k in samples}
    for k in samples:
        yield _uniform(words[k // 2], _constant(k % 2))


def _uniform(word, half):
    """Returns numbers uniform on the midpoints of 2**16 bins.

    Args:
        word: uint32 tensor of random bits.
        half: uint32 tensor, 0 for the lower 16 bits or 1 for the upper.
    """
    bits = tf.bitwise.right_shift(word, half * _constant(BITS_PER_SAMPLE))
    bits = tf.cast(bits & _constant(0xFFFF), tf.int32)
    return (tf.cast(bits, tf.float32) + 0.5) * 2.0**-BITS_PER_SAMPLE


def _mix(size, key0, key1):
    """Hashes the numbers from 0 to `size` with a key: a word for each weight.

    A counter-based generator: the number runs through a Weyl sequence that
    begins at a random place, then through two rounds of multiply, shift and
    xor. Over all distances up to 2**20 between weights, both halves of a word
    and pairs of keys, 100 keys show no correlation.

    Args:
        size: Int, how many words.
        key0: uint32 tensor that broadcasts with `(size,)`.
        key1: As `key0`.

    Returns:
        uint32 tensor.
    """
    # Without the factor, weights some 15360, 17408 or 61441 apart correlate.
    word = tf.cast(tf.range(size), tf.uint32) * _constant(0x9E3779B9) + key0
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        word ^= tf.bitwise.right_shift(word, _constant(shift))
        word = (word ^ key1) * _constant(factor)
    return word ^ tf.bitwise.right_shift(word, _constant(16))


def _constant(value):
    return tf.constant(value, tf.uint32)
