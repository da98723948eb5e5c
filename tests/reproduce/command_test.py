import os
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest

ROOT = pathlib.Path(__file__).parents[2]
COMMAND = "reproduce.command"
EXPERIMENT = "reproduce.sharing_verdict"


class CommandTest(absltest.TestCase):
    def run_command(self, *arguments):
        """Runs `modularity` in an empty folder."""
        return subprocess.run(
            [sys.executable, "-m", COMMAND, *arguments],
            cwd=self.enterContext(tempfile.TemporaryDirectory()),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_lists_the_experiments(self):
        done = self.run_command("--output_dir=elsewhere")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("python -m reproduce.cifar_ablation\n", done.stdout)

    def test_runs_an_experiment_with_a_flag_file_of_the_package(self):
        done = self.run_command(
            EXPERIMENT.rpartition(".")[2],
            "--flagfile=sharing_verdict_demo.flags",
            "--dry_run",
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("--sets=20 ", done.stdout)

    def test_names_an_experiment_that_there_is_not(self):
        done = self.run_command("cifar")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            done.stderr,
            "Error: `modularity` lists no experiment 'cifar'.\n",
        )


if __name__ == "__main__":
    absltest.main()
