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
        self.assertRegex(found["machine"], r"\d+ cores, \d+ threads$")
        self.assertEqual(found["gpus"], 0)

    def test_the_machine_tells_model_and_widest_instructions(self):
        text = (
            "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\n"
            "model name\t: AMD EPYC\nflags\t\t: fpu sse4_2 avx avx2\n\n"
            "processor\t: 1\ncpu family\t: 26\nmodel name\t: other\n"
        )
        self.assertEqual(
            provenance._described(text, "x86_64"),
            "AMD EPYC (x86_64, family 25, model 1, avx2)",
        )
        self.assertEqual(provenance._described("", "arm64"), "arm64")

    def test_the_machine_tells_the_threads_that_are_set(self):
        with mock.patch.object(
            tf.config.threading,
            "get_intra_op_parallelism_threads",
            return_value=7,
        ):
            self.assertEndsWith(provenance.machine(), ", 7 threads")

    def test_code_outside_of_a_repository_has_no_commit(self):
        failed = subprocess.CalledProcessError(128, "git")
        for error in (failed, FileNotFoundError()):
            with mock.patch.object(
                subprocess, "check_output", side_effect=error
            ):
                self.assertEqual(provenance.commit.__wrapped__(), "")


if __name__ == "__main__":
    tf.test.main()
