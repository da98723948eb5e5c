import dataclasses
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce import neuron_subselection
from reproduce.data import images
from reproduce.elbastawisy2025 import sharing, stages
from tests.reproduce import run_test_case

TINY = stages.Config(
    datasets=("digits",),
    batch_size=32,
    network_steps=60,
    permutations=19,
    null_images=20,
    pairs=3,
    score_images=80,
    t_high=0.1,
    log_steps=30,
)
PICTURES = (
    "active_digits",
    "calibration_digits",
    "fig01_threshold_specialize_digits",
    "fig02_threshold_reuse_digits",
    "fig03_bayesian_specialize_digits",
    "fig03_relative_specialize_digits",
    "fig04_bayesian_reuse_digits",
    "fig04_relative_reuse_digits",
    "fig05_bayesian_counts_digits",
    "fig05_bayesian_percent_digits",
    "fig05_relative_counts_digits",
    "fig05_relative_percent_digits",
    "reliability_digits",
    "subnetworks_digits",
    "sweep_digits",
)


def four_digits(name):
    """Takes the place of `images.load_once`: ten classes take longer."""
    data, few = images.load(name), range(4)
    return dataclasses.replace(
        data,
        class_names=data.class_names[:4],
        train=data.train.only(few),
        validation=data.validation.only(few),
        test=data.test.only(few),
    )


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        self.enterContext(mock.patch.object(sharing, "T_HIGHS", (0.1, 0.5)))
        self.enterContext(mock.patch.object(images, "load_once", four_digits))
        _, results = self.run_tiny(neuron_subselection, TINY, PICTURES)
        (record,) = results["records"]
        self.assertEqual(sum(record["network"]["counts"]), 80)
        self.assertLen(record["sweep"], 2 * 3)
        for found in record["methods"].values():
            shared = found["sharing"]
            for question in ("specialize", "reuse"):
                for pairs in ("every", "as_in_text"):
                    entry = shared[question][pairs]
                    self.assertNotIn("output11", entry)
                    self.assertLessEqual(entry["total"]["jaccard"] or 0, 1)
        by_threshold = record["methods"]["threshold"]
        # At the 70th percentile no more than 31 % can be active.
        shared = by_threshold["sharing"]["specialize"]["every"]["total"]
        self.assertLessEqual(shared["of_layer"], 0.32)
        for test in by_threshold["permutations"]:
            self.assertBetween(test["p"], 0.05, 1.0)  # (1 + 0) / (1 + 19)
        masking = record["methods"]["bayesian"]["ablation"]
        self.assertLen(masking, 4)
        for found in masking:
            confusion = np.array(found["confusion"])
            self.assertAllClose(confusion.sum(axis=1), np.ones(4))

    @parameterized.named_parameters(
        ("dataset", {"datasets": ("svhn",)}, "of mnist, cifar10, digits, got"),
        ("twice", {"datasets": ("digits", "digits")}, "must be distinct"),
        ("method", {"methods": ()}, "--methods must be one value or more"),
        ("select", {"select_on": "all"}, "got 'all'"),
        ("tau", {"tau": 0.2}, "--tau must be at least 0.5, less than 1"),
        ("order", {"t_low": 1.0}, "--t_low=1.0 must be below --t_high=0.1"),
        ("infinite", {"t_high": float("inf")}, "--t_high must be finite"),
        ("percentile", {"percentile": 100.0}, "--percentile .* less than 100"),
        ("pairs", {"pairs": 46}, "--pairs must be at least 1, at most 45"),
        ("permutations", {"permutations": 18}, "--permutations .* least 19"),
        ("images", {"score_images": -1}, "--score_images must be at least 0"),
        ("rate", {"network_lr": float("nan")}, "--network_lr must be above 0"),
        ("steps", {"network_steps": 45}, "multiple of --log_steps=30"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


if __name__ == "__main__":
    tf.test.main()
