import numpy as np
from absl.testing import absltest, parameterized

from reproduce.pretrained import deepcut, texts
from tests.reproduce.pretrained import tiny


class TextsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        for patch in tiny.replaced():
            self.enterContext(patch)

    def test_english_words_are_those_of_scikit_learns_descriptions(self):
        words = texts.english_words()
        self.assertIn("iris", words)
        self.assertEqual([*words], sorted(set(words)))
        self.assertTrue(all(w.isascii() and w.islower() for w in words))
        self.assertGreater(len(words), 500)
        self.assertIn("Fisher", texts.capitalized_words())

    def test_held_out_words_are_others(self):
        words = [f"w{i}" for i in range(10)]
        found, held = texts.split_words(words, 0.3, 0)
        self.assertEqual((len(found), len(held)), (7, 3))
        self.assertEqual(sorted([*found, *held]), words)
        self.assertNotEqual(held, texts.split_words(words, 0.3, 1)[1])

    def test_drawn_strings_have_the_lengths_that_are_asked_for(self):
        drawn = texts.strings("ab", (2, 4), 200, 0)
        self.assertEqual({len(each) for each in drawn}, {2, 3})
        self.assertEqual(set("".join(drawn)), {"a", "b"})
        self.assertTrue(all(n.isdigit() for n in texts.numbers(50, 0)))
        self.assertTrue(all(n.isalpha() for n in texts.random_words(50, 0)))

    @parameterized.parameters(*texts.KINDS)
    def test_a_text_is_cut_into_its_words(self, kind):
        tokens = texts.draw_tokens(kind, ["ab", "b"], np.random.default_rng(0))
        has_spaces = " " in tokens
        self.assertEqual(has_spaces, kind not in (texts.THAI, texts.RUN_IN))
        if kind == texts.RUN_IN:
            self.assertLen(tokens, 12 * 4)
            for i, token in enumerate(tokens):
                known = ["ab", "b"] if i % 4 == 3 else deepcut.thai_words()
                self.assertIn(token, known)
        elif has_spaces:
            self.assertEqual(set(tokens[1::2]), {" "})
            self.assertLen(tokens, 23)

    def test_windows_say_where_words_begin_and_no_two_are_alike(self):
        words = ["ab", "a", "bba"]
        (characters, types), begins = texts.windows("latin", words, 60, 0)
        self.assertEqual(characters.shape, (60, 21))
        self.assertEqual(types.shape, (60, 21))
        self.assertEqual(begins.shape, (60, 1))
        self.assertLen(np.unique(characters, axis=0), 60)
        space = 1
        itself, before = characters[:, -1], characters[:, 10]
        expected = (itself == space) | (before == space)
        np.testing.assert_array_equal(begins[:, 0] == 1, expected)

    def test_refuses_words_that_have_too_few_windows(self):
        with self.assertRaisesRegex(ValueError, "`words` have about .*, no 60"):
            texts.windows("thai", ["ab"], 60, 0)

    def test_english_that_is_run_in_is_asked_about_at_letters_alone(self):
        (characters, _), begins = texts.windows("run_in", ["ab", "bb"], 40, 0)
        letters = {2, 3}  # and others of the Thai words, in ASCII
        self.assertLessEqual(set(characters[:, -1]), letters | {4})
        self.assertBetween(begins.mean(), 0.1, 0.9)


if __name__ == "__main__":
    absltest.main()
