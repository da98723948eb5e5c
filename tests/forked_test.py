import os
import signal
import sys
import time

import tensorflow as tf
from absl.testing import absltest

from tests import forked


def say(text, end):
    sys.stdout.write(f"{text} in {os.getcwd()}: {tf.reduce_sum([1, 2])}\n")
    sys.stdout.flush()
    if end == "hang":
        time.sleep(600)
    elif end == "fail":
        raise KeyError(text)
    elif end:
        sys.exit(end)


class ForkedTest(absltest.TestCase):
    def run_say(self, end, **kwargs):
        return forked.run("tests.forked_test:say", "words", end, **kwargs)

    def test_a_function_runs_tensorflow_in_its_folder_whatever_ran_here(self):
        self.assertEqual(tf.reduce_sum([3, 4]), 7)
        done = self.run_say("", cwd="/")
        self.assertEqual(done[:2], (0, "words in /: 3\n"), done.stderr)

    def test_ends_are_those_of_a_program(self):
        for end, status, told in (
            ("fail", 1, "KeyError: 'words'\n"),
            ("Error: no.", 1, "Error: no.\n"),
            (3, 3, ""),
        ):
            done = self.run_say(end)
            self.assertEqual(done.returncode, status)
            self.assertEndsWith(done.stderr, told)

    def test_a_process_can_be_killed(self):
        process = forked.Process("tests.forked_test:say", "words", "hang")
        process.wait_until(lambda: "words" in process.written()[0])
        os.kill(process.pid, signal.SIGKILL)
        self.assertEqual(process.wait().returncode, -signal.SIGKILL)
        with self.assertRaisesRegex(RuntimeError, "ended.*returncode=-9"):
            process.wait_until(lambda: False)


if __name__ == "__main__":
    absltest.main()
