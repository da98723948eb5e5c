import pathlib
import tempfile

from absl.testing import absltest

from reproduce.running import helpers


class ReportsTest(absltest.TestCase):
    def test_tells_the_stages_at_work(self):
        reports = helpers.Reports()
        reports.report("seed0/a", 0)
        reports.report("seed0/b", 5)
        reports.report("seed0/a", 10)
        self.assertEqual(reports.working(), {"seed0/a": 10, "seed0/b": 5})
        reports.report("seed0/b", None)
        reports.report("seed0/c", None)  # ended before it told of a step
        self.assertEqual(reports.working(), {"seed0/a": 10})


class HasTokenTest(absltest.TestCase):
    def test_reads_the_token_or_not(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "file").write_text("token")
        self.assertTrue(helpers.has_token(folder / "file", "token"))
        self.assertFalse(helpers.has_token(folder / "file", "another"))
        self.assertFalse(helpers.has_token(folder / "none", "token"))


if __name__ == "__main__":
    absltest.main()
