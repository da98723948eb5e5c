r"""Times the parts of a mask training step on one dense layer.

python -m benchmarks.mask_kernels --units=2000

A layer of units x units weights, K samples, a batch of 128 rows in K parts.
The limits are kernels that move the same memory and compute nothing else.
"""

import statistics
import time

import keras
import numpy as np
import rich
import rich.table
import tensorflow as tf
from absl import app, flags

from modularity_tf.masking import mask_sampling

BATCH = 128


def parts(units, num_samples):
    """Yields a name and a function without arguments for every part."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return tf.constant(rng.normal(size=shape).astype("float32"))

    samples = range(num_samples)
    weights, logits = normal(units, units), normal(units, units)
    keys = mask_sampling._draw_keys(0, 1, num_samples)[0]
    flat_weights, flat_logits = (tf.reshape(x, [-1]) for x in (weights, logits))
    upstream = [normal(units, units) for _ in samples]
    flat_upstream = [tf.reshape(gradient, [-1]) for gradient in upstream]
    rows = [normal(BATCH // num_samples, units) for _ in samples]
    batch = normal(BATCH, units)
    variable = keras.Variable(np.zeros((units, units), "float32"))
    adam = keras.optimizers.Adam(1e-3, epsilon=1e-12)
    adam.build([variable])

    @tf.function(jit_compile=True)
    def write():
        return [weights * (k + 0.5) for k in samples]

    @tf.function(jit_compile=True)
    def read(*gradients):
        return tf.add_n(gradients) * weights * logits

    @tf.function
    def multiply(inputs, kernels):
        return [tf.matmul(x, w) for x, w in zip(inputs, kernels, strict=True)]

    @tf.function
    def differentiate(inputs):
        return [tf.matmul(x, x, transpose_a=True) for x in inputs]

    @tf.function
    def update(gradient):
        adam.apply([gradient])

    yield (
        "forward kernel",
        lambda: mask_sampling._masked_weights(flat_weights, flat_logits, keys),
    )
    yield "  limit: write K products", write
    yield (
        "backward kernel",
        lambda: mask_sampling._logit_gradient(
            flat_upstream, flat_weights, flat_logits, keys, samples, 1.0
        ),
    )
    yield "  limit: read K gradients", lambda: read(*upstream)
    yield "K products", lambda: multiply(rows, upstream)
    yield "  of one batch", lambda: multiply([batch], [weights])
    yield "K weight gradients", lambda: differentiate(rows)
    yield "  of one batch", lambda: differentiate([batch])
    yield "Adam", lambda: update(weights)
    yield "global norm", lambda: tf.linalg.global_norm([weights])


def milliseconds(function, repeats):
    """Returns the median time of a call."""
    seconds = []
    function()  # traces
    for _ in range(repeats):
        start = time.perf_counter()
        for tensor in tf.nest.flatten(function()):
            if tensor is not None:
                np.asarray(tensor[..., :1] if tensor.shape.rank else tensor)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    args = flags.FLAGS
    table = rich.table.Table("part", "ms")
    for name, function in parts(args.units, args.num_samples):
        table.add_row(name, f"{milliseconds(function, args.repeats):.1f}")
    rich.print(table)


if __name__ == "__main__":
    flags.DEFINE_integer("units", 2000, "Rows and columns of the layer.", 1)
    flags.DEFINE_integer("num_samples", 4, "K.", 1)
    flags.DEFINE_integer("repeats", 30, "Calls; the median counts.", 1)
    app.run(main)
