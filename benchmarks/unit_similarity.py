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

from modularity_tf.units import similarity


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


def straightforward(model):
    """Returns a function from a batch to the four sums of each hidden layer."""
    *hidden, last = model.layers
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="sum"
    )

    @tf.function
    def sums(inputs, labels):
        x, activations, found = inputs, [], []
        for layer in hidden:
            x = layer(x)
            activations.append(x)
        outputs = last(x)
        total = loss(labels, outputs)

        def rows(targets, source):
            columns = tf.unstack(targets, axis=1)
            return tf.stack([tf.gradients(y, source)[0] for y in columns])

        for h in activations:
            centred = h - tf.reduce_mean(h, axis=0)
            up, down = rows(h, inputs), rows(outputs, h)
            slope = tf.gradients(total, h)[0]
            found += [
                tf.matmul(centred, centred, transpose_a=True),
                tf.tensordot(up, up, [[1, 2], [1, 2]]),
                tf.tensordot(down, down, [[0, 1], [0, 1]]),
                tf.reduce_sum(rows(slope, h), axis=1),
            ]
        return found

    return sums


def variants(examples, batch_size, units=64):
    """Returns a name and a function without arguments for every variant."""
    model, rng = network(units), np.random.default_rng(0)
    inputs = rng.random((examples, 784), dtype="float32")
    labels = rng.integers(10, size=examples)
    data = tf.data.Dataset.from_tensor_slices((inputs, labels))
    data = data.batch(batch_size).cache()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights, by_hand = model.get_weights(), straightforward(model)
    return {
        "closed form": lambda: similarity.relu_similarities(
            weights[::2], weights[1::2], inputs
        ),
        "autodiff": lambda: list(
            similarity.unit_similarities(model, data, loss=loss).values()
        ),
        "straightforward": lambda: [
            [np.asarray(value) for value in by_hand(*batch)] for batch in data
        ],
    }


def seconds(examples, batch_size, repeats, units=64):
    """Returns the median time of each variant.

    With the tracing that every call of `unit_similarities` does, without that
    of the straightforward recomputation.
    """
    times = {}
    for name, function in variants(examples, batch_size, units).items():
        function()  # traces
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
