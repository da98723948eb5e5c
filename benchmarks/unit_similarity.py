r"""Times the similarities of both hidden layers of a 784-64-64-10 network.

python -m benchmarks.unit_similarity --examples=10000

All eight, in closed form and by autodiff, beside the straightforward
recomputation: a backward pass for every unit and output, Jacobians as wide as
the inputs, a Hessian unit by unit.
"""

import statistics
import time

import keras
import numpy as np
import rich
import rich.table
import tensorflow as tf
from absl import app, flags
from keras import layers

from modularity_tf import similarity


def network(units=64):
    """Returns the network of Lange et al. (2022), untrained."""
    return keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(units, "relu"),
            layers.Dense(units, "relu"),
            layers.Dense(10),
        ]
    )


def straightforward(model, data):
    """Returns the four sums of each hidden layer, row by row."""
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="sum"
    )
    *hidden, last = model.layers

    @tf.function
    def sums(inputs, labels):
        x, found = inputs, []
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(inputs)
            activations = []
            for layer in hidden:
                x = layer(x)
                activations.append(tf.unstack(x, axis=1))
                x = tf.stack(activations[-1], axis=1)
                activations[-1].append(x)
            outputs = tf.unstack(last(x), axis=1)
            total = loss(labels, tf.stack(outputs, axis=1))
            slopes = [
                tf.unstack(outer.gradient(total, h[-1]), axis=1)
                for h in activations
            ]
        for (*units, h), slope in zip(activations, slopes, strict=True):
            up = tf.stack([outer.gradient(u, inputs) for u in units])
            down = tf.stack([outer.gradient(y, h) for y in outputs])
            centred = h - tf.reduce_mean(h, axis=0)
            hessian = [tf.reduce_sum(outer.gradient(s, h), 0) for s in slope]
            found.append(
                {
                    "covariance": tf.matmul(centred, centred, transpose_a=True),
                    "input_sensitivity": tf.einsum("ikx,jkx->ij", up, up),
                    "output_sensitivity": tf.einsum("oki,okj->ij", down, down),
                    "loss_hessian": tf.stack(hessian),
                }
            )
        return found

    totals = None
    for batch in data:
        found = tf.nest.map_structure(np.asarray, sums(*batch))
        totals = (
            tf.nest.map_structure(np.add, totals, found) if totals else found
        )
    return totals


def variants(examples, batch_size, units=64):
    """Returns a name and a function without arguments for every variant."""
    model, rng = network(units), np.random.default_rng(0)
    inputs = rng.random((examples, 784), dtype="float32")
    labels = rng.integers(10, size=examples)
    data = tf.data.Dataset.from_tensor_slices((inputs, labels))
    data = data.batch(batch_size).cache()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = model.get_weights()
    return {
        "closed form": lambda: similarity.relu_similarities(
            weights[::2], weights[1::2], inputs
        ),
        "autodiff": lambda: list(
            similarity.unit_similarities(model, data, loss=loss).values()
        ),
        "straightforward": lambda: straightforward(model, data),
    }


def seconds(examples, batch_size, repeats, units=64):
    """Returns the median time of each variant, tracing included."""
    times = {}
    for name, function in variants(examples, batch_size, units).items():
        times[name] = []
        for _ in range(repeats):
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    args = flags.FLAGS
    table = rich.table.Table("variant", "s", "times as fast")
    times = seconds(args.examples, args.batch_size, args.repeats)
    for name, taken in times.items():
        speed = times["straightforward"] / taken
        table.add_row(name, f"{taken:.2f}", f"{speed:.1f}")
    rich.print(table)


if __name__ == "__main__":
    flags.DEFINE_integer("examples", 10_000, "Images.", 2)
    flags.DEFINE_integer("batch_size", 500, "Images at a time.", 1)
    flags.DEFINE_integer("repeats", 3, "Calls; the median counts.", 1)
    app.run(main)
