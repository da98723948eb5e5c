r"""How long does a training step of two joined modules take, and compared?

python -m benchmarks.modular_rnn --against=../other_checkout --json=table.json

Trains the network of `reproduce.structural_modularity`, on random pixels, in
processes of their own: this checkout's and, with `--against`, another's, in
turn. The median of the ratios within a round is what a busy machine allows to
say.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
import rich
import rich.table
from absl import app, flags

# What a child runs, in the folder of its checkout, so that it imports that.
CHILD = """
import json, sys, time
import numpy as np, tensorflow as tf
links, steps, threads, jit = json.loads(sys.argv[1])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)
from unittest import mock
from reproduce.bena2021 import parity_mnist
from reproduce.bena2021.subject import Config, Subject
from reproduce.data import images
rng = np.random.default_rng(0)
split = images.Split(
    rng.integers(256, size=(5000, 28, 28, 1), dtype="uint8"),
    np.arange(5000, dtype="int32") % 10,
)
config = Config(links=(links,), jit_compile=jit)
pairs = parity_mnist.draw(split, steps * config.batch_size, 0)
batches = parity_mnist.batches(pairs, config.batch_size)
data = mock.Mock(train=split, class_names=range(10))
network = Subject(config, data, demand=2, links=links, seed=0).compiled()
found = []
for _ in range(4):  # the first one traces
    start, processor = time.perf_counter(), time.process_time()
    network.fit(batches, verbose=0, shuffle=False)
    spent = time.perf_counter() - start, time.process_time() - processor
    found.append([1e3 * seconds / steps for seconds in spent])
print(json.dumps([found[0], np.min(found[1:], axis=0).tolist()]))
"""


def time_step(checkout, settings):
    """Returns milliseconds a step, the first round's and the best of others.

    Args:
        checkout: Folder of a checkout of the project.
        settings: List: links each way, steps, threads, whether to use XLA.

    Returns:
        Dict of "first" and "later", each of "wall" and "processor".
    """
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(settings)],
        cwd=checkout,
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    kinds = [dict(zip(("wall", "processor"), times)) for times in found]
    return dict(zip(("first", "later"), kinds))


def measure(checkouts, settings, rounds):
    """Returns the times of every checkout, one dict for each round."""
    times = {name: [] for name in checkouts}
    for _ in range(rounds):
        for name, folder in checkouts.items():
            times[name].append(time_step(folder, settings))
    return times


def table(times, steps):
    """Returns what is printed: medians over rounds, ratios within rounds."""
    shown = rich.table.Table(
        "checkout",
        "processor ms a step",
        "ratio",
        "wall ms a step",
        "ratio",
        "processor s of the first round",
    )
    names = [*times]
    for name in names:
        row = [name]
        for clock in ("processor", "wall"):
            mine, base = (
                np.array([each["later"][clock] for each in times[n]])
                for n in (name, names[-1])
            )
            row += [f"{np.median(mine):.1f}", f"{np.median(base / mine):.2f}"]
        first = [each["first"]["processor"] for each in times[name]]
        row.append(f"{np.median(first) * steps / 1e3:.1f}")
        shown.add_row(*row)
    return shown


def main(argv):
    args = flags.FLAGS
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    here = pathlib.Path(__file__).resolve().parents[1]
    checkouts = {"this": here}
    if args.against:
        checkouts["against"] = pathlib.Path(args.against).resolve()
    settings = [args.links, args.steps, args.threads, args.jit_compile]
    times = measure(checkouts, settings, args.rounds)
    rich.print(table(times, args.steps))
    if args.json:
        record = {"settings": settings, "times": times}
        text = json.dumps(record, indent=1)
        pathlib.Path(args.json).write_text(text + "\n", "utf-8")


def define_flags(values):
    """Defines the flags of this binary in some `flags.FlagValues`."""
    flags.DEFINE_string(
        "against", "", "Folder of another checkout.", flag_values=values
    )
    for name, default, text in (
        ("links", 100, "Links each way."),
        ("steps", 234, "Steps of a round."),
        ("threads", 1, "Threads of TensorFlow."),
        ("rounds", 3, "Rounds, each with a fresh process a checkout."),
    ):
        flags.DEFINE_integer(name, default, text, 1, flag_values=values)
    flags.DEFINE_bool("jit_compile", False, "Use XLA.", flag_values=values)
    flags.DEFINE_string("json", "", "File to write.", flag_values=values)


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(main)
