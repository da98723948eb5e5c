import numpy as np
from absl.testing import absltest

from reproduce.known_truth.others import circuits, decoys, programs
from tests.reproduce.known_truth.others import programs_by_hand


class DecoysTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.program = programs_by_hand.proportion()
        self.truth = programs_by_hand.truth()
        self.found, self.told, self.own = programs_by_hand.with_decoys()

    def test_a_program_with_decoys_answers_the_same(self):
        tokens = programs.numbers(self.program)
        np.testing.assert_allclose(
            circuits.answers(self.found, tokens),
            circuits.answers(self.program, tokens),
            atol=1e-5,
        )

    def test_what_was_needed_is_and_nothing_else(self):
        again, needed = (
            {e for e, is_in in each.edges.items() if is_in}
            for each in (self.truth, self.told)
        )
        self.assertEqual(needed, again)
        for path, flags in self.told.weights.items():
            before = self.truth.weights.get(path, np.zeros(1))
            self.assertEqual(flags.sum(), before.sum(), path)
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
