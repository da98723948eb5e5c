"""Provenance: with what code, software and machine numbers were made."""

import contextlib
import functools
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess

import tensorflow as tf

_PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
)
_INSTRUCTIONS = ("amx_tile", "avx512f", "avx2", "avx", "sse4_2")  # widest first


def versions():
    """Returns the versions of packages, the commit and the machine, a dict."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        **found,
        "python": platform.python_version(),
        "commit": commit(),
        "machine": machine(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
    }


@functools.cache
def commit():
    """Returns the commit of the code, with "-dirty" if files differ from it.

    As it was at the first call; "" if the code is in no git repository.
    """
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.check_output(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],
            cwd=pathlib.Path(__file__).parent,
            stderr=subprocess.DEVNULL,
            text=True,
        ).strip()
    return ""


def machine():
    """Returns on what this process computes, in words.

    That is the processor with its family and model (a name alone can stand for
    several), the widest vector instructions it has, the cores that this process
    may use, and the threads that TensorFlow uses: what decides in which order
    sums are rounded.
    """
    cores = available_cores()
    threads = tf.config.threading.get_intra_op_parallelism_threads() or cores
    return f"{processor()}, {cores} cores, {threads} threads"


def available_cores():
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


@functools.cache
def processor():
    """Returns the processor and its instruction set, in words."""
    kind = platform.machine()
    with contextlib.suppress(OSError):  # only Linux tells
        return _described(pathlib.Path("/proc/cpuinfo").read_text(), kind)
    return kind


def _described(text, kind):
    """Returns what /proc/cpuinfo tells of the first processor, in words."""
    told = dict(re.findall(r"^(.+?)\s*: (.+)$", text.split("\n\n")[0], re.M))
    if "model name" not in told:
        return kind
    numbers = [
        f"{name} {told[key]}"
        for name, key in (("family", "cpu family"), ("model", "model"))
        if key in told
    ]
    known = told.get("flags", "").split()
    widest = [name for name in _INSTRUCTIONS if name in known][:1]
    details = ", ".join([kind, *numbers, *widest])
    return f"{told['model name']} ({details})"
