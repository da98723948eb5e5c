"""Training that can be killed at any moment, and what it will take."""

import dataclasses
import resource
import time
import warnings
from typing import NamedTuple

import keras
import numpy as np
import rich.table
import tensorflow as tf

from modularity_tf.masking.callbacks import StepCounter
from reproduce.running import artifacts


def fit(stage, model, batches, steps, epoch_steps, callbacks=(), **kwargs):
    """Trains a compiled model for `steps` steps, or what is left of them.

    Killed and called again, it goes on from the last checkpoint, and the
    outcome is that of an undisturbed run: the optimizer's step count says
    which batch comes next.

    Args:
        stage: `Stage`: where the checkpoint and the logs lie, who is told of
            steps that are done.
        model: Compiled Keras model.
        batches: Function `(start, stop)` to the `tf.data.Dataset` of those
            batches.
        steps: Int.
        epoch_steps: Int. Steps between two points in TensorBoard.
        callbacks: Iterable of further Keras callbacks.
        **kwargs: Of `keras.Model.fit`.

    Returns:
        The model.

    Raises:
        ValueError: If the loss becomes NaN or infinite, or the checkpoint is
            damaged or of another model.
    """
    checkpoint, advance = stage.checkpoint, stage.run.progress.advance
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    state = [*model.variables, *model.optimizer.variables]
    if checkpoint.exists():
        stage.started -= _restore(checkpoint, state)
    start = int(model.optimizer.iterations)
    advance(start)
    if start == steps:  # killed before its artifact was written
        return model
    epoch_steps = min(epoch_steps, steps)
    own = [
        _TensorBoard(stage.log_dir, epoch_steps),
        _RefuseInfiniteLoss(),
        _Checkpoint(stage, state),
        StepCounter(advance),
    ]
    model.fit(
        batches(start, steps),
        initial_epoch=start // epoch_steps,
        epochs=-(-steps // epoch_steps),
        steps_per_epoch=epoch_steps,
        callbacks=[*own, *callbacks],
        shuffle=False,
        verbose=0,
        **kwargs,
    )
    return model


def search(stage, find, *args, callbacks=(), **settings):
    """Returns a finding, with the warnings of its search in its provenance.

    Args:
        stage: `Stage`, who is told of steps that are done; a long search makes
            it longer.
        find: `mtf.find_weights`, or `mtf.find_neurons` with learned gates.
        *args: Of `find`.
        callbacks: Iterable of further Keras callbacks.
        **settings: Of `find`.
    """

    def advance(steps):
        if (more := counter.taken - stage.steps) > 0:
            stage.steps += more
            stage.run.progress.extend(more)
        stage.run.progress.advance(steps)

    counter = StepCounter(advance)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        found = find(
            *args, callbacks=[*callbacks, counter], verbose=0, **settings
        )
    texts = [str(w.message) for w in told if w.category is UserWarning]
    provenance = {**found.provenance, "warnings": texts}
    return dataclasses.replace(found, provenance=provenance)


class Phase(NamedTuple):
    """A kind of work that is timed for the estimate.

    Attributes:
        work: Function of an int that does so much of it, at least 1.
        unit: Int, the steps of a stage that 1 stands for.
    """

    work: object
    unit: int = 1


def phase(model, batches):
    """Returns the `Phase` of training a compiled model.

    Args:
        model: Compiled Keras model.
        batches: As in `fit`.
    """
    return Phase(
        lambda count: model.fit(batches(0, count), shuffle=False, verbose=0)
    )


def estimate(phases, steps):
    """Times a little of each phase, and tells what the run will take.

    Args:
        phases: Dict from name to `Phase`.
        steps: Dict from name to int, the steps still to do.

    Returns:
        `rich.table.Table`, and the seconds together.
    """
    table = rich.table.Table(title="Estimate", title_justify="left")
    for column in ("phase", "steps", "s a step", "time"):
        table.add_column(column, justify="right")
    total = 0.0
    for name, (work, unit) in phases.items():
        if not steps.get(name):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the few steps
            work(1)  # traces
            step = _seconds_a_step(work) / unit
        seconds = step * steps[name]
        total += seconds
        table.add_row(name, str(steps[name]), f"{step:.4f}", duration(seconds))
    return table, total


def duration(seconds):
    """Returns a time in words: seconds, minutes or hours."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _seconds_a_step(work):
    """Returns what one more step takes: the start-up is left out.

    One step is timed, then two: where a step takes long, no more are.
    """
    few, many = 1, 2
    while True:
        more = _seconds(work, many) - _seconds(work, few)
        if more > 0.2 or many > 1000:  # less is noise
            return max(more, 0) / (many - few)
        many *= 5


def _seconds(work, count):
    """Returns how long so much work takes: if not long, the best of five."""
    taken = []
    while len(taken) < 5 and sum(taken) < 2:
        start = time.monotonic()
        work(count)
        taken.append(time.monotonic() - start)
    return min(taken)


def limit_threads(cores):
    """Has TensorFlow compute on so many cores, before its first operation.

    Sums over other numbers of threads may round in another way.

    Args:
        cores: Float; fewer than one counts as one.
    """
    count = max(1, int(cores))
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


def peak_memory():
    """Returns the most memory this process has had so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _restore(checkpoint, state):
    """Sets variables as in a checkpoint; returns the seconds up to there."""
    try:
        with np.load(checkpoint) as saved:
            *values, seconds = (saved[key] for key in saved)
    except OSError as error:
        if error.errno:  # of the disk, not of what the file holds
            raise
        values = []
    except Exception:  # a damaged file can raise anything
        values = []
    if [v.shape for v in values] != [tuple(v.shape) for v in state]:
        raise ValueError(
            f"{checkpoint} is damaged, or of another model: delete it, and the "
            "stage starts from its beginning."
        )
    for variable, value in zip(state, values, strict=True):
        variable.assign(value)
    return float(seconds)


class _TensorBoard(keras.callbacks.TensorBoard):
    """Has the losses of epochs at the training step, as all else is."""

    def __init__(self, log_dir, epoch_steps):
        super().__init__(log_dir, write_graph=False)
        self._epoch_steps = epoch_steps

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end((epoch + 1) * self._epoch_steps, logs)


class _RefuseInfiniteLoss(keras.callbacks.Callback):
    """As `keras.callbacks.TerminateOnNaN`, with an error that a user reads."""

    def on_train_batch_end(self, batch, logs=None):
        if not np.isfinite((logs or {}).get("loss", 0.0)):
            raise ValueError(
                "the loss became NaN or infinite; lower the learning rate."
            )


class _Checkpoint(keras.callbacks.Callback):
    """Saves all state at the end of an epoch, now and then.

    Keras's own weight files leave the state of the random generators out, and
    a resumed run would draw other dropout masks.
    """

    def __init__(self, stage, state):
        super().__init__()
        self._stage, self._state = stage, state
        self._saved = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        seconds = self._stage.config.checkpoint_seconds
        if time.monotonic() - self._saved < seconds:
            return
        values = [variable.numpy() for variable in self._state]
        with artifacts.whole(self._stage.checkpoint) as partial:
            np.savez(partial, *values, self._stage.seconds())
        self._saved = time.monotonic()
