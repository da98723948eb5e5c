"""The engine: stages of a run on several processes or machines, through Ray.

Ray Core starts the processes and tells which were lost. A worker carries out
one stage at a time: it reads what the stage needs from the run folder and
leaves its artifact there by a rename. So the run folder stays the single truth
whoever does the work, and little more than names goes over the wire. A stage
goes to a worker that has what it needs in memory, if there is one.
"""

import collections
import contextlib
import functools
import pathlib
import re
import socket
import time
import traceback
import uuid
from collections.abc import Callable
from typing import Any

from reproduce.running import helpers, provenance, training
from reproduce.running.run import Run, names_needed

ATTEMPTS = 3
STAGES_A_WORKER = 50
_POLL_SECONDS = 0.5
_REPORT_SECONDS = 1.0


def import_ray():
    """Returns the module `ray`.

    Raises:
        ValueError: If it is not installed, with what to install.
    """
    try:
        import ray
    except ImportError:
        raise ValueError(
            "--workers and --address need Ray: pip install "
            "'modularity_tf[cluster]'."
        ) from None
    return ray


def cores_a_task(config):
    """Returns how many cores a task has: asked for, or a worker's share."""
    if config.cpus_per_task:
        return config.cpus_per_task
    if config.address:
        return 1.0
    return provenance.available_cores() / config.workers


def check_memory(config, peak):
    """Raises `ValueError` if the workers would not fit into the memory.

    Args:
        config: `Config`.
        peak: Float, the GiB of one worker at most.
    """
    with contextlib.suppress(OSError):  # only Linux tells
        text = pathlib.Path("/proc/meminfo").read_text()
        (free,) = re.findall(r"MemAvailable: +(\d+) kB", text)
        fit = int(int(free) / 2**20 / peak)
        if config.workers > max(fit, 1):
            raise ValueError(
                f"--workers={config.workers} need {peak:.1f} GiB each, and "
                f"{int(free) / 2**20:.1f} GiB are free: take {max(fit, 1)} at "
                "most."
            )


def carry_out(plan: Callable[[Run], Any], run: Run) -> None:
    """Carries out the unfinished stages of a run, several at a time.

    A stage that fails `ATTEMPTS` times is given up, and so are those that
    need it; the others go on.

    Args:
        plan: Plans the stages of a run; each worker imports it by its name.
        run: The run, planned and entered.

    Raises:
        ValueError: If Ray is not installed or not reached, if the machines do
            not share the run folder, or if stages failed, by name.
    """
    ray, config = import_ray(), run.config
    unfinished = run.unfinished()
    if not unfinished:
        return
    _check_address(config.address)
    try:
        ray.init(
            address=config.address or "local",  # whatever cluster runs here
            num_cpus=None if config.address else config.workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except ConnectionError as error:
        raise ValueError(
            f"--address={config.address} is no Ray cluster: {error}."
        ) from error
    run.start_progress(unfinished)
    try:
        if config.address:
            _check_folder_is_shared(ray, run.folder)
        failed, left_out = _work_off(ray, plan, run, unfinished)
    finally:
        run.progress.stop()
        ray.shutdown()  # ends the workers
    if failed:
        causes = "; ".join(f"{name}: {cause}" for name, cause in failed.items())
        raise ValueError(
            f"{len(failed)} stages failed {ATTEMPTS} times, and "
            f"{len(left_out)} that need them were left out; the others are "
            f"finished. {causes}"
        )


def _check_address(address):
    """Raises `ValueError` if nobody listens: Ray asks for many minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), 10).close()
    except OSError as error:
        raise ValueError(
            f"--address={address} is no Ray cluster: {error}."
        ) from error


def _work_off(ray, plan, run, unfinished):
    """Gives out stages as soon as what they need is there.

    Returns:
        Dict from the stages that failed to what they died of, and the names of
        those that need them.
    """
    # Once for all: a worker plans the same stages from it.
    planned = ray.put((plan, run.config, run.name))
    reports = ray.remote(num_cpus=0)(helpers.Reports).remote()
    needs = {name: names_needed(stage) for name, stage in unfinished.items()}
    missing = {name: found & unfinished.keys() for name, found in needs.items()}
    ready, idle, working, failed = [], [], {}, {}
    attempts = collections.Counter()
    while missing or ready or working:
        for name in [n for n, left in missing.items() if not left]:
            del missing[name]
            ready.append(name)
        while ready and (idle or len(working) < _most_workers(ray, run.config)):
            if not idle:
                idle.append(_Hand(ray, run.config, planned, reports))
            name, hand = _choose(ready, idle, needs)
            ready.remove(name)
            idle.remove(hand)
            working[hand.actor.carry_out.remote(name)] = name, hand
        if not working:  # all that is left needs what failed
            break
        done, _ = ray.wait([*working], timeout=_POLL_SECONDS)
        for reference in done:
            name, hand = working.pop(reference)
            attempts[name] += 1
            try:
                seconds = ray.get(reference)
            except Exception as error:  # whatever a stage may raise
                if not isinstance(error, ray.exceptions.RayActorError):
                    idle.append(hand)  # its process lives
                if attempts[name] < ATTEMPTS:
                    ready.insert(0, name)
                else:
                    failed[name] = _write_log(run.folder, name, error)
                continue
            if hand.keeps_working(needs[name] | {name}):
                idle.append(hand)
            run.progress.finish(unfinished[name].steps)
            run.tell_done(name, seconds)
            for left in missing.values():
                left.discard(name)
        run.progress.show(ray.get(reports.working.remote()))
    return failed, sorted(missing)


class _Hand:
    """A worker, as the driver knows it.

    Attributes:
        actor: The handle of its process.
        kept: Set of the names of the stages whose results it has in memory.
    """

    def __init__(self, ray, config, planned, reports):
        # On this machine a stage is a worker, however many cores it has.
        cores = cores_a_task(config) if config.address else 1
        options = {"num_cpus": cores, "num_gpus": config.gpus_per_task}
        # In a list Ray does not fetch it anew for every worker's sake.
        self.actor = ray.remote(**options)(_Worker).remote([planned], reports)
        self.kept = frozenset()
        self._ray, self._stages = ray, 0
        # TensorFlow keeps a GPU's memory, and graphs of models that are gone.
        self._most = 1 if config.gpus_per_task else STAGES_A_WORKER

    def keeps_working(self, kept):
        """Counts a stage; returns `False` if the process has made room."""
        self.kept, self._stages = kept, self._stages + 1
        if self._stages < self._most:
            return True
        self._ray.kill(self.actor)
        return False


def _choose(ready, idle, needs):
    """Returns the next stage, and the worker that has most of what it needs.

    The first stage of which a worker has something in memory, a network that
    is traced say; else the first one.

    Args:
        ready: List of the names of stages that can begin, not empty.
        idle: List of `_Hand`, not empty.
        needs: Dict from the name of a stage to the set of those it needs.
    """
    for name in ready:
        hand = max(idle, key=lambda each: len(needs[name] & each.kept))
        if needs[name] & hand.kept:
            return name, hand
    return ready[0], min(idle, key=lambda each: len(each.kept))


def _most_workers(ray, config):
    """Returns how many workers there may be: more, once machines join."""
    if not config.address:
        return config.workers
    resources = ray.cluster_resources()
    most = resources.get("CPU", 0) // cores_a_task(config)
    if config.gpus_per_task:
        most = min(most, resources.get("GPU", 0) // config.gpus_per_task)
    return max(1, int(most))


def _write_log(folder, name, error):
    """Writes what a stage died of to a file; returns it in one line."""
    path = folder / "logs" / f"{name}.failed.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(traceback.format_exception(error)))
    cause = getattr(error, "cause", None) or error
    return f"{cause!r} (see {path})"


def _check_folder_is_shared(ray, folder):
    """Raises `ValueError` by host if a machine can't read the run folder."""
    token, file = uuid.uuid4().hex, folder.absolute() / "shared.txt"
    file.write_text(token)
    reads = ray.remote(num_cpus=0)(helpers.has_token)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    found = ray.get(
        [
            reads.options(
                resources={f"node:{node['NodeManagerAddress']}": 1e-3}
            ).remote(str(file), token)
            for node in nodes
        ]
    )
    file.unlink()
    blind = [
        node["NodeManagerHostname"]
        for node, can_read in zip(nodes, found, strict=True)
        if not can_read
    ]
    if blind:
        raise ValueError(
            f"{folder} is not on a file system that all machines share: "
            f"{', '.join(blind)} can't read it. Choose another --output_dir."
        )


# What follows runs in the workers.


class _RemoteProgress:
    """The progress of one stage, told to the actor now and then.

    It has what a `Stage` uses of `progress.Progress`.
    """

    def __init__(self, reports, name):
        self._reports, self._name = reports, name
        self._steps, self._told = 0, time.monotonic()

    def advance(self, steps):
        """Counts steps of the stage."""
        self._steps += steps
        if time.monotonic() - self._told > _REPORT_SECONDS:
            self._tell(self._steps)

    def extend(self, steps):
        """The driver's bar counts planned stages alone."""

    def finish(self, steps):
        """As `extend`."""

    def _tell(self, steps):
        self._reports.report.remote(self._name, steps)
        self._told = time.monotonic()

    def __enter__(self):
        self._tell(0)
        return self

    def __exit__(self, *exception):
        self._tell(None)


class _Worker:
    """Carries out stages; what they need is in the run folder.

    Args:
        planned: List of one reference to what to plan.
        reports: Actor that is told the progress.
    """

    def __init__(self, planned, reports):
        self._planned, self._reports = planned, reports

    @functools.cached_property
    def _run(self):
        import ray

        plan, config, name = ray.get(*self._planned)
        training.limit_threads(cores_a_task(config))
        run = Run(config, name)
        plan(run)
        return run

    def carry_out(self, name):
        """Carries out one stage, and returns its seconds."""
        run, start = self._run, time.monotonic()
        stage = run.stages[name]
        # Another stage of the same network finds it here, and a model traced.
        run.forget_all_but(names_needed(stage))
        with _RemoteProgress(self._reports, name) as run.progress:
            run.result(stage)
        return time.monotonic() - start
