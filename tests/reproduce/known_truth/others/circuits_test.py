import numpy as np
from absl.testing import absltest

from reproduce.known_truth.others import circuits, decoys, programs
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
        found = circuits.truth(programs_by_hand.proportion())
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


class DecoysTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.program = programs_by_hand.proportion()
        self.truth = circuits.truth(self.program)
        self.found, self.told, self.own = decoys.with_decoys(
            self.program, self.truth, 0
        )

    def test_a_program_with_decoys_answers_the_same(self):
        tokens = programs.numbers(self.program)
        np.testing.assert_allclose(
            circuits.answers(self.found, tokens),
            circuits.answers(self.program, tokens),
            atol=1e-5,
        )

    def test_what_was_needed_is_and_nothing_else(self):
        needed = {e for e, is_in in self.told.edges.items() if is_in}
        self.assertEqual(needed, NEEDED)
        again = circuits.truth(self.program)
        for path, flags in self.told.weights.items():
            count = again.weights[path].sum() if path in again.weights else 0
            self.assertEqual(flags.sum(), count, path)
            self.assertTrue(np.all(self.own[path][flags]))

    def test_most_weights_that_are_not_zero_are_decoys(self):
        own = sum(int(v.sum()) for v in self.own.values())
        there = sum(int((v != 0).sum()) for v in self.found.kernels.values())
        self.assertGreater(there, 4 * own)

    def test_without_its_own_parts_nothing_of_the_answer_is_left(self):
        tokens = programs.numbers(self.program)
        kernels = {
            path: np.where(self.own[path], 0, kernel)
            for path, kernel in self.found.kernels.items()
        }
        found = circuits.answers(self.found, tokens, kernels=kernels)
        np.testing.assert_allclose(found, 0, atol=1e-4)

    def test_another_seed_makes_another_network(self):
        other, _, _ = decoys.with_decoys(self.program, self.truth, 1)
        self.assertFalse(
            np.array_equal(other.kernels["m0_in"], self.found.kernels["m0_in"])
        )


if __name__ == "__main__":
    absltest.main()
