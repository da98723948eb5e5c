r"""Times `find_weights` against the training of the network itself.

python -m benchmarks.find_weights --json=table.json
python -m benchmarks.find_weights --networks=digits_mlp --seeds=0

For each network: the seconds that its own training takes, and over some seeds
those of `find_weights` with its default settings; the share of weights kept,
and the performance on a third part of the data, on the scale from chance to
the whole model; the largest size over the smallest; and the mean overlap
(intersection over union) of two masks. Seconds are processor time, tracing and
compiling included.
"""

import itertools
import json
import os
import pathlib
import statistics
import time
import warnings

import keras
import numpy as np
import rich
import rich.table
from absl import app, flags
from keras import layers

import modularity_tf as mtf
from benchmarks import mask_training


def digits(channels):
    """Returns what to train on, and a third part of scikit-learn's digits."""
    from sklearn import datasets

    x, y = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(5).permutation(len(x))
    x = (x[order] / 16).astype("float32")
    x = x.reshape(-1, 8, 8, 1) if channels else x.reshape(-1, 8, 8)
    y = y[order].astype("int32")
    return (x[:1300], y[:1300]), (x[1300:], y[1300:])


def mnist():
    """Returns what to train on, and the test images, of MNIST."""
    return [
        ((x / 255).astype("float32")[..., None], y.astype("int32"))
        for x, y in keras.datasets.mnist.load_data()
    ]


def convolutions(shape, between):
    """Returns layers of a network of two convolutions."""
    return [
        keras.Input(shape),
        layers.Conv2D(32, 3, activation="relu", name="conv1"),
        *between("pool1"),
        layers.Conv2D(64, 3, activation="relu", name="conv2"),
        *between("pool2"),
        layers.Flatten(name="flatten"),
    ]


# Layers but for the last two, widths of these, data, epochs of training.
NETWORKS = {
    "digits_mlp": lambda: (
        [
            keras.Input((8, 8)),
            layers.Flatten(),
            layers.Dense(64, "relu", name="dense1"),
        ],
        64,
        digits(channels=False),
        30,
    ),
    "digits_cnn": lambda: (
        convolutions((8, 8, 1), lambda name: []),
        64,
        digits(channels=True),
        15,
    ),
    "digits_lstm": lambda: (
        [
            keras.Input((8, 8)),
            layers.LSTM(64, return_sequences=True),
            layers.LSTM(64),
        ],
        0,
        digits(channels=False),
        30,
    ),
    "mnist_cnn": lambda: (
        convolutions(
            (28, 28, 1), lambda name: [layers.MaxPooling2D(name=name)]
        ),
        128,
        mnist(),
        1,
    ),
}


def trained(name):
    """Returns a trained model, data, a third part, and seconds of training."""
    keras.utils.set_random_seed(0)
    parts, width, (data, third), epochs = NETWORKS[name]()
    if width:
        parts.append(layers.Dense(width, "relu", name="dense2"))
    model = keras.Sequential([*parts, layers.Dense(10, name="out")], name=name)
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    begin = time.process_time()
    model.fit(*data, batch_size=64, epochs=epochs, verbose=0)
    return model, data, third, time.process_time() - begin


def accuracy(model, data):
    """Returns the share of right answers."""
    answers = model.predict(data[0], batch_size=512, verbose=0).argmax(axis=1)
    return float(np.mean(answers == data[1]))


def measure(name, seeds):
    """Returns a row of the table, a dict."""
    model, data, third, own = trained(name)
    chance = np.bincount(third[1]).max() / len(third[1])
    whole = accuracy(model, third)
    masks, rows = [], []
    for seed in seeds:
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            mask = mtf.find_weights(model, data, seed=seed, verbose=0)
        seconds = time.process_time() - begin
        masks.append(mask)
        share = accuracy(mask.apply(model), third) - chance
        rows.append(
            {
                "seed": seed,
                "seconds": seconds,
                "over_training": seconds / own,
                "alpha": mask.provenance["alpha"],
                "steps": mask.provenance["steps"],
                "keep_fraction": mask.keep_fraction,
                "third": share / (whole - chance),
            }
        )
    sizes = [row["keep_fraction"] for row in rows]
    pairs = itertools.combinations(masks, 2)
    overlaps = [a.overlap(b).jaccard for a, b in pairs]
    return {
        "training_seconds": own,
        "masked_weights": masks[0].size,
        "size_ratio": max(sizes) / min(sizes),
        "mean_iou": statistics.mean(overlaps) if overlaps else None,
        "masks": rows,
    }


def table(results):
    """Returns a `rich.table.Table` with a row for each network."""
    shown = rich.table.Table(
        "network",
        "training, s",
        "find_weights, s",
        "over training",
        "kept, %",
        "largest / smallest",
        "third part, %",
        "mean IoU",
    )

    def spread(row, name, factor=1.0):
        values = [factor * mask[name] for mask in row["masks"]]
        low, high = min(values), max(values)
        return f"{statistics.median(values):.1f} ({low:.1f} to {high:.1f})"

    for name, row in results.items():
        iou = row["mean_iou"]
        shown.add_row(
            name,
            f"{row['training_seconds']:.1f}",
            spread(row, "seconds"),
            spread(row, "over_training"),
            spread(row, "keep_fraction", 100),
            f"{row['size_ratio']:.2f}",
            spread(row, "third", 100),
            "" if iou is None else f"{iou:.2f}",
        )
    return shown


def main(argv):
    args = flags.FLAGS
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    unknown = [*{*args.networks} - {*NETWORKS}]
    if unknown:
        raise app.UsageError(f"No network {unknown[0]!r}: {[*NETWORKS]}.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    seeds = [int(seed) for seed in args.seeds]
    record = {"environment": mask_training.environment(), "results": {}}
    for name in args.networks:
        print(time.strftime("%H:%M:%S"), name, flush=True)
        record["results"][name] = measure(name, seeds)
        if args.json:
            text = json.dumps(record, indent=1)
            pathlib.Path(args.json).write_text(text + "\n", "utf-8")
    rich.print(table(record["results"]))


def define_flags(values):
    """Defines the flags of this binary in some `flags.FlagValues`."""
    flags.DEFINE_list(
        "networks", [*NETWORKS], "Rows of the table.", flag_values=values
    )
    flags.DEFINE_list(
        "seeds", ["0", "1", "2", "3", "4"], "Of masks.", flag_values=values
    )
    flags.DEFINE_string(
        "json", None, "File for all numbers.", flag_values=values
    )


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(main)
