import numpy as np
import tensorflow as tf

from modularity_tf.planted import score
from reproduce.known_truth.recovery import cases


class CasesTest(tf.test.TestCase):
    def test_sharing_is_what_the_case_says(self):
        for name, share in (("0", 0.0), ("25", 0.25), ("100", 1.0)):
            planted = cases.build(f"shared_{name}", seed=0)
            first, second = (
                planted.weights(i, "needed")["hidden/kernel"].any(axis=0)
                for i in (0, 1)
            )
            self.assertEqual(np.sum(first & second) / first.sum(), share)

    def test_of_compiled_networks_what_is_needed_has_full_marks(self):
        for case in cases.CASES:
            planted = cases.build(case, seed=1)
            found = score(planted.needed[0].weights, planted)
            self.assertEqual((found.precision, found.recall), (1, 1))
            self.assertBetween(found.chance, 0.02, 0.7)

    def test_every_case_has_a_title_and_the_last_network_is_kept(self):
        self.assertEqual([*cases.TITLES], [*cases.ALL])
        one = cases.network("simple", 1)
        self.assertIs(cases.network("simple", 1), one)
        self.assertIsNot(cases.network("simple", 2), one)


if __name__ == "__main__":
    tf.test.main()
