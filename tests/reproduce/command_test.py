import pathlib
import runpy
import sys
import tempfile

from absl.testing import absltest

from tests import forked

ROOT = pathlib.Path(__file__).parents[2]
COMMAND = "reproduce.command"
EXPERIMENT = "reproduce.sharing_verdict"


def run_program(arguments):
    """Runs `modularity`, in a process of its own."""
    sys.argv[1:] = arguments
    runpy.run_module(COMMAND, run_name="__main__", alter_sys=True)


class CommandTest(absltest.TestCase):
    def run_command(self, *arguments):
        """Runs `modularity` in an empty folder."""
        return forked.run(
            "tests.reproduce.command_test:run_program",
            arguments,
            cwd=self.enterContext(tempfile.TemporaryDirectory()),
        )

    def test_lists_the_experiments(self):
        done = self.run_command("--output_dir=elsewhere")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        # In a folder that is no clone the commands are those that work there.
        self.assertNotIn("reproduce/flags", done.stdout)
        listed = [
            line.split(" --flagfile=")
            for line in done.stdout.splitlines()
            if "--flagfile=cifar_ablation_demo.flags" in line
        ]
        self.assertLen(listed, 1)
        self.assertEndsWith(listed[0][0], " cifar_ablation")
        for name in ("report", "inspect"):
            self.assertRegex(done.stdout, rf"\n +\S.* {name}( --help)?\n")
        self.assertIn(f"archived: {ROOT / 'results'}\n", done.stdout)

    def test_help_is_no_mistake_and_begins_with_the_own_flags(self):
        done = self.run_command("sharing_verdict", "--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        own = done.stdout.index("Flags of this experiment:\n  --sets\n")
        self.assertLess(own, done.stdout.index("\n  --output_dir\n"))
        self.assertIn("--flagfile=sharing_verdict_demo.flags\n", done.stdout)

    def test_runs_an_experiment_with_a_flag_file_of_the_package(self):
        done = self.run_command(
            EXPERIMENT.rpartition(".")[2],
            "--flagfile=sharing_verdict_demo.flags",
            "--dry_run",
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertStartsWith(done.stdout, "How often is the verdict")
        self.assertNotIn("--sets=20", done.stdout)  # no dump of flags

    def test_names_an_experiment_that_there_is_not(self):
        done = self.run_command("cifar")
        self.assertEqual(done.returncode, 1)
        self.assertStartsWith(
            done.stderr,
            "Error: `modularity` has no 'cifar'. Did you mean "
            "'cifar_ablation'? It has: add_mul, archive, ",
        )
        self.assertIn(", unit_clustering.\n", done.stderr)


if __name__ == "__main__":
    absltest.main()
