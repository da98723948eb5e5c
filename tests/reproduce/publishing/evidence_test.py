import dataclasses
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest, parameterized

from reproduce.publishing import archive, claim, evidence, titles
from reproduce.publishing.table import Table
from tests.reproduce.running import toy

CLAIMS = [
    claim.Claim(
        "sharing",
        "",
        "sharing is low",
        (0.2, 0.3, 0.4),
        (0.25,),
        "random masks",
        at_most=0.5,
        paper="|low|",
        main=True,
    ),
    claim.Claim(
        "one",
        "cnn",
        "cnn: one seed",
        (1.5,),
        (1.0,),
        "as many",
        at_least=1,
        percent=False,
    ),
    claim.Claim(
        "none",
        "",
        "unknown",
        (float("nan"),) * 2,
        (1.0,),
        "as many",
        at_least=1,
    ),
]


def archived(**changes):
    return {
        "experiment": "toy",
        "flags": "toy_small",
        "seeds": [0, 1, 2],
        "made": {
            "seconds": 90.0,
            "commits": ["abc123"],
            "machines": ["x86_64, 2 cores"],
        },
        "config": {"workers": 2, "cpus_per_task": 0.0},
        "figures": ["fig02_all", "fig03b_first", "fig03c_second", "extra"],
        "claims": [one.checked() for one in CLAIMS],
        "earlier": [
            {"id": "sharing", "subject": "", "verdict": "agrees"},
            {"id": "gone", "subject": "", "verdict": "differs"},
        ],
        "records": {"name": "toy"},
        **changes,
    }


def tables(records):
    """Returns a table of an archive's records."""
    row = (records["name"], "7")
    return [Table("Seeds of each", ("name", "n"), [row], "A note.")]


EXPERIMENTS = {
    name: dataclasses.replace(toy.EXPERIMENT, name=name, **changes)
    for name, changes in {
        "toy": {
            "paper": "Lange et al., 2022",
            "figures": {"10": "more", "2": "all", "3": "some"},
            "tables": tables,
        },
        "other": {"paper": "Bena & Goodman, 2021", "figures": {"3": "others"}},
        "listed_nowhere": {},
    }.items()
}


class FilledTest(parameterized.TestCase):
    def filled(self, text, archives=None):
        archives = archives or {"toy_small": archived()}
        return evidence.filled(text, archives, EXPERIMENTS)

    def part(self, what, **kwargs):
        """Returns what comes to stand in a part."""
        start, end = f"<!-- results: {what} -->", "<!-- end -->"
        found = self.filled(f"a {start}old{end} b", **kwargs)
        self.assertStartsWith(found, f"a {start}")
        self.assertEndsWith(found, f"{end} b")
        return found.removeprefix(f"a {start}").removesuffix(f"{end} b")

    def test_what_is_not_marked_stays(self):
        text = "no <!-- comment --> 7 %\n"
        self.assertEqual(self.filled(text), text)

    def test_filling_twice_changes_nothing(self):
        text = (
            "<!-- results: mean toy_small sharing -->1<!-- end -->, "
            "<!-- results: claims toy_small -->\n<!-- end -->\n"
        )
        once = self.filled(text)
        self.assertNotEqual(once, text)
        self.assertEqual(self.filled(once), once)

    def test_a_part_without_arguments_ends_where_it_ends(self):
        text = "<!-- results: tallies -->\n<!-- end -->\nfirst\n"
        text += "<!-- results: earlier -->\n<!-- end -->\nlast\n"
        found = self.filled(text)
        self.assertEqual(self.filled(found), found)
        tallies, rest = found.split("<!-- end -->\nfirst\n")
        self.assertIn("whose threshold", tallies)
        self.assertEndsWith(rest, "<!-- end -->\nlast\n")

    def test_a_number_of_a_claim(self):
        self.assertEqual(self.part("mean toy_small sharing"), "30 %")
        # 0.3 +- 4.303 * 0.1 / sqrt(3)
        self.assertEqual(
            self.part("value toy_small sharing"), "30 % (5.16 to 54.8)"
        )
        self.assertEqual(self.part("value toy_small one cnn"), "1.5 (n = 1)")
        self.assertEqual(self.part("value toy_small none"), "not measured")
        self.assertEqual(self.part("verdict toy_small sharing"), "undetermined")
        self.assertEqual(
            self.part("null toy_small sharing"), "random masks: 25 %"
        )

    def test_what_an_archive_took(self):
        self.assertEqual(self.part("cost toy_small"), "1.5 min of one core")

    def test_the_claims_of_an_archive(self):
        lines = self.part("claims toy_small").strip().split("\n")
        self.assertEqual(
            lines[2],
            r"| sharing is low | \|low\| | 30 % (5.16 to 54.8); 20, 30, 40 | "
            "random masks: 25 % | ≤ 50 %, ours | undetermined |",
        )
        self.assertLen(lines, 2 + 3 + 2)
        for text in ("toy_small.flags", "0, 1, 2", "1.5 min", "abc123"):
            self.assertIn(text, lines[-1])

    def test_a_table_has_the_rows_of_several_archives(self):
        archives = {
            name: archived(records={"name": name})
            for name in ("first", "second")
        }
        what = "table second,first Seeds of each"
        lines = self.part(what, archives=archives).strip().split("\n")
        rows = ["| second | 7 |", "| first | 7 |"]
        expected = ["| name | n |", "|---|---|", *rows, "", "*A note.*"]
        self.assertEqual(lines, expected)

    def test_a_table_compares_several_archives(self):
        def across(records):
            found = [(name, one["name"]) for name, one in records.items()]
            return [Table("Side by side", ("run", "name"), found, "Both.")]

        toy_experiment = EXPERIMENTS["toy"]
        with mock.patch.dict(
            EXPERIMENTS,
            {"toy": dataclasses.replace(toy_experiment, across=across)},
        ):
            archives = {"a": archived(), "b": archived(records={"name": "x"})}
            what = "across b,a Side by side"
            lines = self.part(what, archives=archives).strip().split("\n")
            self.assertEqual(lines[2:4], ["| b | x |", "| a | toy |"])
            self.assertEqual(lines[-1], "*Both.*")
            with self.assertRaisesRegex(ValueError, "no comparison has the"):
                self.part("across a,b Apart", archives=archives)

    def test_every_experiment_of_a_paper_has_a_row(self):
        archives = {"toy_big": archived(flags="toy_big")}
        archives["toy_small"] = archived()
        what = "experiments Lange et al., 2022"
        _, _, big, small = (
            self.part(what, archives=archives).strip().split("\n")
        )
        self.assertEqual(
            big,
            "| [`toy_big`](../results/toy_big.json) | sharing is low "
            "| 30 % (5.16 to 54.8) | random masks: 25 % | undetermined "
            "| 0, 0, 1, 1 | 3 | 1.5 min of one core |",
        )
        self.assertStartsWith(small, "| [`toy_small`](../results/")
        other = self.part("experiments Bena & Goodman, 2021", archives=archives)
        self.assertEqual(
            other.strip().split("\n")[2:],
            ["| none yet of `other` |" + "  |" * 7],
        )
        own = self.part("experiments Experiments of our own", archives=archives)
        self.assertLen(own.strip().split("\n"), 2)  # it has no figures

    def test_says_how_many_archives_are_reduced(self):
        names = ("toy_paper", "toy_quick", "toy_small_paper", "toy_sweep")
        archives = {name: archived(flags=name) for name in names}
        # What is no paper's question has no paper's size.
        archives["own_quick"] = archived(experiment="listed_nowhere")
        self.assertEqual(self.part("reduced", archives=archives), "2 of 4")

    def test_says_what_is_not_set_as_in_the_paper(self):
        def run(flags, **changes):
            config = vars(toy.Config(**changes))
            return archived(flags=flags, config=config)

        archives = {
            "first": run(
                "toy_small_quick", size=2, names=("b",), mask_lr=0.125
            ),
            "second": run("toy_small_paper", size=4, extras=False),
            "third": run(
                "toy_other", steps=2000, size=9, workers=2, seeds=(5,)
            ),
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, flags in (
                ("toy", "--size=9"),
                ("toy_small", "--size=4\n--noextras"),
            ):
                path = pathlib.Path(folder, f"{name}_paper.flags")
                path.write_text(flags)
            with mock.patch.object(
                archive, "FLAGS_FOLDER", pathlib.Path(folder)
            ):
                part = self.part(
                    "smaller Lange et al., 2022", archives=archives
                )
                other = self.part(
                    "smaller Bena & Goodman, 2021", archives=archives
                )
        _, _, *rows = part.strip().split("\n")
        self.assertEqual(
            rows,
            [
                "| `first` | names 1 of 2; extras on (off); size 2 (4); "
                "mask_lr 0.125 (0.5) |",
                "| `second` | extras off (on); size 4 (9) |",
                "| `third` | steps 2,000 (4) |",
            ],
        )
        self.assertLen(other.strip().split("\n"), 2)

    def test_every_paper_has_a_row_with_its_main_claim(self):
        headlines = {"A paper": ("toy_small", "toy.md", "Little.")}
        with mock.patch.object(titles, "HEADLINES", headlines):
            *_, row = self.part("papers docs/").strip().split("\n")
        self.assertEqual(
            row,
            r"| A paper | Little. | \|low\|; ≤ 50 %, ours | "
            "30 % (5.16 to 54.8); 20, 30, 40; random masks: 25 % | "
            "[undetermined](docs/toy.md) |",
        )

    def test_tallies_are_apart(self):
        lines = self.part("tallies").strip().split("\n")
        self.assertIn(
            "| the paper's statement, our threshold | 0 | 0 | 1 | 1 |", lines
        )
        self.assertIn("Of 3 claims 1 are not counted", lines[-1])

    def test_earlier_verdicts_stand_beside_those_of_today(self):
        *_, first, second = self.part("earlier").strip().split("\n")
        self.assertEqual(first, "| `toy_small` | agrees, undetermined | 1 |")
        self.assertEqual(second, "| `toy_small` | differs, dropped | 1 |")

    def test_figures_tell_in_what_size_they_were_run(self):
        archives = {
            name: archived(flags=name)
            for name in ("toy_small_paper", "toy_paper", "toy_quick")
        }
        first = self.part("figures Lange et al., 2022", archives=archives)
        _, _, drawing, _, whole, parts, last = first.strip().split("\n")
        self.assertEqual(drawing, "| 1 | what a module is |  | a drawing |")
        self.assertEqual(
            whole,
            "| 2 | all | `reproduce.toy` | the paper's smallest network: "
            "`toy_small_paper`; paper's size: `toy_paper`; reduced: "
            "`toy_quick` |",
        )
        self.assertIn("reduced: `toy_quick` (3b, 3c)", parts)
        self.assertEqual(last, "| 10 | more | `reproduce.toy` | not run |")
        other = self.part("figures Bena & Goodman, 2021", archives=archives)
        self.assertEndsWith(
            other.strip(), "| 3 | others | `reproduce.other` | not run |"
        )

    @parameterized.parameters(
        ("2 cores", 2, 0.0, "of one core"),
        ("16 cores", 2, 0.0, "of 8 cores"),
        ("16 cores", 2, 4.0, "of 4 cores"),
        ("1 cores, 2 threads", 1, 0.0, "of one core"),
        ("2 cores, 1 threads and x, 2 cores, 2 threads", 1, 0.0, "of 1 to 2 c"),
    )
    def test_the_time_says_of_how_many_cores(self, cores, workers, each, text):
        one = archived(config={"workers": workers, "cpus_per_task": each})
        one["made"] = {**one["made"], "machines": [f"x86_64, {cores}"]}
        what = "experiments Lange et al., 2022"
        table = self.part(what, archives={"toy_small": one})
        self.assertIn(f"1.5 min {text}", table)

    @parameterized.parameters(
        ("claims toy_large", "'toy_large'"),
        ("mean toy_small nothing", "no claim has the id 'nothing' and"),
        ("mean toy_small one", "the id 'one' and the subject ''"),
        ("table toy_small Sizes", "not every archive has a table 'Sizes'"),
        ("picture toy_small", "'picture' is no kind of part"),
    )
    def test_refuses_what_is_not_there(self, what, message):
        with self.assertRaisesRegex(
            ValueError, f"results: {what} -->: .*{message}"
        ):
            self.part(what)

    def test_reads_a_folder_by_name(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "b.json").write_text('{"x": 1}')
            pathlib.Path(folder, "a.json").write_text('{"x": 2}')
            found = evidence.read(pathlib.Path(folder))
        self.assertEqual(
            list(found.items()), [("a", {"x": 2}), ("b", {"x": 1})]
        )


if __name__ == "__main__":
    absltest.main()
