import dataclasses

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.masking import judging, masked_model
from modularity_tf.network import evaluation, scoring

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")
KERNEL = np.array([[3.0], [1.0], [1.0], [0.0]], "float32")


def judge_of(
    metrics=("accuracy",), performance=None, training=(X[:200], Y[:200])
):
    """Returns a `Judge`; the last 100 rows are for validation."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(1, "sigmoid", name="out")]
    )
    model.set_weights([KERNEL, np.zeros(1)])
    model.compile("adam", "binary_crossentropy", metrics=[*metrics])
    objective = scoring.objective(model, None, None)
    judge = judging.Judge(
        masked_model.MaskedModel(model, num_samples=None),
        evaluation.Evaluation(model, objective, performance, learns=True),
        training,
        (X[200:], Y[200:]),
        batch_size=64,
        seed=0,
    )
    judge.measure_whole(True)
    return judge


def answers(kept, x):
    return x @ (KERNEL * kept) > 0


class JudgeTest(parameterized.TestCase, tf.test.TestCase):
    def test_shares_are_of_right_answers_on_both_parts_together(self):
        judge = judge_of()
        kept = np.array([[False], [True], [False], [False]])
        found = judge({"out/kernel": kept})
        here = X[200:], Y[200:] > 0
        right, whole = (
            (answers(keep, here[0]) == here[1])[:, 0]
            for keep in (kept, np.ones((4, 1)))
        )
        zero = max(here[1].mean(), 1 - here[1].mean())
        self.assertAllClose(found.performance, right.mean())
        span = whole.mean() - zero
        self.assertAllClose(found.share, (right.mean() - zero) / span)
        gains = right.astype(float) - whole
        error = np.sqrt((gains.var() + 1 / 100) / 100) / span
        self.assertAllClose(found.error, error, rtol=1e-5)
        there = X[:200], Y[:200] > 0
        parts = [
            np.mean(answers(keep, there[0]) == there[1])
            for keep in (kept, np.ones((4, 1)))
        ]
        in_training = (parts[0] - zero) / (parts[1] - zero)
        expected = (100 * found.share + 200 * in_training) / 300
        self.assertAllClose(found.overall, expected, rtol=1e-5)
        self.assertLess(found.overall_error, found.error)

    @parameterized.parameters(("accuracy",), ())
    def test_the_order_of_a_stream_says_nothing_of_a_mask(self, *metrics):
        rows = tf.data.Dataset.from_tensor_slices((X[:190], Y[:190]))
        shuffled = rows.batch(60).shuffle(4)  # and one of them is smaller
        kept = {"out/kernel": np.array([[True], [True], [True], [False]])}
        found = judge_of(metrics, training=shuffled)(kept)
        # It loses nothing: the last weight is 0.
        self.assertAllClose([found.share, found.overall], [1.0, 1.0])
        arrays = judge_of(metrics, training=(X[:190], Y[:190]))(kept)
        self.assertAllClose(found.overall_error, arrays.overall_error)
        self.assertTrue(found.performs())

    def test_of_losses_the_error_is_that_of_their_mean(self):
        judge = judge_of(metrics=())
        kept = np.array([[True], [True], [False], [False]])
        found = judge({"out/kernel": kept})

        def losses(keep):
            logits = X[200:] @ (KERNEL * keep)
            return np.log1p(np.exp(-logits * (2 * Y[200:] - 1)))[:, 0]

        whole, mask = losses(np.ones((4, 1))), losses(kept)
        nothing = np.log(2)
        span = nothing - whole.mean()
        self.assertAllClose(
            found.share, (nothing - mask.mean()) / span, rtol=1e-3
        )
        error = np.std(whole - mask) / np.sqrt(100) / span
        self.assertAllClose(found.error, error, rtol=1e-3)

    def test_a_metric_of_the_user_is_a_mean_of_examples_or_has_no_error(self):
        def twice_right(y, x):
            return 2.0 * tf.cast((x > 0.5) == (y > 0), tf.float32)

        kept = {"out/kernel": np.array([[True], [False], [True], [True]])}
        accuracy = judge_of()(kept)
        self.assertGreater(accuracy.error, 0.0)
        for performance, error in (
            (keras.metrics.MeanMetricWrapper(twice_right), accuracy.error),
            (keras.metrics.AUC(), 0.0),
        ):
            found = judge_of(performance=performance)(kept)
            self.assertAllClose(found.error, error, rtol=0.2)


class RulesTest(parameterized.TestCase):
    def test_a_rule_that_few_examples_need_is_seen_to_be_lost(self):
        # One of three inputs decides alone, for a twentieth of the examples.
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(1, "sigmoid", name="out")]
        )
        model.set_weights([np.array([[9.0], [99.0]]), np.array([-4.5])])
        x = np.zeros((400, 2), "float32")
        x[::2, 0], x[1::20, 1] = 1, 1
        y = x.max(axis=1, keepdims=True)
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        objective = scoring.objective(model, None, None)
        judge = judging.Judge(
            masked_model.MaskedModel(model, num_samples=None),
            evaluation.Evaluation(model, objective, None, learns=True),
            (x, y),
            (x, y),
            batch_size=64,
            seed=0,
        )
        judge.measure_whole(True)
        kept = np.array([[True], [True]])
        self.assertFalse(judge({"out/kernel": kept}).loses_rule)
        kept = np.array([[True], [False]])
        self.assertTrue(judge({"out/kernel": kept}).loses_rule)


class JudgedTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("less_than_an_error_above", {"overall": 0.954}, True),
        ("validation_data_contradict", {"error": 0.004}, False),
        ("a_rule_is_lost", {"loses_rule": True}, True),
        ("too_little", {"overall": 0.94}, False),
    )
    def test_a_mask_is_refused(self, changes, may_pass):
        sound = judging.Judged(0.94, 0.94, 0.01, 0.96, 0.005)
        self.assertTrue(sound.performs())
        doubted = dataclasses.replace(sound, **changes)
        self.assertFalse(doubted.performs())
        self.assertEqual(doubted.performs(surely=False), may_pass)


if __name__ == "__main__":
    tf.test.main()
