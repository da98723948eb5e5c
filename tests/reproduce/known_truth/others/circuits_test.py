import numpy as np
from absl.testing import absltest

from reproduce.known_truth.others import circuits, programs
from tests.reproduce.known_truth.others import programs_by_hand

NEEDED = {
    ("start", "m0_in"),
    ("start", "a1h0_query"),
    ("start", "a1h0_key"),
    ("m0", "a1h0_value"),
    ("a1h0", "end"),
}


class TruthTest(absltest.TestCase):
    def test_a_program_answers_what_it_should(self):
        program = programs_by_hand.proportion()
        tokens = programs.numbers(program)
        found = circuits.answers(program, tokens)[..., 0]
        for each, row in zip(programs.lists("proportion"), found):
            fractions = np.cumsum([t == "x" for t in each]) / np.arange(
                1, len(each) + 1
            )
            np.testing.assert_allclose(
                row[1 : 1 + len(each)], fractions, atol=1e-5
            )
            np.testing.assert_array_equal(row[1 + len(each) :], 0)

    def test_edges_lead_forward_and_to_the_heads_of_later_layers(self):
        found = circuits.edges(programs_by_hand.proportion())
        self.assertIn(("a0h0", "m0_in"), found)
        self.assertIn(("m0", "a1h0_value"), found)
        self.assertNotIn(("m0", "a0h0_query"), found)
        # Of 5 writers: 3 readers of one, 1 of two, 3 of three, 1 of four; end.
        self.assertLen(found, 3 * 1 + 1 * 2 + 3 * 3 + 1 * 4 + 5)
        self.assertLen({*found}, len(found))

    def test_the_truth_is_the_wiring_that_some_answer_needs(self):
        found = programs_by_hand.truth()
        self.assertEqual(
            {e for e, is_in in found.edges.items() if is_in}, NEEDED
        )
        needed = [node for node, is_in in found.nodes.items() if is_in]
        self.assertEqual(needed, ["m0", "a1h0"])
        self.assertEqual(found.alone, 1.0)
        self.assertTrue(found.weights["m0_in"][0, 0])

    def test_scores_of_edges_are_those_of_the_weaker_end(self):
        program = programs_by_hand.proportion()
        scores = {p: np.full(k.shape, 3.0) for p, k in program.kernels.items()}
        scores["m0_out"][:] = 2.0
        scores["a1h0_value"][:] = 1.0
        nodes, edges = circuits.scores_of_parts(program, scores)
        self.assertEqual(nodes["m0"], 2.0)
        self.assertEqual(edges["m0", "a1h0_value"], 1.0)
        self.assertEqual(edges["start", "m0_in"], 3.0)
        self.assertEqual(edges["a1h0", "end"], 3.0)
        self.assertEqual(nodes["a0h0"], -np.inf)
        self.assertEqual(edges["start", "a1h0_value"], -np.inf)


if __name__ == "__main__":
    absltest.main()
