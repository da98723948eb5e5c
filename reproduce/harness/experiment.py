"""What every experiment shares: flags, a run folder, stages that resume.

An experiment is a `Config`, some stages and two functions of the records: one
draws the figures, one states the claims. This module alone reads and writes
the run folder:

    runs/NAME-DATASET-DIGEST/      DIGEST: of the configuration
        cnn/seed0/network.keras    an artefact a stage, written once
        logs/                      TensorBoard
        figNN_what.png             drawn from results.json alone
        results.json               configuration, versions, records, claims
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time
import typing

import keras
import numpy as np
import rich.console
import rich.progress
import rich.table
import tensorflow as tf
from absl import app, flags, logging
from matplotlib import image

import modularity_tf
from modularity_tf import plots
from reproduce.harness import claim

LONG_RUN_STEPS = 50_000  # longer runs begin with an estimate
_PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
)


def field(default, help, names_run=True):
    """Returns a dataclass field that is also a command-line flag.

    Args:
        default: Int, float, bool, str, or a tuple of such.
        help: Str, the flag's help.
        names_run: Bool. Whether another value makes another run folder.
    """
    metadata = {"help": help, "names_run": names_run}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """The flags that every experiment has."""

    output_dir: str = field("runs", "Folder of the run folders.", False)
    seeds: tuple[int, ...] = field((0,), "Seeds; one repeat each.", False)
    stage: str = field(
        "all",
        "What to do: `all`, or `figures` (draw again from results.json).",
        False,
    )
    dry_run: bool = field(
        False, "Print an estimate of time and memory, and stop.", False
    )
    checkpoint_seconds: float = field(
        20.0, "At least so long between two checkpoints of a stage.", False
    )
    jit_compile: bool = field(
        False, "Compile whole training steps with XLA (for GPUs).", False
    )

    def __post_init__(self):
        if not self.seeds or min(self.seeds) < 0:
            raise ValueError(
                f"--seeds must be ints of at least 0, got {self.seeds}."
            )
        if self.stage not in ("all", "figures"):
            raise ValueError(
                f"--stage must be `all` or `figures`, got {self.stage!r}."
            )
        for name, value in dataclasses.asdict(self).items():
            if name.endswith(("_steps", "_size", "_lr")) and not value > 0:
                raise ValueError(f"--{name} must be positive, got {value}.")

    def digest(self):
        """Returns eight hexadecimal digits of a hash of what names a run."""
        named = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.metadata["names_run"]
        }
        text = json.dumps(named, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def define_flags(config_class, flag_values=flags.FLAGS):
    """Defines one flag a field. Call it under the `__main__` guard."""
    for f in dataclasses.fields(config_class):
        define = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }.get(type(f.default), flags.DEFINE_list)
        default = f.default
        if isinstance(default, tuple):
            default = [str(item) for item in default]
        help = f.metadata["help"]
        define(f.name, default, help, flag_values=flag_values)


def config_from_flags(config_class, flag_values=flags.FLAGS):
    """Returns the `config_class` that the parsed flags describe.

    Raises:
        ValueError: If a list holds something that is no number, or the
            configuration refuses a value.
    """
    values = {}
    for f in dataclasses.fields(config_class):
        value = flag_values[f.name].value
        if isinstance(f.default, tuple):
            kind = typing.get_args(f.type)[0]
            try:
                value = tuple(kind(item) for item in value)
            except ValueError:
                raise ValueError(
                    f"--{f.name} must be {kind.__name__}s, got "
                    f"{','.join(value)!r}."
                ) from None
        values[f.name] = value
    return config_class(**values)


def run_main(config_class, main):
    """Defines the flags, parses them and calls `main(config)`.

    A user's mistake (`ValueError`, a file that is not there) ends the process
    with status 1 and one line on standard error; `-v 1` shows the traceback
    as well.
    """

    def absl_main(argv):
        if len(argv) > 1:
            raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
        try:
            main(config_from_flags(config_class))
        except (ValueError, FileNotFoundError) as error:
            logging.debug("", exc_info=True)
            sys.exit("Error: " + " ".join(str(error).split()))

    define_flags(config_class)
    app.run(absl_main)


def derive_seed(seed, *purpose):
    """Returns an int in [0, 2**31) that depends on all the arguments."""
    text = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


class Run:
    """A run folder: stages read back or carried out, results, figures.

    Args:
        config: `Config`.
        name: Str, the experiment.
        total_steps: Int. Training steps of all stages, for the progress bar.
    """

    def __init__(self, config, name, total_steps=0):
        self.config = config
        parts = [name, getattr(config, "dataset", ""), config.digest()]
        folder = "-".join(part for part in parts if part)
        self.folder = pathlib.Path(config.output_dir) / folder
        self._console = rich.console.Console()
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description:<32}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("left"),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
        )
        self._task = self._progress.add_task("", total=total_steps)

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self._console.print(f"Run folder: {self.folder}", soft_wrap=True)
        return self

    def __exit__(self, *exception):
        self._progress.stop()

    def stage(self, name, function, steps=0):
        """Returns the artefact `name`: read back, or made by `function()`.

        Args:
            name: Str, a path in the run folder without suffix.
            function: Function without arguments. It returns a Keras model, a
                `WeightMask` or JSON values.
            steps: Int. Training steps that count as done if it is read back.
        """
        self._progress.start()
        self._progress.update(self._task, description=name)
        for suffix, (_, _, read) in _ARTEFACTS.items():
            file = self.folder / f"{name}{suffix}"
            if file.exists():
                self._progress.advance(self._task, steps)
                return read(file)
        start = time.monotonic()
        artefact = function()
        for suffix, (kind, write, _) in _ARTEFACTS.items():
            if isinstance(artefact, kind):
                file = self.folder / f"{name}{suffix}"
                file.parent.mkdir(parents=True, exist_ok=True)
                partial = file.with_name(f"partial-{file.name}")
                write(artefact, partial)
                os.replace(partial, file)
                break
        self._checkpoint(name).unlink(missing_ok=True)
        seconds = time.monotonic() - start
        self._console.print(f"{name}: done in {seconds:.1f} s", highlight=False)
        return artefact

    def fit(self, name, model, batches, steps, epoch_steps, **kwargs):
        """Trains a compiled model for `steps` steps, or what is left of them.

        Killed and called again, it goes on from the last checkpoint, and the
        outcome is that of an undisturbed run: the optimizer's step count
        says which batch comes next.

        Args:
            name: Str, the stage.
            model: Compiled Keras model.
            batches: Function `(start, stop)` to the `tf.data.Dataset` of
                those batches.
            steps: Int.
            epoch_steps: Int. Steps between two points in TensorBoard.
            **kwargs: Of `keras.Model.fit`.

        Returns:
            Dict, the last epoch's logs.

        Raises:
            ValueError: If the loss becomes NaN or infinite.
        """
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        checkpoint = self._checkpoint(name)
        state = [*model.variables, *model.optimizer.variables]
        if checkpoint.exists():
            with np.load(checkpoint) as saved:
                for variable, key in zip(state, saved, strict=True):
                    variable.assign(saved[key])
        start = int(model.optimizer.iterations)
        self._progress.advance(self._task, start)
        epoch_steps = min(epoch_steps, steps)
        callbacks = [
            keras.callbacks.TensorBoard(
                self.folder / "logs" / name, write_graph=False
            ),
            keras.callbacks.TerminateOnNaN(raise_error=True),
            _Checkpoint(checkpoint, state, self.config.checkpoint_seconds),
            _Advance(self._progress, self._task),
        ]
        try:
            history = model.fit(
                batches(start, steps),
                initial_epoch=start // epoch_steps,
                epochs=-(-steps // epoch_steps),
                steps_per_epoch=epoch_steps,
                callbacks=[*callbacks, *kwargs.pop("callbacks", [])],
                shuffle=False,
                verbose=0,
                **kwargs,
            )
        except RuntimeError as error:
            if not str(error).startswith("NaN or Inf loss"):
                raise
            raise ValueError(
                f"{name}: the loss became NaN or infinite; lower the learning "
                "rate."
            ) from error
        return {name: values[-1] for name, values in history.history.items()}

    def estimate(self, phases):
        """Times a few steps of each phase and prints what the run will take.

        Args:
            phases: Tuples `(name, model, batches, steps)`: a compiled model,
                a function as for `fit`, and how many such steps the run has.
        """
        table = rich.table.Table(title="Estimate", title_justify="left")
        for column in ("phase", "steps", "s a step", "hours"):
            table.add_column(column, justify="right")
        hours = 0.0
        for name, model, batches, steps in phases:
            model.fit(batches(0, 2), shuffle=False, verbose=0)  # traces
            seconds = {}
            for count in (2, 12):  # the difference leaves the start-up out
                start = time.monotonic()
                model.fit(batches(0, count), shuffle=False, verbose=0)
                seconds[count] = time.monotonic() - start
            step = max(seconds[12] - seconds[2], 0) / 10
            hours += step * steps / 3600
            row = (
                name,
                str(steps),
                f"{step:.4f}",
                f"{step * steps / 3600:.2f}",
            )
            table.add_row(*row)
        self._console.print(table)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        self._console.print(
            f"About {hours:.2f} hours on this machine; so far "
            f"{peak:.1f} GiB of memory at the peak. Killed at any moment, the "
            "same command goes on from where it was."
        )

    def finish(self, records, claims, draw):
        """Writes results.json, draws the figures and prints the claims.

        Args:
            records: JSON values: every number that a figure shows.
            claims: Function from the records to a list of `claim.Claim`.
            draw: Function from the records to a dict from figure name to
                `matplotlib.figure.Figure`.
        """
        self._progress.stop()
        checked = [stated.checked() for stated in claims(records)]
        results = {
            "config": dataclasses.asdict(self.config),
            "versions": _versions(),
            "seeds": self.config.seeds,
            "records": records,
            "claims": checked,
        }
        _write_json(results, self.folder / "results.json")
        self.draw(draw)

    def draw(self, draw):
        """Draws the figures and prints the claims from results.json alone.

        Raises:
            ValueError: If there is no results.json yet.
        """
        results_file = self.folder / "results.json"
        if not results_file.exists():
            raise ValueError(
                f"{results_file} does not exist: run without --stage=figures "
                "first."
            )
        results = json.loads(results_file.read_text())
        with tf.summary.create_file_writer(
            str(self.folder / "logs" / "figures")
        ).as_default(step=0):
            for name, figure in draw(results["records"]).items():
                file = self.folder / f"{name}.png"
                plots.save(figure, file)
                tf.summary.image(name, image.imread(file)[None])
                self._console.print(f"drawn: {name}.png", highlight=False)
        self._console.print(claim.table(results["claims"]))
        self._console.print(
            f"{self.folder}/results.json; tensorboard --logdir {self.folder}",
            soft_wrap=True,
        )

    def _checkpoint(self, name):
        return self.folder / f"{name}.checkpoint.npz"


class _Checkpoint(keras.callbacks.Callback):
    """Saves all state at the end of an epoch, now and then.

    Keras's own weight files leave the state of the random generators out, and
    a resumed run would draw other dropout masks.
    """

    def __init__(self, file, state, seconds):
        super().__init__()
        self._file, self._state, self._seconds = file, state, seconds
        self._saved = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() - self._saved < self._seconds:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_name(f"partial-{self._file.name}")
        np.savez(partial, *(variable.numpy() for variable in self._state))
        os.replace(partial, self._file)
        self._saved = time.monotonic()


class _Advance(keras.callbacks.Callback):
    """Moves the progress bar."""

    def __init__(self, progress, task):
        super().__init__()
        self._progress, self._task = progress, task
        self._batch = -1

    def on_epoch_begin(self, epoch, logs=None):
        self._batch = -1

    def on_train_batch_end(self, batch, logs=None):
        self._progress.advance(self._task, batch - self._batch)
        self._batch = batch


def _write_json(value, file):
    partial = file.with_name(f"partial-{file.name}")
    partial.write_text(json.dumps(value, indent=1))
    os.replace(partial, file)


# Suffix: the type of artefact, how it is written, how it is read.
_ARTEFACTS = {
    ".keras": (
        keras.Model,
        lambda model, file: model.save(file),
        keras.saving.load_model,
    ),
    ".npz": (
        modularity_tf.WeightMask,
        lambda mask, file: mask.save(file),
        modularity_tf.WeightMask.load,
    ),
    ".json": (object, _write_json, lambda file: json.loads(file.read_text())),
}


def _versions():
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    versions["python"] = platform.python_version()
    versions["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    gpus = tf.config.list_physical_devices("GPU")
    versions["gpus"] = len(gpus)
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        versions["commit"] = subprocess.check_output(
            ["git", "describe", "--always", "--dirty"],
            cwd=pathlib.Path(__file__).parent,
            stderr=subprocess.DEVNULL,
            text=True,
        ).strip()
    return versions
