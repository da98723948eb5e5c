import dataclasses
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import WeightMask
from reproduce.csordas2021.sequences import networks, pairs, stages
from reproduce.csordas2021.sequences.pairs import END

SETTINGS = stages.Settings(
    batch_size=8,
    network_steps=2,
    optimizer=lambda: stages.adam(1e-3, 3.0, epsilon=1e-9),
    mask_batch_size=10,
    mask_steps=2,
    mask_lr=0.5,
    beta=0.02,
    num_samples=2,
    keep_probability=0.9,
    clip_norm=3.0,
    log_steps=1,
    jit_compile=False,
    teacher_forcing=0.5,
)


class MaskedTest(tf.test.TestCase):
    def test_a_mask_trains_in_the_compiled_step(self):
        network = networks.lstm(4, 4, 2, 4, 1)
        model = stages.masked(SETTINGS, network)
        self.assertIs(stages.masked(SETTINGS, network), model)
        self.assertAlmostEqual(model.alpha, 0.002)
        self.assertEqual(model.optimizer.global_clipnorm, 3.0)
        self.assertAlmostEqual(float(model.optimizer.learning_rate), 0.5)
        source = np.array([[1, 2, END], [3, END, -1]] * 5, "int8")
        data = pairs.Sequences(source, source)
        stream = stages.batches(SETTINGS, data)
        model.fit(stream(10, 0, 0, 8), verbose=0)
        self.assertLess(model.weight_mask().keep_fraction, 1.0)
        roles = {path.rpartition("/")[2] for path in model.mask_logits}
        self.assertEqual(roles, {"kernel", "recurrent_kernel"})


class BatchesTest(tf.test.TestCase):
    def test_see_the_right_tokens_as_often_as_the_settings_say(self):
        data = pairs.Sequences(*[np.array([[1, 1, END]], "int8")] * 2)
        for share, expected in ((0.0, {True}), (1.0, {False})):
            settings = dataclasses.replace(SETTINGS, teacher_forcing=share)
            stream = stages.batches(settings, data)(2, 0, 0, 8)
            own = {bool(np.any(x["previous"] == -2)) for x, _ in stream}
            self.assertEqual(own, expected)


class AdamTest(parameterized.TestCase, tf.test.TestCase):
    def test_the_rate_rises_in_a_line_and_stays(self):
        optimizer = stages.adam(0.1, 1.0, 100, beta_2=0.995)
        rate = optimizer._learning_rate
        found = [float(rate(step)) for step in (0, 50, 100, 1000)]
        self.assertAllClose(found, [0.001, 0.0505, 0.1, 0.1], rtol=1e-5)
        self.assertEqual(optimizer.beta_2, 0.995)

    def test_without_a_warm_up_the_rate_is_one_number(self):
        optimizer = stages.adam(0.1, 2.0)
        self.assertAlmostEqual(float(optimizer.learning_rate), 0.1, places=6)
        self.assertEqual(optimizer.global_clipnorm, 2.0)


class DescribeTest(tf.test.TestCase):
    def test_two_extractions_are_read_beside_chance(self):
        first, again = (
            WeightMask({"d/kernel": np.arange(100) // 10 % 4 < count})
            for count in (1, 2)
        )
        found = stages.describe(first, again)
        both = 30 / 60  # 30 weights in the one, 60 in the other
        self.assertAllClose(found["jaccard"], both)
        self.assertAllClose(found["jaccard_by_chance"], 18 / (30 + 60 - 18))
        self.assertAllClose(found["keep_fraction"], 0.3)

    def test_empty_masks_are_no_number(self):
        empty = WeightMask({"d/kernel": np.zeros(3, bool)})
        found = stages.describe(empty, empty)
        self.assertIsNone(found["jaccard_by_chance"])


class ControlsTest(tf.test.TestCase):
    def test_score_random_masks_and_the_complement(self):
        network = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(9, name="dense")]
        )
        network.set_weights([np.ones((1, 9)), np.zeros(9)])
        mask = WeightMask(
            {"dense/kernel": np.array([[True] * 3 + [False] * 6])}
        )
        seen = {}

        def kept(model, data):
            seen[len(seen)] = model.get_weights()[0]
            return float(data + len(seen))

        with mock.patch.object(stages.sequence_scores, "accuracy", kept):
            found = stages.controls(_Stage(), network, mask, 5)
        self.assertEqual(found, {"random": 6.0, "complement": 7.0})
        self.assertEqual(np.sum(seen[0]), 3)
        self.assertNotAllEqual(seen[0] > 0, mask.values["dense/kernel"])
        self.assertAllEqual(seen[1] > 0, ~mask.values["dense/kernel"])


class SomeTest(tf.test.TestCase):
    def test_draws_distinct_examples(self):
        rows = np.arange(20, dtype="int8")[:, None]
        data = pairs.Sequences(rows, rows)
        few = stages.some(data, 5, 0)
        self.assertLen(np.unique(few.source), 5)
        self.assertAllEqual(few.source, few.target)
        self.assertIs(stages.some(data, 0, 0), data)
        self.assertIs(stages.some(data, 20, 0), data)


class _Stage:
    name = "scores_x"

    def derive_seed(self, *purpose):
        return 3


if __name__ == "__main__":
    tf.test.main()
