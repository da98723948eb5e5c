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

import keras
import tensorflow as tf
from keras import ops

BITS_PER_SAMPLE = 16  # keep probabilities are resolved to 2 ** -16
_GROUP_SIZE = 2**16  # weights; fewer share a kernel with others
_ALGORITHM = "philox"


def logit(probability):
    """Returns the logit of a keep probability, log(p / (1 - p)).

    Args:
        probability: Float in (0, 1).

    Returns:
        Float, the logit.

    Raises:
        ValueError: If `probability` is not in (0, 1).
    """
    if not 0.0 < probability < 1.0:
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
    keys = _draw_keys(seed, 1, num_samples, samples)[0]
    drawn = _draw(
        _flatten([weights]), _flatten([logits]), keys, temperature, True
    )
    return [ops.reshape(values, logits.shape) for values in drawn]


def sample_weight_dict(
    weights, logits, seed, num_samples=1, temperature=1.0, samples=None
):
    """Draws masks for several weights and returns the masked weights.

    As `sample_weights`, for each weight of a model, but the weights are
    constants: gradients reach the logits alone. Launching and compiling a
    kernel costs as much as sampling some ten thousand weights, so small
    weights of a dtype share one.

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
    check_arguments(num_samples, temperature=temperature)
    groups = _group(weights)
    keys = _draw_keys(seed, len(groups), num_samples, samples)
    drawn = [{} for _ in samples or range(num_samples)]
    for i, names in enumerate(groups):
        shapes = [weights[name].shape for name in names]
        flat = _draw(
            _flatten([weights[name] for name in names]),
            _flatten([logits[name] for name in names]),
            keys[i],
            temperature,
            False,
        )
        for sample, values in zip(drawn, flat, strict=True):
            sample.update(zip(names, _unflatten(values, shapes), strict=True))
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
    if not isinstance(num_samples, int) or num_samples < 1:
        raise ValueError(
            f"`num_samples` must be a positive int, got {num_samples!r}."
        )
    if not alpha >= 0:
        raise ValueError(f"`alpha` must be at least 0, got {alpha!r}.")
    if not temperature > 0:
        raise ValueError(
            f"`temperature` must be positive, got {temperature!r}."
        )


def _seed_pair(seed):
    """Returns the `(2,)` integer tensor that stateless random ops take."""
    if isinstance(seed, keras.random.SeedGenerator):
        seed = seed.next()
    if isinstance(seed, int):
        seed = (seed, 0)
    return tf.cast(seed, tf.int64)


def _draw_keys(seed, groups, num_samples, samples):
    """Returns what each group and sample hashes its bits with.

    Returns:
        uint32 tensor of shape `(groups, samples, 3)`: two key words, and which
        half of the hashed word the sample takes, as a shift. Two samples share
        a word.
    """
    samples = samples or range(num_samples)
    words = -(-num_samples * BITS_PER_SAMPLE // 32)
    # Philox's integers are the same on every device, with and without XLA;
    # "auto_select" and floats are not.
    keys = tf.random.stateless_uniform(
        (groups, words, 2),
        _seed_pair(seed),
        None,
        None,
        tf.uint32,
        alg=_ALGORITHM,
    )
    shifts = [[[BITS_PER_SAMPLE * (k % 2)] for k in samples]] * groups
    return tf.concat(
        [
            tf.gather(keys, [k // 2 for k in samples], axis=1),
            tf.constant(shifts, tf.uint32),
        ],
        axis=-1,
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


def _draw(weights, logits, keys, temperature, train_weights):
    """Returns flat masked weights, one tensor a sample.

    Args:
        weights: Float tensor of shape `(size,)`.
        logits: Float32 tensor of shape `(size,)`.
        keys: Of the group, as `_draw_keys` returns them.
        temperature: Positive float.
        train_weights: Bool. Whether gradients reach the weights, too.
    """

    @tf.custom_gradient
    def draw(weights, logits):
        def gradient(*upstream):
            to_weights = None
            if train_weights:  # of its own, so that a graph can prune it
                to_weights = _weight_gradient(upstream, weights, logits, keys)
            to_logits = _logit_gradient(
                upstream, weights, logits, keys, temperature
            )
            return to_weights, to_logits

        return tf.unstack(_masked_weights(weights, logits, keys)), gradient

    return draw(weights, logits)


# The kernels below are element-wise loops over flat tensors. Compiled by XLA,
# each is one pass over memory; the random bits live in registers, and the
# backward pass hashes them anew. What is compiled depends on the size and the
# number of samples alone, so that weights and models of equal sizes share it.


@tf.function(jit_compile=True, autograph=False)
def _masked_weights(weights, logits, keys):
    """Returns a tensor of shape `(samples, size)`."""
    # One loop for all samples: XLA would compile as many as there are outputs.
    uniform = _uniform(weights.shape[0], keys[:, tf.newaxis])
    return tf.where(uniform > tf.sigmoid(-logits), weights, 0)


@tf.function(jit_compile=True, autograph=False)
def _weight_gradient(upstream, weights, logits, keys):
    removed = tf.sigmoid(-logits)
    total = 0
    for k, grad in enumerate(upstream):
        kept = _uniform(weights.shape[0], keys[k]) > removed
        total += tf.where(kept, tf.cast(grad, weights.dtype), 0)
    return total


@tf.function(jit_compile=True, autograph=False)
def _logit_gradient(upstream, weights, logits, keys, temperature):
    kept, removed = tf.sigmoid(logits), tf.sigmoid(-logits)
    total = 0.0
    for k, grad in enumerate(upstream):
        uniform = _uniform(weights.shape[0], keys[k])
        if temperature == 1.0:  # without a logarithm
            on, off = kept * uniform, removed * (1.0 - uniform)
            slope = on * off / tf.square(on + off)
        else:
            noise = tf.math.log(uniform) - tf.math.log1p(-uniform)
            soft = tf.sigmoid((logits + noise) / temperature)
            slope = soft * (1.0 - soft) / temperature
        total += tf.cast(grad, slope.dtype) * slope
    return total * tf.cast(weights, slope.dtype)


def _uniform(size, keys):
    """Returns numbers uniform on the midpoints of 2**16 bins.

    A counter-based generator: the weight's index is mixed with a 64-bit key
    by multiplications and shifts. Each 32-bit word serves two samples.

    Args:
        size: Int, how many.
        keys: uint32 tensor of shape `(..., 3)` as `_draw_keys` returns it.

    Returns:
        Float32 tensor of shape `(..., size)`, without axes of length 1 in
        `keys` but the last.
    """
    index = tf.cast(tf.range(size), tf.uint32)
    word = tf.bitwise.right_shift(
        _mix(index, keys[..., 0], keys[..., 1]), keys[..., 2]
    )
    bits = tf.cast(word & _constant(0xFFFF), tf.int32)
    return (tf.cast(bits, tf.float32) + 0.5) * 2.0**-BITS_PER_SAMPLE


def _mix(index, key0, key1):
    """Mixes uint32 counters with two key words: multiply, shift, xor."""
    # Consecutive counters must differ in many bits: the rounds below alone
    # leave weights at some distances (15360, 17408, 61441) correlated.
    word = index * _constant(0x9E3779B9) + key0
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        word ^= tf.bitwise.right_shift(word, _constant(shift))
        word = (word ^ key1) * _constant(factor)
    return word ^ tf.bitwise.right_shift(word, _constant(16))


def _constant(value):
    return tf.constant(value, tf.uint32)
