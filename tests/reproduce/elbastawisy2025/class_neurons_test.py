import dataclasses
import json

import numpy as np
import tensorflow as tf

from modularity_tf.neurons import rules, statistics
from reproduce.data import images
from reproduce.elbastawisy2025 import class_neurons, stages

CONFIG = stages.Config(datasets=("digits",), percentile=50.0)


def example_statistics(groups):
    """Returns `ClassStatistics` of so many groups of three rows."""
    rng = np.random.default_rng(0)
    shapes = {"a": 4, "out": 2}
    return statistics.ClassStatistics(
        np.full(groups, 3),
        {p: rng.uniform(size=(groups, n)) for p, n in shapes.items()},
        {p: rng.uniform(size=(groups, n)) / 9 for p, n in shapes.items()},
    )


class LoadTest(tf.test.TestCase):
    def test_score_images_cut_what_is_scored_on_and_nothing_else(self):
        config = dataclasses.replace(CONFIG, score_images=30)
        whole, data = (
            images.load("digits"),
            class_neurons.load(config, "digits"),
        )
        self.assertLen(data.validation.labels, 30)
        self.assertAllEqual(data.test.images, whole.test.images[:30])
        self.assertAllEqual(data.train.labels, whole.train.labels)


class HalvesTest(tf.test.TestCase):
    def test_every_class_is_cut_in_two(self):
        labels = np.array([0] * 10 + [1] * 7, "int32")
        split = images.Split(np.zeros((17, 1, 1, 1), "uint8"), labels)
        groups = class_neurons.halves(split, 2, seed=0)
        self.assertAllEqual(groups // 2, labels)
        self.assertAllEqual(np.bincount(groups), [5, 5, 4, 3])
        other = class_neurons.halves(split, 2, seed=1)
        self.assertNotAllEqual(groups, other)


class StatisticsTest(tf.test.TestCase):
    def test_come_back_from_json_as_they_were_and_merged_by_class(self):
        found = example_statistics(groups=4)
        text = json.dumps(class_neurons.to_json(found))
        by_class, by_half = class_neurons.by_class_and_half(json.loads(text))
        self.assertAllEqual(by_half.counts, found.counts)
        for name in ("mean", "standard_error"):
            for path, values in getattr(found, name).items():
                self.assertAllEqual(getattr(by_half, name)[path], values)
        self.assertAllEqual(by_class.counts, [6, 6])
        # Halves of one size: the mean of a class is that of its halves.
        expected = found.mean["a"].reshape(2, 2, 4).mean(axis=1)
        self.assertAllClose(by_class.mean["a"], expected)


class ChooseAllTest(tf.test.TestCase):
    def test_is_the_decision_of_each_class_without_the_output_layer(self):
        found = example_statistics(groups=3)
        by_threshold = class_neurons.choose_all(
            CONFIG, "threshold", found, ["out"]
        )
        self.assertLen(by_threshold, 3)
        for label, chosen in enumerate(by_threshold):
            expected = rules.threshold_neurons(found, label, percentile=50.0)
            self.assertEqual(list(chosen), ["a"])
            self.assertAllEqual(chosen["a"], expected.values["a"])
        masked = class_neurons.choose_all(
            CONFIG, "bayesian", found, ["out"], t_high=0.3
        )
        for label, chosen in enumerate(masked):
            expected = rules.bayesian_neurons(found, label, t_high=0.3)
            self.assertAllEqual(chosen["a"], expected.values["a"])
        self.assertGreater(np.sum([one["a"] for one in masked]), 0)
        default = class_neurons.choose_all(CONFIG, "bayesian", found, ["out"])
        self.assertNotAllEqual(
            *([one["a"] for one in each] for each in (masked, default))
        )

    def test_relative_masking_goes_with_the_scale_of_each_layer(self):
        found = example_statistics(groups=3)
        scaled = statistics.ClassStatistics(
            found.counts,
            *(
                {"a": 100 * values["a"], "out": values["out"]}
                for values in (found.mean, found.standard_error)
            ),
        )
        chosen, other = (
            class_neurons.choose_all(CONFIG, "relative", each, ["out"])
            for each in (found, scaled)
        )
        # Surely above the median of all twelve means: six at most.
        self.assertBetween(np.sum([one["a"] for one in chosen]), 1, 6)
        for one, same in zip(chosen, other, strict=True):
            self.assertAllEqual(one["a"], same["a"])

    def test_relative_masking_of_a_dead_layer_finds_nothing_on(self):
        zeros = {"a": np.zeros((3, 4)), "out": np.zeros((3, 2))}
        found = statistics.ClassStatistics(np.full(3, 3), zeros, zeros)
        chosen = class_neurons.choose_all(CONFIG, "relative", found, ["out"])
        self.assertEqual(np.sum([one["a"] for one in chosen]), 0)


if __name__ == "__main__":
    tf.test.main()
