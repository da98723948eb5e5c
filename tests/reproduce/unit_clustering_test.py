import dataclasses
import json
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.units import similarity
from reproduce import unit_clustering
from reproduce.data import images
from reproduce.lange2022 import stages
from reproduce.publishing import experiment
from tests.reproduce import run_test_case

TINY = stages.Config(
    dataset="digits",
    seeds=(0, 1),
    l2=(1e-5, 10.0),
    l1=(1e-5, 1e-3),
    dropout=(0.1, 0.5),
    sizes=(12, 10),
    untrained=3,
    batch_size=32,
    network_steps=200,
    network_lr=1e-2,
    log_steps=100,
    call_steps=20,
    score_images=100,
    min_accuracy=0.5,
    search_steps=50,
    restarts=1,
    subsample=0.3,
    permutations=3,
)
PICTURES = (
    "fig03_modularity",
    "fig04_agreement",
    "figS1_scores",
    "figS2_searches",
    "figS3_modularity_by_layer",
    "figS4_clusters_by_layer",
    "figS5_agreement_by_strength",
)


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        self.enterContext(mock.patch.object(stages, "UNTRAINED_STACK", 2))
        run, results = self.run_tiny(unit_clustering, TINY, PICTURES)
        records = results["records"]
        self.assertLen(records["networks"], 2 * 6)
        self.assertEqual([r["stack"] for r in records["untrained"]], [0, 0, 1])
        dropped = [r for r in records["networks"] if "layers" not in r]
        # A penalty of 10 leaves nothing of a network, and the rest learns.
        self.assertEqual(
            [(r["kind"], r["strength"]) for r in dropped], [("l2", 10.0)] * 2
        )
        (claim,) = (
            one for one in results["claims"] if one["id"] == "dropped_networks"
        )
        self.assertAllClose(claim["values"], [1 / 6, 1 / 6])
        self.assertEqual(
            [r["strength"] for r in records["examples"]], [0.1, 0.5]
        )
        record = records["networks"][4]  # dropout 0.1, the first seed
        example = records["examples"][0]
        measure = similarity.MEASURES.index("normalized_covariance")
        self.assertLen(example["matrix"], sum(example["sizes"]))
        self.assertAllClose(example["q"], record["layers"][0]["q"][measure])

        # The records tell of the networks that lie there, in their order.
        stack = keras.saving.load_model(run / "seed0" / "networks.keras")
        test = images.load("digits").test
        logits = stack.predict(test.images[:100], verbose=0)
        right = logits.argmax(-1) == test.labels[:100, None]
        found = [r["accuracy"] for r in records["networks"] if not r["seed"]]
        self.assertAllClose(right.mean(0), found)

        # What was lost is found again from the networks that lie there.
        for lost in ("seed1/analysis", "untrained/2to3", "results"):
            (run / f"{lost}.json").unlink()
        config = dataclasses.replace(TINY, output_dir=str(run.parent))
        undrawn = dataclasses.replace(
            unit_clustering.EXPERIMENT, draw=lambda records: {}
        )
        experiment.carry_out(undrawn, config)
        again = json.loads((run / "results.json").read_text())
        self.assertEqual(again["records"], records)

    @parameterized.named_parameters(
        ("dataset", {"dataset": "cifar10"}, "got 'cifar10'"),
        ("one_strength", {"l1": (0.1,)}, "--l1 must be two strengths or more"),
        ("zero", {"l2": (0.0, 0.1)}, "--l2 must be one value or more, above 0"),
        ("certain", {"dropout": (0.5, 1.0)}, "--dropout .* less than 1"),
        ("order", {"l2": (0.1, 0.01)}, "--l2 must be .* that rise"),
        ("twice", {"l2": (0.1, 0.1)}, "--l2 must be .* that rise"),
        ("mild", {"mild_l2": -1.0}, "--mild_l2"),
        ("sizes", {"sizes": (64,)}, "--sizes must be two numbers"),
        ("untrained", {"untrained": 1}, "--untrained must be at least 2"),
        ("accuracy", {"min_accuracy": 80.0}, "--min_accuracy"),
        ("permutations", {"permutations": 0}, "--permutations"),
        ("images", {"score_images": -1}, "--score_images must be at least 0"),
        ("an_image", {"score_images": 1}, "--score_images must be 0 or at le"),
        ("search", {"search_steps": 0}, "--search_steps must be at least 1"),
        ("no_call", {"call_steps": 0}, "--call_steps must be at least 1"),
        ("short", {"network_steps": 30}, "multiple of --call_steps=20, got 30"),
        ("epochs", {"network_steps": 150}, "multiple of --log_steps=100"),
        ("calls", {"call_steps": 30}, "multiple of --call_steps=30, got 100"),
        ("long_calls", {"call_steps": 200}, "--log_steps must be a multiple"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


class ConfigTest(tf.test.TestCase):
    def test_fewer_untrained_networks_are_a_part_of_the_same_run(self):
        fewer = dataclasses.replace(TINY, untrained=2)
        self.assertEqual(fewer.digest(), TINY.digest())
        self.assertFalse(fewer.covers(dataclasses.asdict(TINY)))
        self.assertTrue(TINY.covers(dataclasses.asdict(fewer)))

    def test_fewer_steps_than_between_two_points_must_fill_calls_too(self):
        short = dataclasses.replace(TINY, network_steps=40)
        self.assertEqual(short.network_steps, 40)

    def test_the_defaults_are_table_1(self):
        settings = stages.Config().settings()
        self.assertLen(settings, 30)
        by_kind = {
            kind: [s for own, s in settings if own == kind]
            for kind in ("l2", "l1", "dropout")
        }
        for kind, expected in (
            ("l2", np.logspace(-5, -1, 9)),
            ("l1", np.logspace(-5, -2, 7)),
            ("dropout", np.linspace(0.05, 0.7, 14)),
        ):
            self.assertAllClose(by_kind[kind], expected, rtol=1e-3, atol=0)


if __name__ == "__main__":
    tf.test.main()
