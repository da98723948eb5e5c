"""Runs all test files in processes of their own: `python -m tests.run`.

TensorFlow keeps graphs of models that are gone until its process ends, so one
process for all files would grow to gigabytes. Each process is forked from this
one, which has imported what is slow to import and has run nothing yet. Small
files share a process, since each begins anew what TensorFlow keeps. Time and
memory are told. Arguments are those of pytest; a path of a test file or of a
folder chooses what runs.
"""

import gc
import importlib
import os
import pathlib
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest

WORKERS = 2
_TOGETHER = 24_000  # bytes of test files that one process runs
# Small files whose tables are elsewhere, and tests of programs that take long.
_LONG = (
    "zoo",
    "docs",
    "notebooks",
    "readme",
    "killed_run",
    "cifar_ablation",
    "compare_methods",
    "mathematics",
    "neuron_subselection",
    "scan_test",
    "structural_modularity",
)
_SLOW_TO_IMPORT = (
    "tests.conftest",  # first: it sets what TensorFlow reads
    "clusim.clustering",
    "keras_hub",
    "matplotlib.pyplot",
    "modularity_tf.plots",
    "reproduce.experiments",
    "scipy.stats",
    "sklearn.datasets",
    "tensorflow_probability",
)
_NO_TESTS = 5  # exit status of pytest where none of a file is chosen


def main(arguments: Sequence[str]) -> int:
    """Runs the test files and returns the exit status, 1 if any test fails.

    Args:
        arguments: List of str, as of pytest.
    """
    options = [a for a in arguments if not pathlib.Path(a).exists()]
    paths = [a for a in arguments if a not in options] or ["tests"]
    for name in _SLOW_TO_IMPORT:
        importlib.import_module(name)
    gc.freeze()  # a process that looks at an object copies its memory
    gc.set_threshold(100_000, 50, 50)  # what a trace makes is mostly kept
    start, counts, failed = time.time(), Counter[str](), []
    left, running = _files(paths), {}
    with tempfile.TemporaryDirectory() as folder:
        while left or running:
            while left and len(running) < WORKERS:
                paths = left.pop()
                output = pathlib.Path(folder, f"{len(left)}.txt")
                running[_fork(paths, options, output)] = paths, output
            process, status, usage = os.wait4(-1, 0)
            paths, output = running.pop(process)
            path = " ".join(map(str, paths))
            text = output.read_text(errors="replace").strip()
            last = text.rpartition("\n")[2]
            for number, kind in re.findall(r"(\d+) (passed|skipped)", last):
                counts[kind] += int(number)
            code = os.waitstatus_to_exitcode(status)
            is_failed = code not in (0, _NO_TESTS)
            if is_failed:
                failed.append(f"{path} (status {code})")
            if is_failed or options:
                _say(text)
            seconds = usage.ru_utime + usage.ru_stime
            _say(
                f"{path}: {last}, {seconds:.0f} s of a core, "
                f"{usage.ru_maxrss / 2**20:.1f} GB"
            )
    _say(
        f"{counts['passed']} passed, {counts['skipped']} skipped in "
        f"{time.time() - start:.0f} s"
    )
    if failed:
        _say("\n  ".join(["Failed:", *failed]))
    return int(bool(failed))


def _files(paths: Iterable[str]) -> list[list[pathlib.Path]]:
    """Returns the test files by process, the longest last: started first.

    A file that was named has a process for itself.
    """
    found, groups, size = set(), [], _TOGETHER
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            found.update(path.rglob("*_test.py"))
        else:
            groups.append([path])
    for file in sorted(found, key=_expected):
        size += _expected(file)[0]
        if size > _TOGETHER:
            groups.append([])
            size = _expected(file)[0]
        groups[-1].append(file)
    return groups


def _expected(file):
    """Returns what to sort test files by: how long they may take."""
    is_long = file.name.startswith(_LONG)
    return file.stat().st_size + is_long * _TOGETHER, file


def _fork(paths, options, output):
    """Starts a process that runs test files, and returns its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with output.open("wb") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        code = int(pytest.main(["--quiet", *options, *map(str, paths)]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def _say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
