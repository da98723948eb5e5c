from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from modularity_tf import WeightMask
from reproduce.csordas2021.sequences import networks, pairs, stages
from reproduce.csordas2021.sequences.pairs import END
from tests.reproduce.csordas2021 import tiny


def subject_of(data, **more):
    values = {
        "settings": tiny.settings(mask_lr=0.5),
        "build": lambda: networks.lstm(4, 4, 2, 4, 1),
    }
    others = ("name", "folder", "seed", "data", "optimizer")
    given = {name: getattr(tiny.subject(), name) for name in others}
    return stages.subject_of(
        "lstm", lambda task: data, None, **{**given, **values, **more}
    )


class SubjectTest(tf.test.TestCase):
    def test_a_mask_trains_in_the_compiled_step(self):
        source = np.array([[1, 2, END], [3, END, -1]] * 5, "int8")
        subject = subject_of(pairs.Sequences(source, source))
        model = subject.masked(subject.network())
        model.fit(subject.batches("task")(10, 0, 0, 8), verbose=0)
        self.assertLess(model.weight_mask().keep_fraction, 1.0)
        roles = {path.rpartition("/")[2] for path in model.mask_logits}
        self.assertEqual(roles, {"kernel", "recurrent_kernel"})

    def test_batches_see_the_right_tokens_as_often_as_is_said(self):
        data = pairs.Sequences(*[np.array([[1, 1, END]], "int8")] * 2)
        for share, expected in ((0.0, {True}), (1.0, {False})):
            subject = subject_of(data, teacher_forcing=share)
            stream = subject.batches("task")(2, 0, 0, 8)
            own = {bool(np.any(x["previous"] == -2)) for x, _ in stream}
            self.assertEqual(own, expected)


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

        with mock.patch.object(stages.scores, "accuracy", kept):
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
