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


def judge_of(metrics=("accuracy",)):
    """Returns a `Judge`; the last 100 rows are for validation."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(1, "sigmoid", name="out")]
    )
    model.set_weights([KERNEL, np.zeros(1)])
    model.compile("adam", "binary_crossentropy", metrics=[*metrics])
    objective = scoring.objective(model, None, None)
    judge = judging.Judge(
        masked_model.MaskedModel(model, num_samples=None),
        evaluation.Evaluation(model, objective, None, learns=True),
        (X[:200], Y[:200]),
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

    def test_a_metric_of_the_user_has_no_error(self):
        def balanced_accuracy(y, x):
            return tf.where(y > 0, 2.0, 1.0) * tf.cast(
                (x > 0.5) == (y > 0), tf.float32
            )

        judge = judge_of(metrics=(balanced_accuracy,))
        found = judge({"out/kernel": np.ones((4, 1), bool)})
        self.assertAllClose(found.share, 1.0)
        self.assertEqual(found.error, 0.0)


class JudgedTest(parameterized.TestCase):
    def test_validation_data_that_contradict_refuse_a_mask(self):
        sound = judging.Judged(0.94, 0.94, 0.01, 0.96, 0.005)
        self.assertTrue(sound.performs())
        for changes in (
            {"overall": 0.954},  # less than a standard error
            {"error": 0.004},  # 2.5 of them below
        ):
            self.assertFalse(dataclasses.replace(sound, **changes).performs())


if __name__ == "__main__":
    tf.test.main()
