"""What the pages of docs/ show runs as it is written, and they fit together."""

import ast
import fnmatch
import json
import pathlib
import re

import tensorflow as tf
from absl.testing import parameterized

import modularity_tf as mtf
from reproduce import archive as archive_binary
from reproduce import experiments
from reproduce.publishing import archive
from tests import supported_models
from tests.pages import NOTEBOOKS, PAGES, ROOT, InAnEmptyFolder, blocks

PART_OF = re.compile(r"part of (\S+\.py)")
SMALLEST_REASON = 3  # words
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(((?!https?:)[^)\s]+)\)")
FLAG_FILE = re.compile(r"--flagfile=reproduce/flags/(\w+)\.flags")
# A page of a question: the answer and a figure, then a story.
STORIES = (
    "a_real_network",
    "arithmetic",
    "class_ablation",
    "clustering_units",
    "comparing",
    "generalization",
    "known_truth",
    "masking_your_model",
    "neurons",
    "others_ground",
    "smaller_models",
    "soundness",
    "sparse_training",
    "structure_and_function",
    "which_method",
)
STORY_WORDS, ANSWER_WORDS = 1200, 70
AT_THE_TOP = ("CONTRIBUTING.md", "CHANGELOG.md")  # beside README.md


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

    @parameterized.parameters(
        ("README.md", 900),
        *((f"docs/{name}.md", STORY_WORDS) for name in STORIES),
    )
    def test_a_page_can_be_finished(self, name, most):
        text = COMMENT.sub("", (ROOT / name).read_text("utf-8"))
        self.assertLessEqual(len(text.split()), most)

    @parameterized.parameters(*((name,) for name in STORIES))
    def test_a_story_begins_with_its_answer_and_a_figure(self, name):
        text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
        start = COMMENT.sub("", text.partition("\n## ")[0])
        _, answer, figure, *_ = start.split("\n\n")
        self.assertLessEqual(len(answer.split()), ANSWER_WORDS)
        self.assertStartsWith(figure, "![")

    def test_the_table_of_models_is_that_of_the_zoo(self):
        text = supported_models.PAGE.read_text("utf-8")
        self.assertEqual(text, supported_models.filled(text))

    def test_a_file_of_flags_that_a_page_starts_was_run(self):
        """Or its line says "not run yet", or its name demo or paper."""
        archived = {path.stem for path in (ROOT / "results").glob("*.json")}
        for path in archive_binary.documents():
            for line in path.read_text("utf-8").splitlines():
                for name in FLAG_FILE.findall(line):
                    if name not in archived and "not run yet" not in line:
                        self.assertRegex(name, "_(demo|paper)$", path)

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

    def test_every_link_leads_somewhere(self):
        pages = [ROOT / name for name in AT_THE_TOP]
        pages += archive_binary.documents()
        for page in [*pages, *NOTEBOOKS.values()]:
            for link in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
                name, _, anchor = link.partition("#")
                target = page.parent / name if name else page
                with self.subTest(f"{page.name}: {link}"):
                    self.assertTrue(target.exists())
                    if anchor:
                        self.assertIn(anchor, _anchors(target))

    def test_the_site_has_every_page(self):
        nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:\n")[2]
        for page in sorted((ROOT / "docs").rglob("*.md")):
            name = page.relative_to(ROOT / "docs").as_posix()
            self.assertTrue(name in nav, f"{name} is missing")
        made = {"index.md", "api/index.md", "api/internals.md", *AT_THE_TOP}
        made |= {f"api/{page}.md" for page in _reference()}
        for name in re.findall(r"([\w/]+\.md)$", nav, re.MULTILINE):
            there = name in made or (ROOT / "docs" / name).exists()
            self.assertTrue(there, f"{name} is in the nav, and not there")

    def test_the_reference_has_every_public_name_and_no_other(self):
        wanted = [name for _, names in _reference().values() for name in names]
        source = (ROOT / "modularity_tf" / "__init__.py").read_text("utf-8")
        public = {
            alias.asname
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.assertEqual(public, {name.partition(".")[0] for name in wanted})
        for name in wanted:
            room, _, last = name.rpartition(".")
            where = getattr(mtf, room) if room else mtf
            self.assertNotEmpty(fnmatch.filter(dir(where), last), name)

    def test_every_picture_has_its_command_in_the_gallery(self):
        docs = ROOT / "docs"
        gallery = (docs / "gallery.md").read_text("utf-8")
        for path in sorted(docs.rglob("images/**/*.png")):
            name = path.relative_to(docs).as_posix()
            self.assertTrue(f"]({name})" in gallery, f"{name} is missing")
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


def _reference():
    """Returns title and names of each page of the reference, by its name."""
    source = (ROOT / "docs" / "site_hooks.py").read_text("utf-8")
    (pages,) = (
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "PUBLIC"
    )
    return ast.literal_eval(pages)


def _anchors(page):
    """Returns what links lead to in a page, by its headings."""
    text = CODE.sub("", page.read_text("utf-8"))
    found = re.findall("^#+ (.*)$", text, re.MULTILINE)
    return [
        re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-")
        for each in found
    ]


_KINDS = ("picture", "command")


def _kind(match):
    return _KINDS[match[0].startswith("`")]


if __name__ == "__main__":
    tf.test.main()
