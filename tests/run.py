"""Runs all test files, each in a process of its own: `python -m tests.run`.

TensorFlow keeps graphs of models that are gone until its process ends, so one
process for all files would grow to gigabytes. Each process is forked from this
one, which has imported what is slow to import and has run nothing yet. Time
and memory of each file are told. Arguments are those of pytest; a path of a
test file or of a folder chooses what runs.
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
_SLOW_TO_IMPORT = (
    "tests.conftest",  # first: it sets what TensorFlow reads
    "matplotlib.pyplot",
    "modularity_tf.plots",
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
                path = left.pop()
                output = pathlib.Path(folder, f"{len(left)}.txt")
                running[_fork(path, options, output)] = path, output
            process, status, usage = os.wait4(-1, 0)
            path, output = running.pop(process)
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


def _files(paths: Iterable[str]) -> list[pathlib.Path]:
    """Returns the test files, the longest last: these are started first."""
    found = set()
    for path in map(pathlib.Path, paths):
        found.update(path.rglob("*_test.py") if path.is_dir() else [path])
    return sorted(found, key=lambda file: (file.stat().st_size, file))


def _fork(path, options, output):
    """Starts a process that runs a test file, and returns its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with output.open("wb") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        code = int(pytest.main(["--quiet", *options, str(path)]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def _say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
