import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.continual import permuted_mnist_claims
from tests.reproduce import checking


def layer(shared, kept=100, expected=10, occupied=150):
    return {
        "kept": kept,
        "shared": shared,
        "expected": expected,
        "occupied": occupied,
        "size": 200,
    }


def record(new_logit=2.0, seed=0, first=10, output=20, filled=180, again=60):
    """Returns a record of three tasks with two layers.

    Args:
        new_logit: Float.
        seed: Int.
        first: Int, weights of 100 that the first layer shares.
        output: Int, weights of 100 that the output layer shares.
        filled: Int, weights of 200 that are used in the output layer.
        again: Int, weights of 100 that either layer shares when the first task
            is learned once more.
    """
    task = {
        "accuracy": 0.95,
        "layers": [layer(first), layer(output, occupied=filled)],
    }
    return {
        "data": "made up",
        "classes": 10,
        "new_logit": new_logit,
        "seed": seed,
        "layers": ["hidden1", "output"],
        "tasks": [task] * 3,
        "again": {"accuracy": 0.95, "layers": [layer(again)] * 2},
        "accuracy_at_end": [0.95] * 3,
    }


def checked(records):
    return checking.checked(permuted_mnist_claims.claims(records))


class ShareTest(absltest.TestCase):
    def test_is_relative_to_the_weights_that_the_task_keeps(self):
        made = record(first=10, output=40)
        made["tasks"][1]["layers"][1] = layer(40, kept=300, expected=30)
        share = permuted_mnist_claims.share
        np.testing.assert_allclose(
            share(made["tasks"][1]), [0.1, 40 / 300, 50 / 400]
        )
        chance = share(made["tasks"][1], "expected")
        np.testing.assert_allclose(chance, [0.1, 0.1, 0.1])


class ClaimsTest(parameterized.TestCase):
    @parameterized.parameters((180, "agrees"), (100, "differs"))
    def test_the_output_layer_fills_first(self, filled, verdict):
        made = [record(seed=seed, filled=filled) for seed in range(2)]
        found = checked(made)["output_fills_first"]
        self.assertEqual(found["verdict"], verdict)
        self.assertAlmostEqual(found["mean"], (filled - 150) / 200)

    @parameterized.parameters((60, 0.45, "agrees"), (10, -0.05, "differs"))
    def test_the_first_task_once_more_is_the_ceiling(
        self, again, mean, verdict
    ):
        made = [record(seed=seed, again=again) for seed in range(2)]
        found = checked(made)["sharing_under_repeat"]
        self.assertAlmostEqual(found["mean"], mean)
        self.assertEqual(found["verdict"], verdict)

    def test_starts_are_compared_seed_by_seed(self):
        plain = [record(2.0, seed, 10 * seed, 10 * seed) for seed in (1, 2)]
        biased = [
            record(-1.0, seed, 10 * seed + 20, 10 * seed) for seed in (2, 1)
        ]
        found = checked([*plain, *biased])
        more = found["more_sharing"]
        np.testing.assert_allclose(more["values"], [0.1, 0.1])
        self.assertEqual((more["verdict"], more["null"]), ("agrees", 0.0))
        more = found["more_in_first_layer"]
        np.testing.assert_allclose(more["values"], [0.2, 0.2])

    @parameterized.parameters(
        (5, "agrees"), (40, "undetermined"), (60, "differs")
    )
    def test_half_of_the_weights_must_remain_unique(self, shared, verdict):
        made = [
            record(logit, seed, shared, shared)
            for logit in (2.0, 0.0)
            for seed in range(2)
        ]
        found = checked(made)["last_task_sharing"]
        self.assertEqual(
            (found["verdict"], found["source"]), (verdict, "paper")
        )
        self.assertAlmostEqual(found["null"], 0.1)

    def test_a_start_alone_has_no_comparison(self):
        self.assertEqual([*checked([record(-1.0)])], ["accuracy"])


class DrawTest(absltest.TestCase):
    def test_figures_are_numbered_as_in_the_paper(self):
        figures = permuted_mnist_claims.draw(
            [record(2.0), record(-1.0), record(0.5, first=30)]
        )
        self.assertEqual(
            set(figures),
            {"fig03_sharing", "fig15b_sharing", "fig15_logit0.5_sharing"},
        )
        bars = figures["fig15_logit0.5_sharing"].axes[0].patches
        np.testing.assert_allclose(
            [bar.get_height() for bar in bars], [60, 60, 60, *2 * (30, 20, 25)]
        )


if __name__ == "__main__":
    absltest.main()
