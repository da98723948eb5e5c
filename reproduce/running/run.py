"""A run folder: stages planned, carried out or read back, and results.

runs/NAME-DATASET-DIGEST/      DIGEST: of the configuration
    cnn/seed0/network.keras    one artifact for each stage, written once
    cnn/seed0/network.keras.sum  tells it from what anything else wrote
    logs/                      TensorBoard
    figNN_what.png             drawn from results.json alone
    results.json               configuration, versions, time, records, claims
    run.flags                  the flags of the last start, as a flag file
    part-DIGEST/               results of a part of what results.json has
"""

import collections
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import sys
import time
from typing import Any

from reproduce.running import artifacts, provenance, training
from reproduce.running.progress import Progress, in_words
from reproduce.running.stage import Stage, resolve

PART = "part-"
_FLAGS = "run.flags"


class Run:
    """The stages of an experiment, and the folder where they lie.

    A plan comes first: `stage` and `combine` make `Stage`s and carry out
    nothing, nor do they touch the disk. Within a `with` block, which locks the
    folder, `carry_out` does what is not done yet.

    Args:
        config: `Config`.
        name: Str, the experiment.
        progress: `Progress`, or an object like it.
    """

    def __init__(self, config, name, progress=None):
        self.config, self.name = config, name
        parts = [name, getattr(config, "dataset", ""), config.digest()]
        folder = "-".join(part for part in parts if part)
        self.folder = pathlib.Path(config.output_dir) / folder
        self.stages = {}
        self.progress = progress or Progress()
        self.console = self.progress.console
        self._in_memory = {}
        self._lock = None

    def stage(self, name, function, *needs, seed=0, steps=0, phase=None):
        """Plans a stage, and returns it.

        Args:
            name: Str, a path in the run folder without suffix.
            function: As in `Stage`, like the other arguments.
            *needs: Arguments of `function`, stages for their results.
            seed: Int, the repeat.
            steps: Int, training steps.
            phase: Str or `None`, the phase of the estimate.

        Raises:
            ValueError: If there is a stage of that name with another function
                or other arguments.
        """
        made = Stage(self, name, function, needs, seed, steps, phase)
        known = self.stages.setdefault(name, made)
        same = function, needs, seed
        if (known.function, known.needs, known.seed) != same:
            raise ValueError(f"Two stages have the name {name!r}.")
        return known

    def combine(self, function, *needs):
        """Plans what is computed from results whenever it is asked for.

        Args:
            function: Function of the results of `needs`.
            *needs: As in `stage`.
        """
        return Stage(
            self, None, lambda stage, *results: function(*results), needs
        )

    def steps_left(self):
        """Returns the training steps to do, a dict from phase to int."""
        left = collections.Counter()
        for stage in self.unfinished().values():
            left[stage.phase] += stage.steps
        return left

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self.results_folder()  # refuses damaged results before any work
        (self.folder / _FLAGS).write_text(
            "\n".join([*self.config.flags(), ""]), "utf-8"
        )
        self.console.print(
            f"Run folder: {self.folder} (all flags are in {_FLAGS})",
            soft_wrap=True,
        )
        return self

    def __exit__(self, *exception):
        self.progress.stop()
        self._lock.close()  # which frees it, as the end of a process does

    def carry_out(self, wanted):
        """Carries out what is planned and not done, and returns results.

        Args:
            wanted: Nest of stages and values.

        Returns:
            The nest, with the results of the stages.

        Raises:
            ValueError: If a stage refuses something; the message begins with
                its name.
        """
        waiting = collections.Counter()  # how many stages still need another
        unfinished = self.unfinished()
        for stage in unfinished.values():
            waiting.update(names_needed(stage))
        self.start_progress(unfinished)
        for stage in unfinished.values():
            self.progress.begin(stage.name)
            self.result(stage)
            self.progress.finish(stage.steps)
            waiting.subtract(names_needed(stage))
            self.forget_all_but(+waiting)
        self.progress.stop()
        return resolve(wanted, self._reported)

    def result(self, stage):
        """Returns the result of a stage: read back, or made now."""
        if stage.name in self._in_memory:
            return self._in_memory[stage.name]
        path = self._find(stage) if stage.name else None
        if path is not None:
            found = artifacts.read(path, self._owner(stage))
        else:
            found = self._make(stage)
        if stage.name:
            self._in_memory[stage.name] = found
        return found

    def unfinished(self):
        """Returns the stages to do, a dict by name in the plan's order."""
        return {n: s for n, s in self.stages.items() if not self._find(s)}

    def start_progress(self, unfinished):
        """Shows the progress bar; what is not unfinished counts as done."""
        total = sum(stage.steps for stage in self.stages.values())
        left = sum(stage.steps for stage in unfinished.values())
        self.progress.start(total, total - left)

    def forget_all_but(self, names):
        """Keeps only the results of these stages in memory."""
        self._in_memory = {
            name: result
            for name, result in self._in_memory.items()
            if name in names
        }

    def tell_done(self, name, seconds):
        """Prints that a stage is finished."""
        self.console.print(
            f"{in_words(name)}: done in {seconds:.1f} s", highlight=False
        )

    def checkpoint(self, name):
        """Returns the path of the checkpoint of a stage."""
        return self.folder / f"{name}.checkpoint.npz"

    def estimate(self, phases):
        """Prints what is left to do: steps, time and memory.

        Args:
            phases: Dict from phase to `training.Phase`.
        """
        table, seconds = training.estimate(phases, self.steps_left())
        self.console.print(table)
        self.console.print(
            f"About {training.duration(seconds)} on this machine; so far "
            f"{training.peak_memory():.1f} GiB of memory at the peak. Killed "
            "at any moment, the same command goes on from where it was."
        )

    def results_folder(self) -> pathlib.Path:
        """Returns where the results of this part of the run lie."""
        path = artifacts.find(self.folder / "results")
        if path is None or self.config.covers(read_results(path)["config"]):
            return self.folder
        part = {
            name: sorted(value) if isinstance(value, tuple) else value
            for name, value in self.config.part().items()
        }
        text = json.dumps(part, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        return self.folder / f"{PART}{digest}"

    def check_results(self) -> pathlib.Path:
        """Returns the path of results.json.

        Raises:
            ValueError: If it is not there, damaged, or of fewer seeds, say.
        """
        path = self.results_folder() / "results.json"
        if not path.exists():
            raise ValueError(
                f"{path} is not there: run without --stage=figures first, or "
                "with the flags of the run."
            )
        left = self.config.lacking(read_results(path)["config"])
        if left:
            raise ValueError(
                f"{path} has no {' '.join(left)}: run without --stage=figures "
                "first."
            )
        return path

    def _reported(self, stage):
        """Returns a result, and frees what it was computed from."""
        found = self.result(stage)
        self._in_memory.clear()
        return found

    def _make(self, stage):
        needs = resolve(stage.needs, self.result)
        stage.started = time.monotonic()
        try:
            made = stage.function(stage, *needs)
        except ValueError as error:
            name = stage.name or "The record"
            raise ValueError(f"{name}: {error}") from error
        made = artifacts.as_read(made)
        if stage.name is None:
            return made
        how = {
            "seconds": stage.seconds(),
            "commit": provenance.commit(),
            "machine": provenance.machine(),
            "origin": stage.origin,
        }
        place = self.folder / stage.name
        artifacts.write(made, place, self._owner(stage), how)
        self.checkpoint(stage.name).unlink(missing_ok=True)
        self.tell_done(stage.name, how["seconds"])
        return made

    def made(self):
        """Returns how the finished stages were made, together.

        The seconds of all stages, side by side or not; `None` if one does not
        tell. All commits, all machines.
        """
        paths = [self._find(stage) for stage in self.stages.values()]
        made = [artifacts.made(path) for path in paths]
        if None in made:
            return None
        return {
            "seconds": sum(each["seconds"] for each in made),
            "commits": sorted({each["commit"] for each in made}),
            "machines": sorted({each["machine"] for each in made}),
        }

    def seconds(self, stage):
        """Returns how long a finished stage took, or `None` if not known."""
        path = self._find(stage)
        made = path and artifacts.made(path)
        return made and made["seconds"]

    def _owner(self, stage):
        return f"{self.folder.name}/{stage.name}"

    def _find(self, stage):
        """Returns the path of a stage's artifact, `None` if it is not made.

        One that was made from other stages or values does not count: another
        part of the run may have had fewer masks of a network, say.
        """
        path = artifacts.find(self.folder / stage.name)
        made = (path and artifacts.made(path)) or {}
        return (
            path if made.get("origin", stage.origin) == stage.origin else None
        )

    def _take_lock(self):
        """Locks the folder, or says which process holds it."""
        path = self.folder / "lock"
        # Not "w", which would wipe out what the holder wrote.
        self._lock = open(path, "a+")  # noqa: SIM115
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read()
            self._lock.close()
            raise ValueError(
                f"{self.folder} is in use by {holder}. Wait for its end, or "
                "choose another --output_dir."
            ) from None
        self._lock.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M")
        self._lock.write(
            f"process {os.getpid()} on {platform.node()} since {since} "
            f"({' '.join(sys.argv[:1])})"
        )
        self._lock.flush()


def read_results(path: pathlib.Path) -> dict[str, Any]:
    """Returns what a results.json holds.

    Args:
        path: That of the file.

    Raises:
        ValueError: If it is damaged, with what to do about it.
    """
    kinds = {"config": dict, "records": (dict, list), "claims": list}
    try:
        results = json.loads(path.read_text("utf-8"))
        is_whole = all(isinstance(results[k], v) for k, v in kinds.items())
    except (ValueError, LookupError, TypeError):
        is_whole = False
    if not is_whole:
        raise ValueError(
            f"{path} is damaged, or something else wrote it: delete it, and "
            "run again without --stage=figures; finished stages are kept."
        )
    return results


def names_needed(stage):
    """Returns the names of the stages that a stage needs, once each."""
    found = []
    resolve(stage.needs, found.append)
    names = {need.name for need in found if need.name}
    for need in found:
        if need.name is None:
            names |= names_needed(need)
    return names
