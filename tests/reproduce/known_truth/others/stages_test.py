import json
import types
from unittest import mock

import numpy as np
from absl.testing import absltest

from reproduce.known_truth.others import programs, stages
from tests.reproduce.known_truth.others import programs_by_hand


def stage(**config):
    """Returns what a stage of seed 0 sees."""
    return types.SimpleNamespace(
        seed=0,
        config=stages.Config(**config),
        derive_seed=lambda *purpose: sum(map(ord, str(purpose))),
    )


class ProgramsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        program = programs_by_hand.proportion()
        with mock.patch.object(
            programs, "compiled", return_value=(program, None)
        ):
            found = stages.compile_program(stage(), "proportion")
        self.compiled = json.loads(json.dumps(found))  # as an artifact

    def test_a_program_and_its_truth_come_back(self):
        program, truth = stages.program_of(self.compiled)
        expected = programs_by_hand.truth()
        self.assertEqual(truth.edges, expected.edges)
        self.assertEqual(truth.nodes, expected.nodes)
        for path, flags in expected.weights.items():
            np.testing.assert_array_equal(truth.weights[path], flags)
        self.assertEqual(program.nodes, ["a0h0", "m0", "a1h0", "m1"])
        told = stages.told_of_truth(self.compiled)
        self.assertEqual((told["nodes"], told["of_nodes"]), (2, 4))
        self.assertEqual((told["edges"], told["of_edges"]), (5, 23))
        self.assertTrue(told["is_not_zero"])
        decoyed = stages.told_of_truth(self.compiled, stages.DECOYS, 0)
        self.assertEqual((decoyed["nodes"], decoyed["edges"]), (2, 5))
        self.assertGreater(decoyed["of_nodes"], 8)
        self.assertGreater(decoyed["of_edges"], 90)
        self.assertFalse(decoyed["is_not_zero"])

    def test_methods_see_decoys_or_none(self):
        found = {
            form: stages.look(stage(), self.compiled, form, "zero", "random")
            for form in (stages.PLAIN, stages.DECOYS)
        }
        plain, decoys = (each["edges"]["auc"] for each in found.values())
        self.assertGreater(plain, decoys)


class ToysTest(absltest.TestCase):
    def test_masks_of_networks_are_judged(self):
        one = stage(networks=2, training_steps=300, toy_batch_size=64)
        networks = stages.train_networks(one, "5-2")
        self.assertEqual(np.shape(networks["columns"]), (2, 5, 2))
        one.config = stages.Config(mask_steps=5)
        found = stages.find_columns(one, "5-2", networks)
        self.assertLen(found, 2)
        self.assertIn("broken", found[0])


if __name__ == "__main__":
    absltest.main()
