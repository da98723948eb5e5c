"""Runs functions in processes of their own that need not import TensorFlow.

A new interpreter takes seconds for that. So `tests/conftest.py` forks a server
before any test runs TensorFlow, after which its threads forbid to fork, and
the server forks a process for each function.
"""

import importlib
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing import connection
from typing import NamedTuple

_SERVERS: list[tuple[connection.Connection, int]] = []


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        returncode: Int, the exit status; below 0 that of a signal.
        stdout: Str, what it wrote.
        stderr: Str, what it wrote.
    """

    returncode: int
    stdout: str
    stderr: str


class Process:
    """A process that runs a function.

    Args:
        target: Str, module and name of the function, "tests.x_test:function".
        *arguments: Of the function, to be pickled.
        cwd: Path of the folder that it runs in, or `None` for the present one.

    Attributes:
        pid: Int, the number of the process.
    """

    def __init__(
        self, target: str, *arguments: object, cwd: str | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._files = [
            pathlib.Path(self._folder.name, name) for name in ("out", "err")
        ]
        asked = target, arguments, cwd or os.getcwd(), self._files
        self.pid: int = _ask(asked)

    def written(self) -> list[str]:
        """Returns what it has written so far, to both streams."""
        return [f.read_text() if f.exists() else "" for f in self._files]

    def wait_until(self, is_true: Callable[[], object]) -> None:
        """Waits until something is true.

        Args:
            is_true: Function that is asked again and again.

        Raises:
            RuntimeError: If the process ends before.
        """
        while not is_true():
            if _ask((self.pid, os.WNOHANG)) is not None:
                raise RuntimeError(f"It has ended: {self.wait()}")
            time.sleep(0.02)

    def wait(self) -> Ended:
        """Waits for its end, and returns how it ended."""
        return Ended(_ask((self.pid, 0)), *self.written())


def run(target: str, *arguments: object, cwd: str | None = None) -> Ended:
    """Runs a function in a process, and returns how that ended.

    Args:
        target: As in `Process`.
        *arguments: As there.
        cwd: As there.
    """
    return Process(target, *arguments, cwd=cwd).wait()


def start_server() -> None:
    """Forks the server; to be called before TensorFlow runs anything."""
    mine, its = multiprocessing.Pipe()
    if pid := os.fork():
        its.close()
        _SERVERS[:] = [(mine, pid)]
        return
    mine.close()
    try:
        _serve(its)
    except (EOFError, KeyboardInterrupt):
        pass
    finally:
        os._exit(0)


def stop_server() -> None:
    """Ends the server, so that what its processes used counts as ours."""
    server, pid = _SERVERS.pop()
    server.close()
    os.waitpid(pid, 0)


def _ask(request):
    ((server, _),) = _SERVERS
    server.send(request)
    return server.recv()


def _serve(client):
    ended = {}
    while True:
        asked = client.recv()
        if isinstance(asked[0], int):
            pid, options = asked
            if pid not in ended:
                found, status = os.waitpid(pid, options)
                ended[found] = os.waitstatus_to_exitcode(status)
            client.send(ended.get(pid))
        elif pid := os.fork():
            client.send(pid)
        else:
            _run(*asked)


def _run(target, arguments, folder, files):
    """Runs a function as the interpreter runs a program, and ends."""
    code: object = 1
    try:
        os.chdir(folder)
        for number, file in enumerate(files, 1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
        sys.stdout, sys.stderr = (os.fdopen(n, "w") for n in (1, 2))
        module, _, name = target.partition(":")
        getattr(importlib.import_module(module), name)(*arguments)
        code = 0
    except SystemExit as end:
        code = end.code or 0
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
