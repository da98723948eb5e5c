import subprocess
from unittest import mock

import keras
import tensorflow as tf

from reproduce.running import provenance


class ProvenanceTest(tf.test.TestCase):
    def test_versions_tell_packages_commit_and_machine(self):
        found = provenance.versions()
        self.assertEqual(found["keras"], keras.__version__)
        self.assertEqual(found["commit"], provenance.commit())
        self.assertRegex(found["machine"], r"\d+ cores$")
        self.assertEqual(found["gpus"], 0)

    def test_code_outside_of_a_repository_has_no_commit(self):
        failed = subprocess.CalledProcessError(128, "git")
        for error in (failed, FileNotFoundError()):
            with mock.patch.object(
                subprocess, "check_output", side_effect=error
            ):
                self.assertEqual(provenance.commit.__wrapped__(), "")


if __name__ == "__main__":
    tf.test.main()
