r"""Which method when? How long each takes, and how often it is right.

python -m benchmarks.which_method --json=table.json
python -m benchmarks.which_method --networks=digits_mlp
python -m benchmarks.which_method --draw

Prints the two tables of docs/which_method.md. Time: a network is trained on
the digits of scikit-learn, and each method is asked once which weights the task
needs, in the same process: processor seconds, tracing included. Truth: the
average precision of each method on networks whose needed weights are known, a
mean over the networks in the archives of results/. With --draw nothing is
measured: the picture of that page is drawn from the page's first table and from
the archives.
"""

import dataclasses
import json
import pathlib
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from absl import app, flags
from keras import layers
from matplotlib import figure
from sklearn import datasets

import modularity_tf as mtf
from modularity_tf import plots
from modularity_tf.masking import weight_scores

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "results"
PAGE = ROOT / "docs" / "which_method.md"
PICTURE = ROOT / "docs" / "images" / "which_method.png"
DPI = 130  # of the picture
TIMED = "digits_mlp"  # the network whose seconds the picture has
ARCHIVES = ("planted_quick", "planted_kinds_quick")
MASK, POPUP = "mask", "edge_popup"
NAMES = {MASK: "`find_weights`", POPUP: "`ScoredModel` (edge-popup)"}
ABLATED = 10_000  # weights: a network with more takes hours of ablations
_LOSS = "sparse_categorical_crossentropy"


@dataclasses.dataclass(frozen=True)
class Network:
    """What is trained, and for how many epochs.

    Attributes:
        build: Function that returns a `keras.Model` with probabilities.
        epochs: Int.
    """

    build: Callable[[], keras.Model]
    epochs: int


def _mlp():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(64, "relu", name="hidden"),
            layers.Dense(10, "softmax", name="output"),
        ]
    )


def _cnn():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, activation="relu", name="conv1"),
            layers.Conv2D(64, 3, activation="relu", name="conv2"),
            layers.Flatten(),
            layers.Dense(64, "relu", name="hidden"),
            layers.Dense(10, "softmax", name="output"),
        ]
    )


NETWORKS = {"digits_mlp": Network(_mlp, 30), "digits_cnn": Network(_cnn, 15)}


def timed(network: Network) -> dict[str, Any]:
    """Returns the processor seconds of a network's training and the methods.

    Args:
        network: `Network`.

    Returns:
        Dict of `weights`, an int, `training`, a float, and `methods`, a dict
        from method to float.
    """
    keras.utils.set_random_seed(0)
    images, labels = datasets.load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    model = network.build()
    model.compile("adam", _LOSS, metrics=["accuracy"])
    data, size = (images, labels), _size(model)

    def popup():
        scored = mtf.ScoredModel(model, share=0.1)
        scored.compile(keras.optimizers.SGD(0.1, momentum=0.9), _LOSS)
        scored.fit(*data, epochs=10, batch_size=128, verbose=0)
        return scored.weight_mask()

    def one_shot(method):
        scores = mtf.weight_scores(model, data, method=method)
        return mtf.mask_of_scores(scores, keep=0.1, model=model)

    training = _seconds(
        lambda: model.fit(*data, epochs=network.epochs, verbose=0)
    )
    methods = {
        method: _seconds(lambda method=method: one_shot(method))
        for method in weight_scores.METHODS
        if method != "ablation" or size <= ABLATED
    }
    methods[POPUP] = _seconds(popup)
    methods[MASK] = _seconds(lambda: mtf.find_weights(model, data, verbose=0))
    return {"weights": size, "training": training, "methods": methods}


def truth(folder: pathlib.Path = RESULTS) -> dict[str, dict[str, float]]:
    """Returns the mean average precision on networks of known modules.

    Args:
        folder: Folder of the archives.

    Returns:
        Dict from case to a dict from method to float in [0, 1].
    """
    found: dict[str, dict[str, list[float]]] = {}
    for name in ARCHIVES:
        archive = json.loads((folder / f"{name}.json").read_text("utf-8"))
        for record in archive["records"]:
            scores = record.get("found", {}).get("scores", {})
            for method, score in scores.items():
                case = found.setdefault(record["case"], {})
                case.setdefault(method, []).append(score["average_precision"])
    return {
        case: {method: float(np.mean(v)) for method, v in by_method.items()}
        for case, by_method in found.items()
    }


def truth_table(folder: pathlib.Path = RESULTS) -> list[str]:
    """Returns `truth` as the lines of a Markdown table, one line a case."""
    found = truth(folder)
    methods = [
        method
        for method in (MASK, POPUP, *weight_scores.METHODS)
        if any(method in by_method for by_method in found.values())
    ]
    rows = [
        [f"`{case}`", *(_number(by_method.get(m)) for m in methods)]
        for case, by_method in found.items()
    ]
    return _table(["network", *map(_name, methods)], rows)


def time_table(record: dict[str, dict[str, Any]]) -> list[str]:
    """Returns what `timed` measured as the lines of a Markdown table.

    Args:
        record: Dict from the name of a network to what `timed` returned.
    """
    methods = [MASK, POPUP, *weight_scores.METHODS]
    rows = [
        [
            f"`{name}`, {found['weights']:,} weights",
            _number(found["training"], 1),
            *(_number(found["methods"].get(m), 1) for m in methods),
        ]
        for name, found in record.items()
    ]
    return _table(["network", "its training", *map(_name, methods)], rows)


def draw(page: str, folder: pathlib.Path = RESULTS) -> figure.Figure:
    """Returns how well each method orders weights, and how long it takes.

    Args:
        page: Text of a page with the lines of `time_table`.
        folder: Folder of the archives.
    """
    lines = re.search(
        rf"^(\| network \|.*its training.*)\n.*\n(\| `{TIMED}`.*)$", page, re.M
    )
    header, row = (
        [cell.strip() for cell in line.split("|")] for line in lines.groups()
    )
    seconds = dict(zip(header, row, strict=True))
    found = truth(folder)
    points = []
    for method in (MASK, POPUP, *weight_scores.METHODS):
        values = [each[method] for each in found.values() if method in each]
        name = f"{_name(method)}, {seconds[_name(method)]} s"
        ends = min(values), max(values)
        points.append((name.replace("`", ""), float(np.mean(values)), *ends))
    return plots.points_with_ranges(
        sorted(points, key=lambda point: -point[1]),
        "average precision [%]",
        "How well does a method order the weights, and how long does it take?",
        f"Points: means over the kinds of networks; lines: from the worst kind "
        f"to the best. Seconds: of one question to {TIMED}.",
    )


def _size(model):
    kernels = mtf.weight_scores(model, method="magnitude")
    return sum(values.size for values in kernels.values())


def _seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def _name(method):
    return NAMES.get(method, f'"{method}"')


def _number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def _table(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    first, *rest = (f"| {' | '.join(cells)} |" for cells in [header, *rows])
    return [first, "|" + "---|" * len(header), *rest]


def main(argv):
    """Measures, prints the tables and writes the JSON file, or draws."""
    args = flags.FLAGS
    if len(argv) > 1:
        raise app.UsageError("Too many command-line arguments.")
    if args.draw:
        fig = draw(PAGE.read_text("utf-8"))
        plots.save(fig, PICTURE, dpi=DPI, pdf=False)
        return
    record = {name: timed(NETWORKS[name]) for name in args.networks}
    print("\n".join([*time_table(record), "", *truth_table()]))
    if args.json:
        text = json.dumps({"time": record, "truth": truth()}, indent=2)
        pathlib.Path(args.json).write_text(text, "utf-8")


def define_flags(values):
    """Defines the flags of this binary in some `flags.FlagValues`."""
    flags.DEFINE_list(
        "networks", [*NETWORKS], "The networks to time.", flag_values=values
    )
    flags.DEFINE_string(
        "json", "", "File to write the numbers to.", flag_values=values
    )
    flags.DEFINE_bool(
        "draw", False, "Draw the picture of the page alone.", flag_values=values
    )


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(main)
