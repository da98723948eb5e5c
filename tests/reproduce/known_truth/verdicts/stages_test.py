import types
import warnings
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf import WeightMask
from reproduce.known_truth.verdicts import claims, stages

CONFIG = types.SimpleNamespace(mask_steps=5, extractions=3, sets=20)


class NetworksTest(parameterized.TestCase):
    def judged(self, shared, method):
        stage = types.SimpleNamespace(
            seed=0,
            config=CONFIG,
            derive_seed=lambda *purpose: sum(map(ord, str(purpose))),
        )
        return stages.judge_network(stage, shared, method)

    def test_a_network_is_judged(self):
        found = self.judged("100", stages.NOISY)
        self.assertEqual(found["true"], ["shared"])
        self.assertIn(found["verdict"], ("shared", "undetermined"))
        self.assertIn("index", found)

    def test_the_largest_weights_are_no_evidence(self):
        found = self.judged("0", "magnitude")
        self.assertEqual(found["true"], ["separate"])
        self.assertEqual(found["verdict"], "undetermined")

    def test_a_method_that_finds_nothing_gives_no_verdict(self):
        none = np.zeros((3, 3), bool)
        with mock.patch.object(
            stages, "extract", return_value=WeightMask({"a": none})
        ):
            found = self.judged("0", "gradient")
        self.assertIsNone(found["verdict"])
        self.assertIn("no weight 'a'", found["reason"])
        self.assertEqual(claims.counted({"0/gradient": found}), {})

    def test_scores_keep_as_many_weights_as_are_needed(self):
        planted = stages.NETWORKS["0"](seed=0)
        mask = stages.extract(CONFIG, planted, 0, "gradient", 3)
        needed = planted.weights(0, "needed")
        self.assertEqual(
            sum(v.sum() for v in mask.values.values()),
            sum(v.sum() for v in needed.values()),
        )

    def test_masks_are_learned_with_the_settings_of_the_first(self):
        planted = stages.NETWORKS["0"](seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mask = stages.extract(
                CONFIG,
                planted,
                0,
                stages.MASK,
                3,
                alpha=1e-4,
                initial_keep_probability=0.99,
            )
        self.assertEqual(mask.provenance["alpha"], 1e-4)


if __name__ == "__main__":
    absltest.main()
