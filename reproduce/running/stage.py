"""Stages: the steps of an experiment, each with an artifact of its own."""

import functools
import hashlib
import json
import math
import time

from reproduce.running import configuration, training


class Stage:
    """One step of an experiment, planned first and carried out by its `Run`.

    What it makes is a function of the configuration, its seed and the results
    of the stages it needs, so that any process may carry it out. The function
    gets the stage itself, and through it all that has to do with the run.

    Attributes:
        run: `Run`.
        name: Str, path of the artifact in the run folder, without suffix;
            `None` if there is none, and the result is computed again.
        function: Function `(stage, *results)` to the result: a Keras model, a
            `WeightMask`, JSON values, or a dict of such.
        needs: Tuple of arguments for `function`; stages in it, also within
            dicts, lists and tuples, stand for their results.
        seed: Int, the repeat.
        steps: Int. Training steps, for progress and estimate.
        phase: Str or `None`, the phase of the estimate that they belong to.
        started: Float, when it was begun by `time.monotonic`; earlier by as
            much as processes that were killed had worked on it.
    """

    def __init__(
        self, run, name, function, needs=(), seed=0, steps=0, phase=None
    ):
        self.run, self.name, self.function = run, name, function
        self.needs, self.seed = needs, seed
        self.steps, self.phase = steps, phase
        self.started = math.nan

    @functools.cached_property
    def origin(self):
        """Str, a digest of what it is made from: seed, values and stages."""
        needs = resolve(self.needs, lambda stage: [stage.name, stage.origin])
        # Of other objects, functions say, the kind alone.
        text = json.dumps(
            [self.seed, needs], default=lambda x: type(x).__name__
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def config(self):
        """The `Config` of the run."""
        return self.run.config

    @property
    def log_dir(self):
        """Path of the folder of the stage's TensorBoard logs."""
        return self.run.folder / "logs" / self.name

    @property
    def checkpoint(self):
        """Path of the checkpoint of the stage's training."""
        return self.run.checkpoint(self.name)

    def seconds(self):
        """Returns how long it has been worked on, by killed processes, too."""
        return time.monotonic() - self.started

    def derive_seed(self, *purpose):
        """Returns an int that depends on the seed and the purpose alone."""
        return configuration.derive_seed(self.seed, *purpose)

    def substage(self, name, function, *needs, steps=0):
        """Returns the result of a stage within this one, carried out now.

        For what can't be planned: a search decides what it tries next.

        Args:
            name: Str. The artifact lies beside that of this stage.
            function: As in `Stage`.
            *needs: As in `Stage`.
            steps: As in `Stage`.
        """
        place = "/".join((*self.name.split("/")[:-1], name))
        part = Stage(self.run, place, function, needs, self.seed, steps)
        self.run.progress.extend(steps)
        self.started -= self.run.seconds(part) or 0.0
        found = self.run.result(part)
        self.run.progress.finish(steps)
        return found

    def fit(self, model, batches, steps, epoch_steps, **kwargs):
        """Trains a compiled model, or what is left of it; see `training.fit`.

        Args:
            model: Compiled Keras model.
            batches: As in `training.fit`.
            steps: As in `training.fit`.
            epoch_steps: As in `training.fit`.
            **kwargs: Of `keras.Model.fit`.

        Returns:
            The model.
        """
        return training.fit(self, model, batches, steps, epoch_steps, **kwargs)


def resolve(needs, result):
    """Returns a nest of arguments with the stages in it replaced.

    Args:
        needs: Stage, value, or dict, list or tuple of such.
        result: Function from a stage to what takes its place.
    """
    if isinstance(needs, Stage):
        return result(needs)
    if isinstance(needs, dict):
        return {key: resolve(part, result) for key, part in needs.items()}
    if isinstance(needs, (list, tuple)) and not hasattr(needs, "_fields"):
        return type(needs)(resolve(part, result) for part in needs)
    return needs
