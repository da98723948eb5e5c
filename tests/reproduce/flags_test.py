"""Every flag file is valid, and says what it costs."""

from absl.testing import absltest, parameterized

from reproduce import experiments
from reproduce.publishing import archive

FOLDER = archive.FLAGS_FOLDER
NAMES = [one.name for one in experiments.ALL.values() if one.figures]
FILES = sorted(file.name for file in FOLDER.glob("*.flags"))


class FlagFilesTest(parameterized.TestCase):
    @parameterized.parameters(*FILES)
    def test_is_valid_and_states_its_cost(self, file):
        name = max((n for n in NAMES if file.startswith(n)), key=len)
        archive.read_flags(experiments.ALL[name], FOLDER / file)
        text = (FOLDER / file).read_text("utf-8")
        self.assertStartsWith(text, "# Cost: ")

    @parameterized.parameters(*NAMES)
    def test_every_experiment_has_three_sizes(self, name):
        for size in ("demo", "quick", "paper"):
            self.assertIn(f"{name}_{size}.flags", FILES)


if __name__ == "__main__":
    absltest.main()
