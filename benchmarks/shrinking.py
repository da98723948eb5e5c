r"""How much smaller and faster can a network be? Ways to choose its channels.

python -m benchmarks.shrinking --json=table.json
python -m benchmarks.shrinking --networks=digits_cnn --seeds=0 --keep=0.25
python -m benchmarks.shrinking --draw

A network is trained. A method ranks the units of its hidden layers; of each
layer the same share is kept, the largest by which the smaller model has no
more than a part of the multiply-adds. Learned gates rank the units of all
layers together, and the share is that of all units. It is made smaller by
`NeuronSelection.shrink`, and trained further for a number of steps, the same
for all methods; the network itself is, too. Accuracies are those of the test
set, which nothing is chosen by. The time of `predict`, and the processor time,
is that of the network over that of the smaller one: medians over calls on
10,000 images, in turn in one process. With --draw nothing is measured: the
pictures of docs/smaller_models.md are drawn from benchmarks/shrinking.json, and
the table of docs/smaller_models_numbers.md is printed.
"""

import dataclasses
import json
import pathlib
import statistics
import time
import warnings
from collections.abc import Callable

import keras
import numpy as np
import rich
import rich.table
import tensorflow as tf
from absl import app, flags
from keras import layers

import modularity_tf as mtf
from benchmarks import mask_training
from modularity_tf import plots
from modularity_tf.network import activations
from reproduce.data import images
from reproduce.publishing import wording

ROOT = pathlib.Path(__file__).parents[1]
MEASURED = ROOT / "benchmarks" / "shrinking.json"
IMAGES = ROOT / "docs" / "images"
DPI = 130  # of the picture
NAMES = {
    "gates": "learned gates",
    "magnitude": "size of weights",
    "taylor": "|activation x gradient|",
    "random": "random",
}
SHORT = {
    "digits_cnn": "digits",
    "mnist_cnn": "MNIST",
    "cifar10_cnn": "CIFAR-10",
}
PICTURES = {  # which lose more and which less need scales of their own
    "shrinking": ("digits_cnn", "mnist_cnn"),
    "shrinking_cifar10": ("cifar10_cnn",),
}
WHOLE = "whole network"
GATES_KEEP = 0.25  # the share of units at which the path of gates ends


@dataclasses.dataclass(frozen=True)
class Network:
    """What is trained on which data, for how long.

    Attributes:
        build: Function that returns a `keras.Model` with logits.
        data: Str, a name of `images.load`.
        steps: Int, steps of training.
        more: Int, steps of training after it was made smaller.
    """

    build: Callable[[], keras.Model]
    data: str
    steps: int
    more: int


def cnn(shape, pools):
    """Returns two convolutions and two dense layers, untrained."""
    stack = [keras.Input(shape), layers.Rescaling(1 / 255)]
    for name, channels in (("conv1", 32), ("conv2", 64)):
        stack.append(layers.Conv2D(channels, 3, activation="relu", name=name))
        stack += [layers.MaxPooling2D()] if pools else []
    stack += [layers.Flatten(), layers.Dense(64, "relu", name="dense")]
    return keras.Sequential([*stack, layers.Dense(10, name="logits")])


def padded_cnn(shape):
    """Returns six convolutions that pad, with BatchNormalization."""
    x = inputs = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(x)
    for i, channels in enumerate((16, 16, 32, 32, 64, 64)):
        conv = layers.Conv2D(channels, 3, padding="same", name=f"conv{i + 1}")
        x = layers.ReLU()(layers.BatchNormalization()(conv(x)))
        if i % 2:
            x = layers.MaxPooling2D()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, name="logits")(x))


NETWORKS = {
    "digits_cnn": Network(
        lambda: cnn((8, 8, 1), pools=False), "digits", 300, 300
    ),
    "mnist_cnn": Network(
        lambda: cnn((28, 28, 1), pools=True), "mnist", 1200, 600
    ),
    "cifar10_cnn": Network(
        lambda: padded_cnn((32, 32, 3)), "cifar10", 1500, 300
    ),
}


def random_scores(model, data, seed):
    """Returns random numbers, the floor."""
    rng = np.random.default_rng(seed)
    found = activations.neuron_layers(model)
    return {path: rng.random(_units(layer)) for path, layer in found.items()}


def magnitude_scores(model, data, seed):
    """Returns the size of each unit's incoming weights, |w|_2."""
    found = {}
    for path, layer in activations.neuron_layers(model).items():
        kernel = layer.kernel.numpy().reshape(-1, _units(layer))
        found[path] = np.linalg.norm(kernel, axis=0)
    return found


def taylor_scores(model, data, seed, examples=1000):
    """Returns |activation x gradient of the loss|, the mean over examples.

    The activation of a channel is summed over its positions first.

    References:
        - [Molchanov et al., 2017](https://arxiv.org/abs/1611.06440), section
          2.2
    """
    x, y = (each[:examples] for each in data)
    hidden = activations.neuron_layers(model)
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="sum"
    )
    with tf.GradientTape() as tape:
        with activations.recorded_calls(hidden.values()) as calls:
            outputs = model(x.astype("float32"), training=False)
        total = loss(y, outputs)
    puts_out = {path: None for path in hidden}
    for layer, _, out in calls:
        path = next(p for p, each in hidden.items() if each is layer)
        puts_out[path] = out
    slopes = tape.gradient(total, puts_out)
    found = {}
    for path, out in puts_out.items():
        product = (out * slopes[path]).numpy()
        product = product.reshape(len(x), -1, product.shape[-1]).sum(axis=1)
        found[path] = np.abs(product).mean(axis=0)
    return found


def gate_scores(model, data, seed):
    """Returns up to which penalty learned gates keep each unit."""
    with warnings.catch_warnings():
        # The path goes on to where the gates do not perform any more.
        warnings.simplefilter("ignore", UserWarning)
        found = mtf.find_neurons(
            model, data, method="mask", keep=GATES_KEEP, seed=seed, verbose=0
        )
    return found.scores


# Functions from a model, data and a seed to scores of units by layer.
METHODS = {
    "gates": gate_scores,
    "magnitude": magnitude_scores,
    "taylor": taylor_scores,
    "random": random_scores,
}
ACROSS_LAYERS = ("gates",)  # whose scores are compared over layers


def select(scores, share, across=False):
    """Returns the units of highest score, a share of each layer.

    Args:
        scores: Dict from layer path to float array.
        share: Float in (0, 1].
        across: Bool. Take a share of all units, one of each layer at least.
    """
    if across:
        best = {path: score == score.max() for path, score in scores.items()}
        ranks = {p: np.where(best[p], np.inf, s) for p, s in scores.items()}
        return mtf.NeuronSelection(best, {}, ranks).at(keep=share)
    values = {}
    for path, score in scores.items():
        count = max(1, round(share * len(score)))
        values[path] = np.zeros(len(score), bool)
        values[path][np.argsort(-score, kind="stable")[:count]] = True
    return mtf.NeuronSelection(values)


def shrunk_to(model, scores, part, examples, across=False):
    """Returns the largest `SmallerModel` with a part of the multiply-adds.

    Args:
        model: `keras.Model`.
        scores: Dict from layer path to float array.
        part: Float in (0, 1), of the multiply-adds.
        examples: Array, inputs to compare on.
        across: As in `select`.
    """
    low, high, best = 0.9 * part, min(1.0, 1.2 * part**0.5), None
    if across:  # as many units have more or less to multiply
        sizes = [len(score) for score in scores.values()]
        low, high = len(sizes) / sum(sizes), 1.0
    for _ in range(8 if across else 6):
        share = (low + high) / 2
        chosen = select(scores, share, across)
        small = chosen.shrink(model, inputs=examples)
        before, after = small.multiply_adds
        if after <= part * before:
            low, best = share, small
        else:
            high = share
    if best is None:
        raise ValueError(f"No share of the units has {part} of multiply-adds.")
    return best


def fit(model, split, steps, seed, batch_size=128, learning_rate=1e-3):
    """Trains a model for some steps."""
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps, 0.01)
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    batches = images.batches(split, batch_size, seed, 0, steps)
    model.fit(batches, shuffle=False, verbose=0)
    return model


def accuracy(model, split):
    """Returns the share of images that a model classifies rightly."""
    logits = model.predict(
        split.images.astype("float32"), batch_size=500, verbose=0
    )
    return float((logits.argmax(axis=-1) == split.labels).mean())


def predict_times(models, inputs, calls):
    """Returns the seconds of `predict` of some models, in turn.

    Args:
        models: Dict from name to `keras.Model`.
        inputs: Array.
        calls: Positive int, of each.

    Returns:
        Dict from name to two medians over the calls, seconds by the clock and
        of the processors.
    """
    taken = {name: [] for name in models}
    for i in range(calls + 1):
        for name, model in models.items():
            start = time.perf_counter(), time.process_time()
            model.predict(inputs, batch_size=500, verbose=0)
            end = time.perf_counter(), time.process_time()
            if i:  # the first one compiles
                taken[name].append(np.subtract(end, start))
    return {name: np.median(each, axis=0) for name, each in taken.items()}


def measure(network, methods, parts, seed, calls):
    """Returns a list of dicts, a row for each method and part.

    Args:
        network: `Network`.
        methods: Names of methods.
        parts: Floats, of the multiply-adds.
        seed: Int.
        calls: Positive int, calls of `predict` that are timed.
    """
    data = images.load_once(network.data)
    keras.utils.set_random_seed(seed)
    model = fit(network.build(), data.train, network.steps, seed)
    before = accuracy(model, data.test)
    examples = data.test.images[:16].astype("float32")
    made = {}
    for method in methods:
        taken = (data.train.images, data.train.labels)
        scores = METHODS[method](model, taken, seed)
        for part in parts:
            across = method in ACROSS_LAYERS
            made[method, part] = shrunk_to(
                model, scores, part, examples, across
            )
    timed = {WHOLE: model, **{k: small.model for k, small in made.items()}}
    inputs = np.resize(data.test.images, (10_000, *model.input_shape[1:]))
    seconds = predict_times(timed, inputs.astype("float32"), calls)
    rows = []
    for (method, part), small in made.items():
        clock, processors = seconds[WHOLE] / seconds[method, part]
        row = {
            "method": method,
            "part": part,
            "seed": seed,
            "parameters": small.parameters,
            "multiply_adds": small.multiply_adds,
            "stays": sum(sum(x.values()) for x in small.stays.values()),
            "before": before,
            "at_once": accuracy(small.model, data.test),
            "faster": float(clock),
            "faster_by_processor_time": float(processors),
        }
        fit(small.model, data.train, network.more, seed + 1)
        rows.append({**row, "after": accuracy(small.model, data.test)})
    keras.utils.set_random_seed(seed)
    fit(model, data.train, network.more, seed + 1)
    whole = accuracy(model, data.test)
    return [{**row, "whole_after": whole} for row in rows]


def table(rows):
    """Returns what is printed of a network's rows: means over seeds."""
    shown = rich.table.Table(
        "method",
        "times fewer\nmultiply-adds",
        "times faster\n(processor)",
        "before",
        "at once",
        "trained\non",
        "points lost",
        "to the whole,\ntrained on",
    )
    for (_, method), group in _grouped(rows).items():
        fewer = [x["multiply_adds"][0] / x["multiply_adds"][1] for x in group]
        shown.add_row(
            method,
            f"{statistics.mean(fewer):.1f}",
            "{:.1f} ({:.1f})".format(
                *(
                    statistics.median(x[key] for x in group)
                    for key in ("faster", "faster_by_processor_time")
                )
            ),
            *(_mean(group, key) for key in ("before", "at_once", "after")),
            _in_words(_lost(group, "before")),
            _in_words(_lost(group, "whole_after")),
        )
    return shown


def markdown(record):
    """Returns the lines of the table of docs/smaller_models_numbers.md.

    Args:
        record: Dict, what `--json` writes.
    """
    header = (
        "network",
        "multiply-adds left",
        "channels by",
        "at once",
        "trained on",
        "points lost",
        "times faster",
    )
    lines = [header, ["---"] * len(header)]
    for network, rows in record["rows"].items():
        for (part, method), group in _grouped(rows).items():
            lines.append(
                [
                    SHORT[network],
                    f"{part:.0%}",
                    NAMES[method],
                    _mean(group, "at_once"),
                    _mean(group, "after"),
                    _in_words(_lost(group, "before")),
                    f"{statistics.median(x['faster'] for x in group):.1f}",
                ]
            )
    return [wording.row(line) for line in lines]


def draw(record, networks):
    """Returns a `Figure`: what smaller networks lose, seed by seed.

    Args:
        record: Dict, what `--json` writes.
        networks: Names of networks in it.
    """
    labels, lost = [], {name: [] for name in NAMES.values()}
    for network in networks:
        groups = _grouped(record["rows"][network])
        for part in sorted({part for part, _ in groups}, reverse=True):
            labels.append(f"{SHORT[network]}, {part:.0%}")
            for method, name in NAMES.items():
                lost[name].append(_lost(groups[part, method], "whole_after"))
    return plots.grouped_bars(
        {name: np.transpose(values) for name, values in lost.items()},
        labels,
        "accuracy lost [points]",
        "What does a network lose that has fewer multiply-adds left?",
    )


def _lost(rows, key):
    """Returns the points that smaller networks lose against an accuracy."""
    return [100 * (row[key] - row["after"]) for row in rows]


def _mean(rows, key):
    return f"{statistics.mean(row[key] for row in rows):.1%}"


def _in_words(points):
    return ", ".join(f"{each:.2f}" for each in points)


def _grouped(rows):
    """Returns lists of rows by part and method."""
    groups = {}
    for row in rows:
        groups.setdefault((row["part"], row["method"]), []).append(row)
    return groups


def main(argv):
    args = flags.FLAGS
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    if args.draw:
        record = json.loads(MEASURED.read_text("utf-8"))
        for name, networks in PICTURES.items():
            figure = draw(record, networks)
            plots.save(figure, IMAGES / f"{name}.png", dpi=DPI, pdf=False)
        print("\n".join(markdown(record)))
        return
    for name, known in (("networks", NETWORKS), ("methods", METHODS)):
        unknown = {*getattr(args, name)} - {*known}
        if unknown:
            raise app.UsageError(f"--{name} has {unknown}, not of {[*known]}.")
    record = {"environment": mask_training.environment(), "rows": {}}
    for name in args.networks:
        rows = record["rows"][name] = []
        for seed in map(int, args.seeds):
            rows += measure(
                NETWORKS[name],
                args.methods,
                [float(part) for part in args.keep],
                seed,
                args.calls,
            )
            if args.json:
                text = json.dumps(record, indent=1)
                pathlib.Path(args.json).write_text(text + "\n", "utf-8")
        print(name, flush=True)
        rich.print(table(rows))


def _units(layer):
    return layer.kernel.shape[-1]


def define_flags(values):
    """Defines the flags of this binary in some `flags.FlagValues`."""
    flags.DEFINE_list(
        "networks",
        ["digits_cnn", "mnist_cnn"],
        f"Of {', '.join(NETWORKS)}.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "methods", [*METHODS], "How units are chosen.", flag_values=values
    )
    flags.DEFINE_list(
        "keep",
        ["0.75", "0.5", "0.25"],
        "Parts of the multiply-adds that are left.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "seeds", ["0", "1", "2"], "Networks of each kind.", flag_values=values
    )
    flags.DEFINE_integer(
        "calls", 11, "Timed calls of `predict`.", 1, flag_values=values
    )
    flags.DEFINE_string("json", None, "File to write.", flag_values=values)
    flags.DEFINE_bool(
        "draw", False, "Draw what was measured before.", flag_values=values
    )


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(main)
