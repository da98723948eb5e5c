"""Packages with trained networks: fetched by pip, checked, never committed."""

import dataclasses
import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import h5py
import numpy as np


@dataclasses.dataclass(frozen=True)
class Package:
    """A file of the Python package index that holds a trained network.

    Nothing of it is imported: what is needed is read from the archive.

    Attributes:
        name: Str, that of the package.
        version: Str.
        file: Str, the file name of its archive, a wheel or a `.tar.gz`.
        sha256: Str, of the archive. No other archive is read.
    """

    name: str
    version: str
    file: str
    sha256: str

    @property
    def path(self) -> pathlib.Path:
        """Where the archive belongs: among the data sets of Keras."""
        home = os.environ.get("KERAS_HOME", "~/.keras")
        folder = pathlib.Path(home).expanduser().absolute() / "datasets"
        return folder / self.file

    def read(self, member: str) -> bytes:
        """Returns what a file of the package holds.

        The archive is fetched by pip if it is not there yet.

        Args:
            member: Str, path of the file in the archive.

        Raises:
            ValueError: If the archive can't be had, or is another one.
        """
        if not self.path.is_file():
            self._fetch()
        archive = self.path.read_bytes()
        found = hashlib.sha256(archive).hexdigest()
        if found != self.sha256:
            raise ValueError(
                f"{self.path} is not the {self.file} of {self.name} "
                f"{self.version}: its SHA-256 is {found}, not {self.sha256}. "
                "Delete it to have it fetched again."
            )
        if self.path.suffix == ".whl":
            with zipfile.ZipFile(self.path) as files:
                return files.read(member)
        with tarfile.open(self.path) as files:
            file = files.extractfile(member)
            if file is None:
                raise ValueError(f"{self.path} has no file {member!r}.")
            return file.read()

    def _fetch(self):
        """Has pip download the archive; pip itself refuses any other."""
        with tempfile.TemporaryDirectory() as folder:
            wanted = pathlib.Path(folder) / "requirements.txt"
            wanted.write_text(
                f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n"
            )
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "download"),
                    *("--no-deps", "--require-hashes", "--retries=1"),
                    *("--disable-pip-version-check", "--dest", folder),
                    *("--requirement", str(wanted)),
                ],
                capture_output=True,
                text=True,
            )
            fetched = wanted.with_name(self.file)
            if done.returncode or not fetched.is_file():
                raise ValueError(
                    f"{self.name} {self.version} is not on this machine, and "
                    f"pip can't fetch it ({_reason(done)}): put {self.file} "
                    f"(SHA-256 {self.sha256}) at {self.path}."
                )
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_name(f"partial-{os.getpid()}-{self.file}")
            partial.write_bytes(fetched.read_bytes())
            os.replace(partial, self.path)


def _reason(done):
    """Returns the last error that pip tells, on one line."""
    lines = [*done.stderr.splitlines(), *done.stdout.splitlines()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    told = errors[-1].removeprefix("ERROR: ") if errors else "\n".join(lines)
    return " ".join(told.split()).rstrip(".") or f"status {done.returncode}"


def read_weights(h5: bytes) -> dict[str, list[np.ndarray]]:
    """Returns the weights of a Keras 2 file, by the name of their layer.

    Args:
        h5: Bytes, the file.
    """
    found = {}
    with h5py.File(io.BytesIO(h5)) as file:
        for layer, group in file.items():
            names = [_text(name) for name in group.attrs["weight_names"]]
            if names:
                found[layer] = [np.array(group[name]) for name in names]
    return found


def _text(name):
    return name.decode() if isinstance(name, bytes) else name
