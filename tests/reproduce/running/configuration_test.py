import dataclasses
import math
import pathlib
import tempfile

from absl import flags
from absl.testing import absltest, parameterized

from reproduce.running import configuration
from tests.reproduce.running import toy

Config = toy.Config


def parsed(*args, config_class=Config):
    values = flags.FlagValues()
    configuration.define_flags(config_class, values)
    values(["program", *args])
    return configuration.config_from_flags(config_class, values)


def with_field(default, kind, **limits):
    """Returns a `Config` with one more field, `value`."""
    made = configuration.field(default, "A value.", **limits)
    return dataclasses.make_dataclass(
        "WithField",
        [("value", kind, made)],
        bases=(configuration.Config,),
        frozen=True,
    )


class FlagsTest(parameterized.TestCase):
    def test_flags_have_the_fields_defaults(self):
        self.assertEqual(parsed(), Config())

    def test_every_field_is_a_flag(self):
        config = parsed(
            "--seeds=3,4",
            "--names=x",
            "--size=7",
            "--mask_lr=0.1",
            "--dataset=other",
            "--output_dir=o",
            "--dry_run",
            "--nojit_compile",
        )
        self.assertEqual(config.seeds, (3, 4))
        self.assertEqual(config.names, ("x",))
        self.assertEqual((config.size, config.mask_lr), (7, 0.1))
        self.assertEqual((config.dataset, config.output_dir), ("other", "o"))
        self.assertTrue(config.dry_run)

    @parameterized.parameters(
        ("--seeds=0,x", "--seeds must be ints, got '0,x'"),
        ("--seeds=1.5", "--seeds must be ints, got '1.5'"),
        ("--seeds=-1", "--seeds must be .*at least 0, .* got '-1'"),
        ("--seeds=2147483648", "--seeds must be .*less than 2147483648"),
        ("--seeds=", "--seeds must be one value or more"),
        ("--seeds=1,1", "--seeds must be distinct, got '1,1'"),
        ("--stage=train", "--stage must be one of all, figures, got 'train'"),
        (
            "--mask_lr=0",
            "--mask_lr must be above 0, less than 1, finite, got 0.0",
        ),
        ("--checkpoint_seconds=-1", "--checkpoint_seconds must be at least 0"),
        ("--checkpoint_seconds=nan", "--checkpoint_seconds must be at least"),
    )
    def test_refuses(self, flag, message):
        with self.assertRaisesRegex(ValueError, message):
            parsed(flag)

    def test_help_shows_every_flag_with_its_limits(self):
        shown = " ".join(configuration.help_text(Config).split())
        for f in dataclasses.fields(Config):
            self.assertIn(f"--{f.name} {f.metadata['help']}", shown)
        own, common = shown.index("--size "), shown.index("--workers ")
        self.assertLess(own, common)
        self.assertEqual(shown.count("--seeds "), 1)
        self.assertIn("An int. Must be at least 1, at most 9.", shown)
        self.assertIn("A float. Must be above 0, less than 1, finite.", shown)
        self.assertIn("A name. Must be one of made_up, other.", shown)
        self.assertIn("Strings. Must be one value or more, distinct.", shown)

    def test_text_is_a_command_line_that_gives_the_same_again(self):
        config = Config(seeds=(3, 4), names=("x",), extras=False, size=5)
        self.assertEqual(parsed(*config.text().split()), config)


class FlagFilesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.enter_context(tempfile.TemporaryDirectory())
        )

    def _file(self, name, text, encoding):
        (self.folder / name).write_bytes(text.encode(encoding))
        return f"--flagfile={self.folder / name}"

    @parameterized.parameters("utf-8", "utf-8-sig")
    def test_flags_of_a_file_stand_in_its_place(self, encoding):
        inner = self._file("inner", "--name=\u00e4\n", encoding)
        text = f"\n# a comment\n// too\n--count=3 \r\n{inner}\n"
        outer = self._file("outer", text, encoding)
        self.assertEqual(
            configuration.with_flag_files(["run", "-v", outer, "--last"]),
            ["run", "-v", "--count=3", "--name=\u00e4", "--last"],
        )
        split = ["run", "--flagfile", outer.partition("=")[2]]
        self.assertLen(configuration.with_flag_files(split), 3)
        behind = ["run", "--", outer]
        self.assertEqual(configuration.with_flag_files(behind), behind)

    @parameterized.parameters("utf-16", "utf-16-le", "latin-1")
    def test_another_encoding_is_refused_in_one_line(self, encoding):
        file = self._file("flags", "--name=\u00e4\n", encoding)
        with self.assertRaisesRegex(ValueError, "flagfile=.*flags must be.*8"):
            configuration.with_flag_files(["run", file])

    @parameterized.parameters("", ".", "none")
    def test_refuses_what_is_no_file(self, name):
        with self.assertRaisesRegex(ValueError, f"--flagfile={name} is no fil"):
            configuration.with_flag_files([f"--flagfile={name}"])

    def test_a_file_that_names_itself_is_read_once(self):
        name = f"--flagfile={self.folder / 'own'}"
        file = self._file("own", f"--count=3\n{name}\n", "utf-8")
        self.assertEqual(configuration.with_flag_files([file]), ["--count=3"])


class LimitsTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("at_least", {"at_least": 2}, [2, 3], [1, -5]),
        ("above", {"above": 2}, [3], [2, 1]),
        ("at_most", {"at_most": 2}, [2, -9], [3]),
        ("less_than", {"less_than": 2}, [1], [2, 3]),
        ("zero_counts", {"at_least": 0}, [0], [-1]),
        ("one_of", {"one_of": (2, 4)}, [2, 4], [3]),
        ("two", {"above": 0, "at_most": 2}, [1, 2], [0, 3]),
    )
    def test_ints_within_are_allowed_and_others_not(self, limits, good, bad):
        one = with_field(good[0], int, **limits)
        several = with_field((good[0],), tuple[int, ...], **limits)
        for value in good:
            self.assertEqual(one(value=value).value, value)
            self.assertEqual(several(value=(value,)).value, (value,))
        for value in bad:
            with self.assertRaisesRegex(ValueError, f"--value .* got {value}"):
                one(value=value)
            with self.assertRaisesRegex(ValueError, "--value must be one val"):
                several(value=(good[0], value))

    @parameterized.parameters(math.nan, math.inf, -math.inf)
    def test_floats_are_finite(self, value):
        for limits in ({}, {"at_least": 0}, {"at_most": 0}, {"above": -1}):
            made = with_field(0.0, float, **limits)
            with self.assertRaisesRegex(ValueError, "--value must be"):
                made(value=value)
        with self.assertRaisesRegex(ValueError, "--value must be one value"):
            with_field((0.0,), tuple[float, ...])(value=(0.0, value))
        with self.assertRaisesRegex(ValueError, "--value must be finite"):
            with_field(0.0, float)(value=value)

    def test_a_tuple_is_empty_only_if_it_is_so_by_default(self):
        self.assertEqual(with_field((), tuple[int, ...])(value=()).value, ())
        with self.assertRaisesRegex(ValueError, "one value or more, got ''"):
            with_field((1,), tuple[int, ...])(value=())

    def test_items_of_a_tuple_are_distinct_where_they_must_be(self):
        made = with_field((1,), tuple[int, ...], distinct=True)
        self.assertEqual(made(value=(1, 2)).value, (1, 2))
        with self.assertRaisesRegex(ValueError, "distinct, got '1,2,1'"):
            made(value=(1, 2, 1))
        self.assertEqual(
            with_field((1,), tuple[int, ...])(value=(1, 1)).value, (1, 1)
        )

    @parameterized.parameters((4, 2), (3, 3), (1, 5), (3, 100))
    def test_a_multiple_or_less_than_one_part_is_allowed(self, steps, part):
        config = Config(steps=steps, log_steps=part)
        self.assertEqual((config.steps, config.log_steps), (steps, part))

    @parameterized.parameters((5, 2), (7, 3))
    def test_what_is_no_multiple_is_refused(self, steps, part):
        message = f"--steps must be a multiple of --log_steps={part}, got "
        with self.assertRaisesRegex(ValueError, message + str(steps)):
            Config(steps=steps, log_steps=part)

    @parameterized.parameters(0, -2)
    def test_a_part_out_of_its_limits_is_what_is_named(self, part):
        with self.assertRaisesRegex(ValueError, "--log_steps must be at least"):
            Config(log_steps=part)


class RunFolderTest(parameterized.TestCase):
    def test_only_what_changes_results_names_the_run(self):
        digest = Config().digest()
        self.assertRegex(digest, "^[0-9a-f]{8}$")
        same = Config(seeds=(5,), output_dir="x", names=("c",), dry_run=True)
        self.assertEqual(same.digest(), digest)
        for change in ({"size": 4}, {"mask_lr": 0.25}, {"dataset": "other"}):
            self.assertNotEqual(Config(**change).digest(), digest)

    def test_limits_and_help_do_not_name_it(self):
        one = with_field(3, int, at_least=1)
        other = with_field(3, int, at_most=9)
        self.assertEqual(one().digest(), other().digest())

    @parameterized.named_parameters(
        ("same", {}, {}, True),
        ("more_seeds", {"seeds": (0, 1)}, {"seeds": (1,)}, True),
        ("fewer_seeds", {"seeds": (0,)}, {"seeds": (0, 1)}, False),
        ("other_seeds", {"seeds": (0,)}, {"seeds": (1,)}, False),
        ("all_of_some", {"chosen": ()}, {"chosen": ("a",)}, True),
        ("some_of_all", {"chosen": ("a",)}, {"chosen": ()}, False),
        ("some_of_some", {"chosen": ("a",)}, {"chosen": ("a", "b")}, False),
        ("with_extras", {"extras": True}, {"extras": False}, True),
        ("without_extras", {"extras": False}, {"extras": True}, False),
        (
            "more_of_one_less_of_another",
            {"seeds": (0, 1), "names": ("a",)},
            {"seeds": (0,), "names": ("a", "b")},
            False,
        ),
    )
    def test_a_run_covers_another_if_it_does_all_of_it(self, own, other, so):
        other = dataclasses.asdict(Config(**other))
        as_read = {  # JSON has lists
            k: list(v) if isinstance(v, tuple) else v for k, v in other.items()
        }
        self.assertEqual(Config(**own).covers(as_read), so)

    def test_the_part_of_a_run_leaves_out_how_it_is_done(self):
        self.assertEqual(
            set(Config().part()), {"seeds", "names", "chosen", "extras"}
        )


@dataclasses.dataclass(frozen=True)
class Counted(configuration.Config):
    count: int = configuration.field(5, "How many.", part=True)


class PartTest(parameterized.TestCase):
    @parameterized.parameters((5, 3, True), (3, 5, False), (5, 5, True))
    def test_the_larger_number_covers_the_smaller(self, own, theirs, covers):
        found = Counted(count=own).covers({"count": theirs, "seeds": [0]})
        self.assertEqual(found, covers)
        self.assertEqual(
            Counted(count=own).digest(), Counted(count=theirs).digest()
        )


class DeriveSeedTest(parameterized.TestCase):
    def test_depends_on_seed_and_purpose_and_on_nothing_else(self):
        purposes = [(0, "a"), (1, "a"), (0, "b"), (0, "a", "b"), (0, "a/c")]
        seeds = [configuration.derive_seed(*purpose) for purpose in purposes]
        self.assertLen(set(seeds), len(seeds))
        self.assertBetween(min(seeds), 0, 2**31 - 1)
        self.assertEqual(configuration.derive_seed(0, "a"), 1394699149)


if __name__ == "__main__":
    absltest.main()
