import json
import pathlib
import tempfile

from absl.testing import absltest

from reproduce import __main__ as listing


class ListingTest(absltest.TestCase):
    def test_lists_every_binary_with_its_figures(self):
        found = {
            name: (title, figures)
            for name, title, figures in listing.experiments()
        }
        title, figures = found["cifar_ablation"]
        self.assertIn("Csordas", title)
        self.assertEqual(figures, ("6", "18a", "18b", "19", "20"))
        self.assertNotIn("experiment", found)

    def test_state_tells_finished_from_unfinished_runs(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.assertEqual(listing.state(folder, "x"), ["not run yet"])
        (folder / "x-1").mkdir()
        (folder / "x-2").mkdir()
        claims = [{"verdict": "holds"}, {"verdict": "fails"}]
        text = json.dumps({"claims": claims})
        (folder / "x-2" / "results.json").write_text(text)
        unfinished, finished = listing.state(folder, "x")
        self.assertRegex(unfinished, "x-1: unfinished$")
        self.assertRegex(finished, "x-2: 1 of 2 claims hold$")


if __name__ == "__main__":
    absltest.main()
