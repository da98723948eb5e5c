"""An experiment that takes no time, for the tests of `running`."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import tensorflow as tf
from matplotlib import figure

from reproduce.publishing import claim, experiment
from reproduce.running import configuration, training
from reproduce.running.configuration import field

ROOT = pathlib.Path(__file__).parents[3]


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    dataset: str = field("made_up", "A name.", one_of=("made_up", "other"))
    names: tuple[str, ...] = field(
        ("a", "b"), "Strings.", part=True, distinct=True
    )
    chosen: tuple[str, ...] = field((), "Strings; all if empty.", part=True)
    extras: bool = field(True, "More of it.", part=True)
    size: int = field(3, "An int.", at_least=1, at_most=9)
    steps: int = field(4, "An int.", at_least=1, multiple_of="log_steps")
    log_steps: int = field(2, "An int.", at_least=1)
    mask_lr: float = field(0.5, "A float.", above=0, less_than=1)
    mode: str = field("good", "What the stages do.", names_run=False)


def work(stage, number):
    """Does what `--mode` says."""
    match stage.config.mode:
        case "refuse":
            raise ValueError("this can't\nbe.")
        case "full_disk":
            raise OSError(28, "No space left on device")
        case "interrupt":
            raise KeyboardInterrupt
        case "hang":
            sys.stdout.write("hanging\n")
            sys.stdout.flush()
            time.sleep(600)
        case "lose_workers":
            lose_worker(stage)
    return {"x": number + stage.seed}


def lose_worker(stage):
    """Kills the worker of seed 1 once; always refuses seed 2."""
    told = stage.run.folder / "killed"
    if stage.seed == 1 and not told.exists():
        told.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if stage.seed == 2:
        raise ValueError("seed 2 fails.")


def double(stage, found):
    """Needs the stage before."""
    return {"x": 2 * found["x"], "process": os.getpid()}


def plan(run):
    if run.config.mode == "refuse_plan":
        raise ValueError("the data do not fit.")
    return [
        {
            "seed": seed,
            "x": run.stage(
                f"seed{seed}/work",
                work,
                0.5,
                seed=seed,
                steps=run.config.steps,
                phase="work",
            ),
        }
        for seed in run.config.seeds
    ]


def claims(records):
    found = claim.Claims()
    found.add(
        "x",
        "x",
        [record["x"]["x"] for record in records],
        at_least=0.2,
        null=0.0,
        null_is="nothing",
    )
    return found


def draw(records):
    return {"fig01_nothing": figure.Figure((1, 1))}


def phases(config):
    return {"work": training.Phase(lambda count: None)}


EXPERIMENT = experiment.Experiment(
    name="toy",
    title="What does an experiment leave behind?",
    config=Config,
    plan=plan,
    phases=phases,
    claims=claims,
    draw=draw,
)


def network():
    """Returns a compiled model whose dropout draws are part of its state."""

    def normal(seed):
        return keras.initializers.RandomNormal(stddev=0.5, seed=seed)

    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, kernel_initializer=normal(1)),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Dense(1, kernel_initializer=normal(2)),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def batches(start, stop):
    """Returns batches that are a function of the step."""

    def batch(step):
        x = tf.random.stateless_normal((8, 4), (7, step))
        return x, tf.reduce_sum(x, axis=1, keepdims=True)

    return tf.data.Dataset.range(start, stop).map(batch)


class Killed(Exception):
    """Ends work as a kill does."""


class KillAt(keras.callbacks.Callback):
    """Ends training as a kill does, in the middle of an epoch."""

    def __init__(self, step):
        super().__init__()
        self._left = step

    def on_train_batch_end(self, batch, logs=None):
        self._left -= 1
        if self._left == 0:
            raise Killed


_FORKS = """
import json, os, sys
from reproduce.publishing import experiment
from tests.reproduce.running import toy

for name, args in json.loads(sys.argv[1]).items():
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        for number, stream in ((1, "out"), (2, "err")):
            file = f"{sys.argv[2]}/{name}.{stream}"
            os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
        sys.argv = ["toy", *args]
        try:
            experiment.main(toy.EXPERIMENT)
        except SystemExit as end:
            # As the interpreter, which takes a second to unload TensorFlow.
            if isinstance(end.code, str):
                sys.stderr.write(end.code + "\\n")
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1 if isinstance(end.code, str) else end.code or 0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with open(f"{sys.argv[2]}/{name}.status", "w") as file:
        file.write(str(status))
"""


def run_binary(cases, folder):
    """Runs the binary once a case, each in a process of its own.

    One process imports TensorFlow, and forks.

    Args:
        cases: Dict from name to a list of arguments.
        folder: Path of a folder for the outputs.

    Returns:
        Dict from name to exit status, standard output and error.
    """
    env = {**os.environ, "COLUMNS": "200"}
    env.pop("TF_CPP_MIN_LOG_LEVEL", None)  # a user has none
    subprocess.run(
        [sys.executable, "-c", _FORKS, json.dumps(cases), str(folder)],
        cwd=ROOT,
        env=env,
        check=True,
    )
    return {
        name: (
            int((folder / f"{name}.status").read_text()),
            (folder / f"{name}.out").read_text(),
            (folder / f"{name}.err").read_text(),
        )
        for name in cases
    }


def main(arguments):
    """Runs the binary, in a process of its own."""
    sys.argv[1:] = arguments
    experiment.main(EXPERIMENT)
