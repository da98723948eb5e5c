import collections
import pathlib
import tempfile
from unittest import mock

from absl import flags
from absl.testing import absltest, parameterized

from reproduce.csordas2021.sequences import scan_data

VERBS = {
    "walk": ["I_WALK"],
    "look": ["I_LOOK"],
    "run": ["I_RUN"],
    "jump": ["I_JUMP"],
    "turn": [],
}


def meaning(words):
    """Reads a command as a person would: a twin of the generator."""
    for joint in ("and", "after"):
        if joint in words:
            at = words.index(joint)
            first, second = meaning(words[:at]), meaning(words[at + 1 :])
            return first + second if joint == "and" else second + first
    if words[-1] in ("twice", "thrice"):
        return meaning(words[:-1]) * (2 if words[-1] == "twice" else 3)
    acts = VERBS[words[0]]
    if len(words) == 1:
        return acts
    turn = [f"I_TURN_{words[-1].upper()}"]
    if words[1] == "opposite":
        return turn + turn + acts
    return (turn + acts) * (4 if words[1] == "around" else 1)


class EveryExampleTest(absltest.TestCase):
    def test_there_are_as_many_of_each_length_as_in_the_published_data(self):
        examples = scan_data.every_example()
        self.assertLen({e.command for e in examples}, 20_910)
        self.assertLen(examples, 20_910)
        lengths = collections.Counter(len(e.command.split()) for e in examples)
        counts = [4, 18, 72, 328, 1288, 3520, 6080, 6400, 3200]
        self.assertEqual([lengths[i + 1] for i in range(9)], counts)
        self.assertLen({e.actions for e in examples}, 9228)
        missing = {23, 29, 31, 34, 35, 37, 38, 39, *range(41, 48)}
        found = {len(e.actions.split()) for e in examples}
        self.assertEqual(found, {*range(1, 49)} - missing)

    def test_commands_mean_what_a_reader_would_do(self):
        for command, actions in scan_data.every_example():
            self.assertEqual(actions.split(), meaning(command.split()), command)

    def test_turns_come_first_and_after_reverses(self):
        known = dict(scan_data.every_example())
        self.assertEqual(
            known["run opposite left after turn around right twice"],
            " ".join(["I_TURN_RIGHT"] * 8 + ["I_TURN_LEFT"] * 2 + ["I_RUN"]),
        )
        self.assertNotIn("turn", known)

    def test_the_words_are_those_of_the_examples(self):
        for part, words in (
            (0, scan_data.INPUT_WORDS),
            (1, scan_data.OUTPUT_TOKENS),
        ):
            found = {
                w for e in scan_data.every_example() for w in e[part].split()
            }
            self.assertCountEqual(words, found)


class SplitTest(parameterized.TestCase):
    @parameterized.parameters(
        ("simple", 16_728, 16_728, 4_182),
        ("length", 16_990, 16_990, 3_920),
        ("addprim_jump", 14_670, 13_204, 7_706),
        ("addprim_turn_left", 21_890, 19_702, 1_208),
    )
    def test_has_the_published_sizes(self, name, lines, distinct, tested):
        train, test = scan_data.split(name)
        self.assertLen(train, lines)
        self.assertLen(set(train), distinct)
        self.assertLen(test, tested)
        self.assertLen(set(test), tested)
        # Disjoint, and together everything.
        self.assertEqual({*train, *test} - {*scan_data.every_example()}, set())
        self.assertEqual(distinct + tested, 20_910)
        self.assertEmpty({*train} & {*test})

    def test_length_is_cut_at_22_actions(self):
        train, test = scan_data.split("length")
        self.assertEqual(max(len(e.actions.split()) for e in train), 22)
        self.assertEqual(min(len(e.actions.split()) for e in test), 24)

    @parameterized.parameters(
        ("addprim_jump", "jump", 1467), ("addprim_turn_left", "turn left", 2189)
    )
    def test_the_primitive_is_a_tenth_of_the_lines(self, name, alone, copies):
        train, test = scan_data.split(name)
        counts = collections.Counter(e.command for e in train)
        self.assertEqual(counts.pop(alone), copies)
        self.assertEqual(copies * 10, len(train))
        self.assertEqual(set(counts.values()), {1})
        self.assertNotIn(alone, [e.command for e in test])

    def test_turn_left_is_a_pair_of_neighbors(self):
        train, test = scan_data.split("addprim_turn_left")
        trained = {e.command for e in train}
        self.assertIn("turn around left", trained)
        self.assertIn("run left and turn right", trained)
        self.assertLen(
            [
                c
                for c in trained
                if "turn opposite left" in c or "turn around left" in c
            ],
            2310,
        )
        self.assertIn("turn left twice", {e.command for e in test})

    def test_only_simple_depends_on_the_seed(self):
        for name in scan_data.SPLITS:
            same = scan_data.split(name, 1) == scan_data.split(name, 2)
            self.assertEqual(same, name != "simple")
        self.assertEqual(
            scan_data.split("simple", 1), scan_data.split("simple", 1)
        )

    def test_refuses_what_there_is_not(self):
        with self.assertRaisesRegex(
            ValueError, "one of simple, .*, got 'jump'"
        ):
            scan_data.split("jump")
        with self.assertRaisesRegex(ValueError, "`seed` must be at least 0"):
            scan_data.split("simple", -1)


class FilesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder)

    def test_written_files_are_read_back(self):
        paths = scan_data.write("addprim_jump", self.folder / "new")
        names = ["tasks_train_addprim_jump.txt", "tasks_test_addprim_jump.txt"]
        self.assertEqual([path.name for path in paths], names)
        for path, part in zip(paths, scan_data.split("addprim_jump")):
            self.assertEqual(scan_data.read(path), part)
            is_equal, says = scan_data.compare(path, "addprim_jump")
            self.assertTrue(is_equal, says)

    def test_the_order_of_lines_does_not_matter_but_copies_do(self):
        path, _ = scan_data.write("addprim_turn_left", self.folder)
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(reversed(lines)))
        self.assertTrue(scan_data.compare(path, "addprim_turn_left")[0])
        path.write_text("".join(lines[:-1]))
        is_equal, says = scan_data.compare(path, "addprim_turn_left")
        self.assertFalse(is_equal)
        self.assertEndsWith(
            says,
            "tasks_train_addprim_turn_left.txt: 21889 lines, those of the "
            "train part of addprim_turn_left, lacking 1 ('IN: turn left OUT: "
            "I_TURN_LEFT', say).",
        )

    @parameterized.named_parameters(
        ("format", "jump I_JUMP", "must be 'IN: words OUT: ACTIONS', got"),
        ("no_output", "IN: jump OUT: ", "words of .*I_JUMP.*, got ''"),
        ("word", "IN: hop OUT: I_JUMP", "words of after, .*, got 'hop'"),
        ("action", "IN: jump OUT: I_HOP", "got 'I_HOP'"),
        ("blank", "", "must be 'IN"),
    )
    def test_refuses_lines_that_are_no_examples(self, text, message):
        path = self.folder / "bad.txt"
        path.write_text(f"IN: run OUT: I_RUN\n{text}\n")
        with self.assertRaisesRegex(
            ValueError, f"bad.txt, line 2: .*{message}"
        ):
            scan_data.read(path)

    @parameterized.parameters(
        (b"", "has no line"), (b"\xff\xfe\n", "is no text")
    )
    def test_refuses_files_without_text(self, content, message):
        path = self.folder / "bad.txt"
        path.write_bytes(content)
        with self.assertRaisesRegex(ValueError, message):
            scan_data.read(path)


class MainTest(parameterized.TestCase):
    def run_main(self, **chosen):
        values = flags.FlagValues()
        scan_data.define_flags(values)
        values(["scan_data", *(f"--{k}={v}" for k, v in chosen.items())])
        with (
            mock.patch.object(flags, "FLAGS", values),
            mock.patch("sys.stdout") as out,
        ):
            scan_data.main(["scan_data"])
        return "".join(call.args[0] for call in out.write.call_args_list)

    def test_writes_a_split_and_compares_with_it(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        said = self.run_main(split="length", output_dir=folder)
        self.assertIn("tasks_test_length.txt", said)
        train = pathlib.Path(folder, "tasks_train_length.txt")
        said = self.run_main(split="length", compare=train)
        self.assertIn("16990 lines, those of the train part of length.", said)
        with self.assertRaises(SystemExit) as stopped:
            self.run_main(split="addprim_jump", compare=train)
        self.assertEqual(stopped.exception.code, 1)

    def test_says_that_simple_is_not_the_official_draw(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        said = self.run_main(split="simple", output_dir=folder, seed=3)
        self.assertIn("--seed=3; it is not the official draw", said)

    @parameterized.parameters(
        ({"split": "length"}, "Give --output_dir"),
        ({"split": "x", "output_dir": "y"}, "must be one of simple, length"),
        ({"compare": "/nowhere.txt"}, "No such file.*nowhere"),
    )
    def test_a_mistake_ends_with_one_line(self, chosen, message):
        with self.assertRaisesRegex(SystemExit, f"^Error: .*{message}[^\n]*$"):
            self.run_main(**chosen)


if __name__ == "__main__":
    absltest.main()
