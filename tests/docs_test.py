"""What README.md and docs/ show runs as it is written."""

import json
import pathlib
import re

import tensorflow as tf
from absl.testing import parameterized

from reproduce import experiments
from reproduce.publishing import archive
from tests.pages import NOTEBOOKS, PAGES, ROOT, InAnEmptyFolder, blocks

PART_OF = re.compile(r"part of (\S+\.py)")
SMALLEST_REASON = 3  # words


class PagesTest(InAnEmptyFolder):
    @parameterized.parameters(
        *sorted(
            set(PAGES)
            - {"README"}
            - {f"docs/notebooks/{name}" for name in NOTEBOOKS}
        )
    )
    def test_the_blocks_of_a_page_run_one_after_the_other(self, name):
        self.run_page(PAGES[name])

    def test_the_example_finds_the_weights_of_one_class(self):
        names, _ = self.run_page(PAGES["README"])
        rest, test = names["rest_test"], names["blind"].evaluate
        x, y = names["x_test"], names["y_test"]
        self.assertGreater(test(x[rest], y[rest])[1], 0.9)
        self.assertLess(test(x[~rest], y[~rest])[1], 0.5)
        self.assertBetween(names["only_3"].keep_fraction, 0.001, 0.2)
        noise = names["noise"].keep_fraction  # of what is found only once
        self.assertLess(noise, names["only_3"].keep_fraction)
        pictures = ("weights.png", "clusters.png", "same.png")
        for file in ("only_3.npz", *pictures):
            self.assertTrue(pathlib.Path(file).exists())

    @parameterized.parameters(*PAGES)
    def test_a_block_that_is_not_run_says_why(self, name):
        for reason, source, line in blocks(PAGES[name]):
            with self.subTest(line=line):
                if reason is None:
                    continue
                self.assertGreaterEqual(len(reason.split()), SMALLEST_REASON)
                if script := PART_OF.search(reason):
                    path = PAGES[name].parent / script[1]
                    self.assertIn(source, path.read_text("utf-8"))

    def test_every_picture_has_its_command_in_the_gallery(self):
        docs = ROOT / "docs"
        gallery = (docs / "gallery.md").read_text("utf-8")
        for path in sorted(docs.rglob("images/**/*.png")):
            self.assertIn(f"]({path.relative_to(docs).as_posix()})", gallery)
        # Picture, caption, command, in this order: none belongs to another.
        parts = re.sub(r"^!.*|^```sh\n[^`]*\n```", _kind, gallery, flags=re.M)
        kinds = [line for line in parts.splitlines() if line in _KINDS]
        self.assertEqual(kinds, [*_KINDS] * (len(kinds) // 2))

    def test_a_command_of_the_gallery_runs_the_seeds_that_are_drawn(self):
        gallery = (ROOT / "docs" / "gallery.md").read_text("utf-8")
        for command in re.findall(
            r"^python [^`]*--flagfile[^`]*", gallery, re.M
        ):
            flag_file = re.search(r"--flagfile=(\S+)", command)[1]
            self.assertTrue((ROOT / flag_file).exists(), flag_file)
            drawn = ROOT / "results" / f"{pathlib.Path(flag_file).stem}.json"
            if not drawn.exists():
                continue
            found = json.loads(drawn.read_text("utf-8"))
            experiment = experiments.ALL[found["experiment"]]
            seeds = archive.read_flags(experiment, ROOT / flag_file).seeds
            if given := re.search(r"--seeds=(\S+)", command):
                seeds = [int(seed) for seed in given[1].split(",")]
            self.assertEqual([*seeds], found["seeds"], command)


_KINDS = ("picture", "command")


def _kind(match):
    return _KINDS[match[0].startswith("`")]


if __name__ == "__main__":
    tf.test.main()
