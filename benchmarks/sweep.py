r"""How much faster are several workers? Times runs, tasks, and simulates more.

python -m benchmarks.sweep --json=table.json

First the same experiment with three seeds at one worker and at two, whole
processes in turn. Second what a task costs beside its work: the start of Ray,
the start of a worker, an empty stage. Third a simulation of a thousand tasks
of the durations measured, given out one by one to more workers than there are.
"""

import heapq
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import rich
import rich.table
from absl import app, flags

from benchmarks import mask_training

SIMULATED_WORKERS = (8, 64, 512)
TASKS = 1000


def run_experiment(arguments, workers):
    """Runs a binary of `reproduce` in a fresh folder.

    Returns:
        Seconds, and the durations of its stages as it printed them.
    """
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                *arguments,
                f"--output_dir={folder}",
                f"--workers={workers}",
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - start
    found = re.findall(r"done in ([\d.]+) s", done.stdout)
    return seconds, [float(each) for each in found]


def task_costs(count=200):
    """Returns the seconds of starting Ray, a worker, and an empty task."""
    import ray

    def nothing():
        return None

    start = time.monotonic()
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    started = time.monotonic()
    task = ray.remote(nothing)
    ray.get(task.remote())
    warm = time.monotonic()
    for _ in range(count):
        ray.get(task.remote())
    end = time.monotonic()
    ray.shutdown()
    return {
        "ray": started - start,
        "worker": warm - started,
        "task": (end - warm) / count,
    }


def efficiency(durations, workers, task_cost, worker_cost):
    """Returns how much of the workers' time is work, a simulation.

    Each task goes to the worker that is free first; the driver gives out one
    at a time.

    Args:
        durations: Seconds of each task.
        workers: Positive int.
        task_cost: Seconds that the driver needs for each.
        worker_cost: Seconds until a worker is ready.

    Returns:
        Float in (0, 1].
    """
    free = [worker_cost] * workers
    heapq.heapify(free)
    given = end = 0.0
    for duration in durations:
        given = max(given, heapq.heappop(free)) + task_cost
        heapq.heappush(free, given + duration)
        end = max(end, given + duration)
    return sum(durations) / (workers * end)


def measure(arguments, rounds):
    """Returns the record of all three parts."""
    times = {"1": [], "2": []}
    durations = []
    for _ in range(rounds):
        for workers, taken in times.items():
            seconds, found = run_experiment(arguments, int(workers))
            taken.append(seconds)
            durations += found
    costs = task_costs()
    drawn = np.random.default_rng(0).choice(durations, TASKS)
    return {
        "environment": mask_training.environment(),
        "seconds": times,
        "speed_up": float(
            np.median(np.divide(times["1"], times["2"])),
        ),
        "costs": costs,
        "mean_duration": float(np.mean(durations)),
        "efficiency": {
            str(workers): efficiency(
                drawn, workers, costs["task"], costs["worker"]
            )
            for workers in SIMULATED_WORKERS
        },
        "efficiency_of_10_s_tasks": {
            str(workers): efficiency(
                [10.0] * TASKS, workers, costs["task"], costs["worker"]
            )
            for workers in SIMULATED_WORKERS
        },
    }


def tables(record):
    """Yields what is printed of a record."""
    shown = rich.table.Table("workers", "seconds", "times faster")
    for workers, taken in record["seconds"].items():
        cell = ", ".join(f"{each:.1f}" for each in taken)
        ratio = f"{record['speed_up']:.2f}" if workers == "2" else ""
        shown.add_row(workers, cell, ratio)
    yield shown
    shown = rich.table.Table("cost", "seconds")
    for name, seconds in record["costs"].items():
        shown.add_row(name, f"{seconds:.4f}")
    yield shown
    shown = rich.table.Table(
        "workers (simulated)",
        f"tasks as measured, {record['mean_duration']:.1f} s",
        "tasks of 10 s",
    )
    for workers, share in record["efficiency"].items():
        ten = record["efficiency_of_10_s_tasks"][workers]
        shown.add_row(workers, f"{share:.1%}", f"{ten:.1%}")
    yield shown


def main(argv):
    args = flags.FLAGS
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
    record = measure(args.experiment.split(), args.rounds)
    for table in tables(record):
        rich.print(table)
    if args.json:
        text = json.dumps(record, indent=1)
        pathlib.Path(args.json).write_text(text + "\n", "utf-8")


def define_flags(values):
    """Defines the flags of this binary in some `flags.FlagValues`."""
    flags.DEFINE_string(
        "experiment",
        "reproduce.add_mul "
        "--flagfile=reproduce/flags/add_mul_demo.flags --seeds=0,1,2",
        "Module and flags of what is run.",
        flag_values=values,
    )
    flags.DEFINE_integer("rounds", 3, "Runs of each.", 1, flag_values=values)
    flags.DEFINE_string("json", "", "File to write.", flag_values=values)


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(main)
