r"""Times the similarities of both hidden layers of a 784-64-64-10 network.

OPENBLAS_NUM_THREADS=1 python -m benchmarks.unit_similarity --threads=1

All eight, in closed form and by autodiff, beside the straightforward
recomputation: a backward pass for every unit and output, Jacobians as wide as
the inputs, a Hessian unit by unit. Autodiff also measure by measure. The first
call traces, the others do not. Ratios are of processor time: NumPy and
TensorFlow take all cores unless told otherwise, as above.
"""

import json
import pathlib
import statistics
import time

import keras
import numpy as np
import rich
import rich.table
import tensorflow as tf
from absl import app, flags
from keras import layers

from benchmarks import mask_training
from modularity_tf.units import similarity


def network(units):
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
            centered = h - tf.reduce_mean(h, axis=0)
            up, down = rows(h, inputs), rows(outputs, h)
            slope = tf.gradients(total, h)[0]
            found += [
                tf.matmul(centered, centered, transpose_a=True),
                tf.tensordot(up, up, [[1, 2], [1, 2]]),
                tf.tensordot(down, down, [[0, 1], [0, 1]]),
                tf.reduce_sum(rows(slope, h), axis=1),
            ]
        return found

    return sums


def variants(examples, batch_size, units):
    """Returns a name and a function without arguments for every variant."""
    model, rng = network(units), np.random.default_rng(0)
    inputs = rng.random((examples, 784), dtype="float32")
    labels = rng.integers(10, size=examples)
    data = tf.data.Dataset.from_tensor_slices((inputs, labels))
    data = data.batch(batch_size).cache()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights, by_hand = model.get_weights(), straightforward(model)

    def autodiff(measures):
        similarities = similarity.UnitSimilarities(
            model, loss=loss, measures=measures
        )
        return lambda: [*similarities(data).values()]

    return {
        "closed form": lambda: similarity.relu_similarities(
            weights[::2], weights[1::2], inputs
        ),
        "autodiff": autodiff(similarity.MEASURES),
        **{
            f"autodiff, {kind}": autodiff([kind])
            for kind in similarity.MEASURES[::2]
        },
        "straightforward": lambda: [
            [np.asarray(value) for value in by_hand(*batch)] for batch in data
        ],
    }


def times(examples, batch_size, repeats, units):
    """Returns the times of each variant in seconds.

    Returns:
        Dict from variant to a dict: `first_s` of the first call, `wall_s` and
        `processor_s`, medians of later calls, in turn with those of the other
        variants, and `ratio`, of `processor_s` to that of the closed form.
    """
    functions = variants(examples, batch_size, units)
    first = {
        name: _seconds(function)[0] for name, function in functions.items()
    }
    later = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            later[name].append(_seconds(function))
    found = {}
    for name, taken in later.items():
        wall, processor = map(statistics.median, zip(*taken))
        found[name] = {
            "first_s": first[name],
            "wall_s": wall,
            "processor_s": processor,
        }
    for row in found.values():
        row["ratio"] = row["processor_s"] / found["closed form"]["processor_s"]
    return found


def _seconds(function):
    start = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    args = flags.FLAGS
    if args.threads:
        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
        tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    results = times(args.examples, args.batch_size, args.repeats, args.units)
    table = rich.table.Table(
        *("variant", "first call, s", "later, s", "processor, s", "ratio")
    )
    for name, row in results.items():
        seconds = [row[key] for key in ("first_s", "wall_s", "processor_s")]
        table.add_row(name, *map("{:.2f}".format, [*seconds, row["ratio"]]))
    rich.print(table)
    if args.json:
        record = {
            "environment": mask_training.environment(),
            "options": {
                key: getattr(args, key)
                for key in (
                    "examples",
                    "units",
                    "batch_size",
                    "repeats",
                    "threads",
                )
            },
            "results": results,
        }
        text = json.dumps(record, indent=1)
        pathlib.Path(args.json).write_text(text + "\n", "utf-8")


def define_flags(values):
    """Defines the flags of this binary in some `flags.FlagValues`."""
    for name, default, text, least in (
        ("examples", 10_000, "Images.", 2),
        ("units", 64, "Units of each hidden layer.", 1),
        ("batch_size", 500, "Images at a time.", 1),
        ("repeats", 5, "Later calls; the median counts.", 1),
        ("threads", 0, "Threads of TensorFlow; 0 for one a core.", 0),
    ):
        flags.DEFINE_integer(name, default, text, least, flag_values=values)
    flags.DEFINE_string(
        "json", None, "File for all numbers.", flag_values=values
    )


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(main)
