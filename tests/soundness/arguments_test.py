import keras
import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf import WeightMask
from modularity_tf.soundness import arguments


def network(name):
    return keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3, name=name)], name="network"
    )


def mask(*kept, **provenance):
    values = np.zeros((2, 3), bool)
    values.ravel()[list(kept)] = True
    return WeightMask({"d/kernel": values}, provenance)


class ArgumentsTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = network("d")

    def test_a_twin_of_other_names_is_told_how_to_be_made(self):
        with self.assertRaisesRegex(ValueError, "`untrained`.*clone_model"):
            arguments.check_finding(
                "finding", mask(0), network("e"), is_twin=True
            )

    def test_one_extraction_does_not_count_twice(self):
        found = mask(0, seed=1)
        again = mask(0, seed=1)
        with self.assertRaisesRegex(ValueError, r"`repeats\[0\]` is .* there"):
            arguments.checked_list(
                "repeats", [again], found, self.model, [found]
            )

    @parameterized.parameters({"seed": 2}, {"label": 3})
    def test_equal_findings_of_other_seeds_or_data_are_repeats(self, **told):
        found = mask(0, **{"seed": 1} if "seed" in told else told)
        repeats = [mask(0, **told)]
        self.assertEqual(
            arguments.checked_list(
                "repeats", repeats, found, self.model, [found]
            ),
            repeats,
        )

    @parameterized.parameters("uint8", "bool", "int32", "float32")
    def test_scores_of_any_kind_of_number_can_be_negated(self, kind):
        scores = {"d/kernel": np.ones((2, 3), kind)}
        found = arguments.checked_scores(scores, mask(0))
        self.assertEqual((-found["d/kernel"]).min(), -1)


if __name__ == "__main__":
    absltest.main()
