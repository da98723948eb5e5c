"""Binary masks over weights: sample, threshold, penalty, top scores. Pure.

A mask holds one logit l per weight. While it trains, the weight is kept with
probability sigmoid(l); afterwards it is kept where l > 0. A mask value of 1
keeps a weight, 0 removes it.

References:
    - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066), section 2 and
      appendix A
"""

import itertools
import math
import numbers

import keras
import tensorflow as tf
from keras import ops

BITS_PER_SAMPLE = 16  # keep probabilities are resolved to 2 ** -16
_GROUP_SIZE = 2**16  # weights; fewer share a kernel with their neighbours


def logit(probability):
    """Returns the logit of a keep probability, log(p / (1 - p)).

    Args:
        probability: Float in (0, 1).

    Returns:
        Float, the logit.

    Raises:
        ValueError: If `probability` is not in (0, 1).
    """
    if not is_number(probability) or not 0.0 < probability < 1.0:
        raise ValueError(
            "A keep probability must be a float in (0, 1), got "
            f"{probability!r}."
        )
    return math.log(probability) - math.log1p(-probability)


def threshold(logits):
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


def penalty(logits, alpha):
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


def top_scores(scores, count):
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


def sample(logits, seed, num_samples=None, temperature=1.0):
    """Draws binary masks with straight-through gradients.

    Forward, each value is 1 with probability sigmoid(l), else 0, whatever the
    temperature. Backward, it has the gradient of the soft Gumbel-sigmoid
    sample s = sigmoid((l + log(u / (1 - u))) / tau) with u uniform on (0, 1),
    which is s * (1 - s) / tau. (The paper writes the noise with two uniforms,
    -log(log U1 / log U2); its law is the same.)

    Args:
        logits: Float tensor of any shape.
        seed: Int, integer tensor of shape `(2,)` or
            `keras.random.SeedGenerator`. The same seed draws the same masks.
        num_samples: Positive int or `None`. How many masks to draw.
        temperature: Positive float tau.

    Returns:
        Float tensor of zeros and ones, shape `(num_samples, *logits.shape)`,
        or `logits.shape` if `num_samples` is `None`.

    Raises:
        ValueError: If `num_samples` or `temperature` is not positive.

    References:
        - [Csordas et al., 2021](https://arxiv.org/abs/2010.02066),
          equations 1 and 2, appendix A
    """
    logits = tf.convert_to_tensor(logits, tf.float32)
    drawn = sample_weights(
        tf.ones_like(logits),
        logits,
        seed,
        1 if num_samples is None else num_samples,
        temperature,
    )
    return drawn[0] if num_samples is None else tf.stack(drawn)


def sample_weights(
    weights, logits, seed, num_samples=1, temperature=1.0, samples=None
):
    """Draws masks and returns the masked weights, `weights * mask`.

    The same draws and gradients as `sample`, with the product in the same
    compiled kernel. The random bits are hashed from the weight's index and
    never stored, so memory is that of the results alone.

    Args:
        weights: Float tensor of any shape.
        logits: Float tensor of the same shape.
        seed: As in `sample`.
        num_samples: Positive int. How many masks there are.
        temperature: Positive float tau.
        samples: Range within `range(num_samples)`, the masks to draw; all by
            default. Several devices can draw a part each.

    Returns:
        List of float tensors of shape `logits.shape`, one a sample.

    Raises:
        ValueError: If `num_samples` or `temperature` is not positive.
    """
    check_arguments(num_samples, temperature=temperature)
    weights = tf.convert_to_tensor(weights)
    logits = tf.convert_to_tensor(logits, tf.float32)
    samples = samples or range(num_samples)
    words = -(-num_samples * BITS_PER_SAMPLE // 32)
    keys = tf.random.stateless_uniform(
        (words, 2), _seed_pair(seed), None, None, tf.uint32
    )

    @tf.custom_gradient
    def draw(weights, logits):
        def gradient(*upstream):
            arguments = upstream, weights, logits, keys, samples
            # Two kernels: inside a tf.function the unwanted one is pruned.
            return (
                _weight_gradient(*arguments),
                _logit_gradient(*arguments, temperature),
            )

        return _masked_weights(weights, logits, keys, samples), gradient

    return list(draw(weights, logits))


def sample_weight_dict(
    weights, logits, seed, num_samples=1, temperature=1.0, samples=None
):
    """Draws masks for several weights and returns the masked weights.

    As `sample_weights`, for each weight of a model. Launching and compiling a
    kernel costs as much as sampling some ten thousand weights, so small
    neighbours share one.

    Args:
        weights: Dict of float tensors of any shape.
        logits: Dict of float tensors with the same keys and shapes.
        seed: As in `sample`.
        num_samples: As in `sample_weights`.
        temperature: As in `sample_weights`.
        samples: As in `sample_weights`.

    Returns:
        List of dicts like `weights`, one a sample.

    Raises:
        ValueError: If `num_samples` or `temperature` is not positive.
    """
    seed = _seed_pair(seed)
    drawn = [{} for _ in samples or range(num_samples)]
    for i, keys in enumerate(_group(weights)):
        shapes = [weights[key].shape for key in keys]
        flat = sample_weights(
            _flatten([weights[key] for key in keys]),
            _flatten([logits[key] for key in keys]),
            tf.random.experimental.stateless_fold_in(seed, i),
            num_samples,
            temperature,
            samples,
        )
        for sample, values in zip(drawn, flat, strict=True):
            sample.update(zip(keys, _unflatten(values, shapes), strict=True))
    return drawn


def split_batch(inputs, num_samples):
    """Cuts a batch into `num_samples` parts that differ by one row at most.

    Args:
        inputs: Tensor of shape `(batch, ...)`, or a nest of such.
        num_samples: Positive int, at most `batch`.

    Returns:
        List of `num_samples` nests like `inputs`.

    Raises:
        ValueError: If the batch is smaller than `num_samples`
            (`tf.errors.InvalidArgumentError` where the batch size is unknown
            until the compiled step runs).
    """
    if num_samples == 1:
        return [inputs]
    batch = ops.shape(keras.tree.flatten(inputs)[0])[0]
    message = (
        "The batch must hold at least one row for each of the "
        f"`num_samples`={num_samples} masks"
    )
    if isinstance(batch, int):
        if batch < num_samples:
            raise ValueError(f"{message}, got a batch of {batch}.")
    else:
        tf.debugging.assert_greater_equal(batch, num_samples, message)
    cuts = [batch * k // num_samples for k in range(num_samples + 1)]
    return [
        keras.tree.map_structure(lambda x: x[start:stop], inputs)  # noqa: B023
        for start, stop in itertools.pairwise(cuts)
    ]


def check_arguments(num_samples, alpha=0.0, temperature=1.0):
    """Raises `ValueError` for what no mask can be trained with."""
    whole = isinstance(num_samples, int) and not isinstance(num_samples, bool)
    if not whole or num_samples < 1:
        raise ValueError(
            f"`num_samples` must be a positive int, got {num_samples!r}."
        )
    if not is_number(alpha) or alpha < 0:
        raise ValueError(
            f"`alpha` must be a finite number of at least 0, got {alpha!r}."
        )
    if not is_number(temperature) or temperature <= 0:
        raise ValueError(
            "`temperature` must be a finite, positive number, got "
            f"{temperature!r}."
        )


def is_number(value):
    """Returns whether a value is a finite real number, and no bool."""
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _seed_pair(seed):
    """Returns the `(2,)` integer tensor that stateless random ops take."""
    if isinstance(seed, keras.random.SeedGenerator):
        seed = seed.next()
    if isinstance(seed, int):
        seed = (seed, 0)
    return tf.cast(seed, tf.int64)


def _group(tensors):
    """Cuts a dict of tensors into lists of keys, to be sampled together."""
    groups, room = [], 0
    for key, tensor in tensors.items():
        size = math.prod(tensor.shape)
        if size > room:
            groups.append([])
            room = _GROUP_SIZE
        groups[-1].append(key)
        room -= size
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


# The kernels below are element-wise loops. Compiled by XLA, each is one pass
# over memory; the random bits live in registers, and the backward pass hashes
# them anew.


@tf.function(jit_compile=True, autograph=False)
def _masked_weights(weights, logits, keys, samples):
    removed = tf.sigmoid(-logits)
    return [
        tf.where(uniform > removed, weights, 0)
        for uniform in _uniforms(logits.shape, keys, samples)
    ]


@tf.function(jit_compile=True, autograph=False)
def _weight_gradient(upstream, weights, logits, keys, samples):
    removed = tf.sigmoid(-logits)
    uniforms = _uniforms(logits.shape, keys, samples)
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
    uniforms = _uniforms(logits.shape, keys, samples)
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


def _uniforms(shape, keys, samples):
    """Yields a tensor a sample, uniform on the midpoints of 2**16 bins.

    A counter-based generator: the weight's index is mixed with a 64-bit key
    by multiplications and shifts. Each 32-bit word serves two samples.
    """
    index = tf.cast(tf.range(shape.num_elements()), tf.uint32)
    index = tf.reshape(index, shape)
    words = {k // 2: _mix(index, keys[k // 2]) for k in samples}
    for k in samples:
        shift = tf.constant(BITS_PER_SAMPLE * (k % 2), tf.uint32)
        bits = tf.bitwise.right_shift(words[k // 2], shift)
        bits = tf.cast(bits & tf.constant(0xFFFF, tf.uint32), tf.int32)
        yield (tf.cast(bits, tf.float32) + 0.5) * 2.0**-BITS_PER_SAMPLE


def _mix(word, key):
    """Mixes uint32 counters with two key words: multiply, shift, xor."""
    word += key[0]
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        word ^= tf.bitwise.right_shift(word, tf.constant(shift, tf.uint32))
        word = (word ^ key[1]) * tf.constant(factor, tf.uint32)
    return word ^ tf.bitwise.right_shift(word, tf.constant(16, tf.uint32))
