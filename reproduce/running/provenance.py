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


@functools.cache
def machine():
    """Returns the processor and the number of cores, in words."""
    name = platform.machine()
    with contextlib.suppress(OSError):  # only Linux tells
        text = pathlib.Path("/proc/cpuinfo").read_text()
        if found := re.search(r"model name\s*: (.+)", text):
            name = f"{found[1]} ({name})"
    return f"{name}, {os.cpu_count()} cores"
