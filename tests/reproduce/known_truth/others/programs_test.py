import functools
import json
import unittest

import numpy as np
from absl.testing import absltest, parameterized

from reproduce.known_truth.others import circuits, programs
from tests.reproduce.known_truth.others import programs_by_hand

NEEDS_TRACR = unittest.skipUnless(
    programs.has_tracr(), "needs the extra `tracr`"
)
_compiled = functools.cache(programs.compiled)  # takes seconds
# The edges that ACDC's repository lists, with tokens and places together and
# without those inside of a head or an MLP.
PUBLISHED = {
    "proportion": {
        ("start", "m0_in"),
        ("start", "a1h0_query"),
        ("start", "a1h0_key"),
        ("m0", "a1h0_value"),
        ("a1h0", "end"),
    },
    "reverse": {
        ("start", "a0h0_value"),
        ("start", "m0_in"),
        ("a0h0", "m0_in"),
        ("start", "m1_in"),
        ("m0", "m1_in"),
        ("m1", "m2_in"),
        ("m2", "a3h0_query"),
        ("start", "a3h0_key"),
        ("start", "a3h0_value"),
        ("a3h0", "end"),
    },
}


class ProgramTest(absltest.TestCase):
    def test_comes_back_from_json(self):
        program = programs_by_hand.proportion()
        text = json.dumps(program.as_json())
        found = programs.Program.from_json(json.loads(text))
        self.assertEqual(found.as_json(), program.as_json())
        for path, kernel in program.kernels.items():
            np.testing.assert_array_equal(found.kernels[path], kernel)
        self.assertEqual(found.nodes, ["a0h0", "m0", "a1h0", "m1"])

    def test_lists_have_a_first_token_and_padding(self):
        program = programs_by_hand.proportion()
        found = programs.numbers(program)
        self.assertEqual(found.shape, (4 + 16 + 64 + 256 + 1024, 6))
        self.assertTrue(np.all(found[:, 0] == 0))
        own = circuits.is_token(program, found).sum(axis=1)
        sizes = [len(each) for each in programs.lists("proportion")]
        self.assertEqual(own.tolist(), sizes)

    def test_without_tracr_it_says_what_to_install(self):
        if programs.has_tracr():
            self.skipTest("Tracr is there")
        with self.assertRaisesRegex(ValueError, r"modularity_tf\[tracr\]"):
            programs.compiled("reverse")


@NEEDS_TRACR
class CompiledTest(parameterized.TestCase):
    @parameterized.parameters(*programs.VOCABULARIES)
    def test_the_program_is_what_tracr_compiled(self, name):
        program, model = _compiled(name)
        tokens = programs.numbers(program)
        lengths = circuits.is_token(program, tokens).sum(axis=1)
        found = circuits.answers(program, tokens)
        for length in (1, 3, programs.LENGTH):
            rows = np.flatnonzero(lengths == length)[:64]
            told = model.forward(model.params, tokens[rows, : 1 + length])
            stream = np.asarray(told.transformer_output.output)
            expected = stream[:, 1:, list(program.output)]
            np.testing.assert_allclose(
                found[rows, 1 : 1 + length], expected, atol=1e-5
            )

    @parameterized.parameters(*programs.VOCABULARIES)
    def test_the_model_answers_as_the_program_says(self, name):
        program, model = _compiled(name)
        expression = programs.expression(name)
        lists = programs.lists(name)
        for i in np.random.default_rng(0).permutation(len(lists))[:12]:
            expected = expression([*lists[i]])
            found = model.apply([programs.BOS, *lists[i]]).decoded[1:]
            for right, answer in zip(expected, found, strict=True):
                if right is None:  # the program gives no answer here
                    continue
                if program.kind == programs.NUMERIC:
                    self.assertAlmostEqual(answer, right, delta=1e-3)
                else:
                    self.assertEqual(answer, right)

    @parameterized.parameters(*PUBLISHED)
    def test_the_edges_are_those_that_were_published(self, name):
        program, _ = _compiled(name)
        truth = circuits.truth(program)
        found = {edge for edge, is_in in truth.edges.items() if is_in}
        self.assertEqual(found, PUBLISHED[name])
        self.assertEqual(truth.alone, 1.0)


if __name__ == "__main__":
    absltest.main()
