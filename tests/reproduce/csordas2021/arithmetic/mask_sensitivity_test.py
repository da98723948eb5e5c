import dataclasses

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import WeightMask
from reproduce.csordas2021.arithmetic import mask_sensitivity
from reproduce.running.run import Run

CONFIG = mask_sensitivity.Config(
    betas=(1e-3, 1e-2),
    beta=1e-2,
    beta_networks=("12x10",),
    size_networks=("12x10", "16"),
)


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("network", {"network": "lstm"}, "--network must be one of fnn"),
        ("sizes", {"size_networks": ("12-10",)}, "got '12-10'"),
        ("zero", {"beta_networks": ("12x0",)}, "got '12x0'"),
        ("betas", {"betas": (0.0, 1e-2)}, "--betas must be .*above 0"),
        ("none", {"beta_networks": ()}, "--beta_networks must be one value"),
        ("twice", {"size_networks": ("16", "16")}, "must be distinct"),
        ("alike", {"betas": (1e-2, 1.0000001e-2)}, "first six digits"),
        ("three", {"beta_networks": ("1", "2", "3")}, "two at most"),
        ("chosen", {"beta": 2e-2}, "--beta=0.02, the value marked"),
        ("search", {"find_beta": True}, "flags of reproduce.add_mul"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(CONFIG, **changes)


class PlanTest(tf.test.TestCase):
    def test_every_network_has_the_betas_of_its_figures(self):
        found = mask_sensitivity.trainings(CONFIG)
        self.assertEqual(found, {"12x10": [1e-3, 1e-2], "16": [1e-2]})
        network = mask_sensitivity.subject_of(CONFIG, 0, "12x10").build()
        units = [layer.units for layer in network.layers[:-2]]
        self.assertEqual(units, [12, 10])

    def test_both_masks_of_a_point_are_stages_and_both_once_more(self):
        run = Run(CONFIG, "test")
        mask_sensitivity.plan(run)
        points = ("12x10", "0.001"), ("12x10", "0.01"), ("16", "0.01")
        names = [
            f"{network}/seed0/mask_{task}_beta{beta}{time}"
            for network, beta in points
            for task in ("add", "mul")
            for time in ("", "_again")
        ]
        self.assertEqual([n for n in run.stages if "/mask_" in n], names)
        alphas = [run.stages[name].needs[3] for name in names]
        self.assertAllClose(alphas, np.repeat([1e-3, 1e-2, 1e-2], 4) / 128)


class CompleteTest(tf.test.TestCase):
    def test_sharing_stands_beside_that_of_random_masks(self):
        masks = masks_of(add=[1, 1, 0, 0], mul=[1, 1, 1, 0])
        again = masks_of(add=[0, 1, 1, 0], mul=[1, 1, 1, 0])
        scores = {"add": {"add": 0.9}, "mul": {"mul": 0.8}}
        point = {"network": "4"}
        found = mask_sensitivity.complete(point, scores, masks, again)
        self.assertEqual(found["network"], "4")
        self.assertEqual(found["accuracy"], {"add": 0.9, "mul": 0.8})
        self.assertAllClose(found["sharing"], {"add": 1.0, "mul": 2 / 3})
        self.assertAllClose(found["expected"], {"add": 0.75, "mul": 0.5})
        self.assertAllClose(found["ceiling"], {"add": 0.5, "mul": 1.0})

    def test_sharing_of_a_mask_without_weights_is_none(self):
        masks = masks_of(add=[0, 0], mul=[1, 0])
        scores = {"add": {"add": 0.9}, "mul": {"mul": 0.8}}
        found = mask_sensitivity.complete({}, scores, masks, masks)
        self.assertEqual(found["sharing"], {"add": None, "mul": 0.0})
        self.assertEqual(found["expected"], {"add": None, "mul": 0.0})
        self.assertEqual(found["ceiling"], {"add": None, "mul": 1.0})


def masks_of(**kept):
    """Returns a mask for each task."""
    return {
        task: WeightMask(
            {"d/kernel": np.array(values, bool)},
            {"keep_probabilities": {"counts": [4], "tiny": 0}},
        )
        for task, values in kept.items()
    }


if __name__ == "__main__":
    tf.test.main()
