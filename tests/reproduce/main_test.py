import json
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from reproduce import __main__ as listing


def claims(*verdicts):
    """Returns claims as archives have them, of one kind."""
    shared = {"marks": [], "source": "ours"}
    return [{"verdict": verdict, **shared} for verdict in verdicts]


class ListingTest(parameterized.TestCase):
    def test_state_tells_finished_from_unfinished_runs(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.assertEqual(listing.state(folder, "x"), ["not run yet"])
        archive = {"experiment": "x", "claims": claims("agrees")}
        (folder / "x_quick.json").write_text(json.dumps(archive))
        with mock.patch.object(
            listing.commands, "results_folder", lambda: folder
        ):
            told = listing.state(folder, "x")
            self.assertEqual(listing.state(folder, "y"), ["not run yet"])
        tally = "1 claims; our threshold: 1 agrees"
        self.assertEqual(told, [f"archived: x_quick.json, {tally}"])
        (folder / "x-1").mkdir()
        (folder / "x-2").mkdir()
        told = claims("agrees", "one seed", "agrees")
        text = json.dumps({"claims": told})
        (folder / "x-2" / "results.json").write_text(text)
        unfinished, finished = listing.state(folder, "x")
        self.assertRegex(unfinished, "x-1: unfinished$")
        tally = (
            "3 claims; our threshold: 2 agrees, 1 without a verdict (one seed)"
        )
        self.assertEndsWith(finished, f"x-2: {tally}")

    @parameterized.parameters(
        "{", "[]", "{}", "null", '{"claims": 3}', '{"claims": [{}]}', b"\xff"
    )
    def test_bad_results_are_named_and_the_others_listed(self, content):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("x-1", "x-2", "x-3"):
            (folder / name).mkdir()
        bad = folder / "x-1" / "results.json"
        bad.write_bytes(content if content == b"\xff" else content.encode())
        (folder / "x-2" / "results.json").mkdir()  # can't be read at all
        good = json.dumps({"claims": claims("differs")})
        (folder / "x-3" / "results.json").write_text(good)
        first, second, third = listing.state(folder, "x")
        self.assertStartsWith(first, f"{bad} can't be read: ")
        self.assertIn("x-2/results.json can't be read: IsADirectory", second)
        self.assertEndsWith(third, "x-3: 1 claims; our threshold: 1 differs")


if __name__ == "__main__":
    absltest.main()
