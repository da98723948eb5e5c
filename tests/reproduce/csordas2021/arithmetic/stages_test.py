import dataclasses
import gc
import json
import tempfile
import weakref

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import WeightMask
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.arithmetic import data, stages
from reproduce.running.run import Run

TINY = stages.Config(
    digits=1,
    sizes=(16, 12),
    hidden_size=8,
    lstm_layers=1,
    batch_size=32,
    network_steps=20,
    mask_batch_size=32,
    mask_steps=20,
    mask_lr=0.2,
    beta=1e-2,
    log_steps=10,
)


def add_mul(config=TINY, seed=3):
    return stages.subject_of(config, seed, "fnn", config.sizes)


def completed(masks=(), again=(), search=None):
    """Returns a record of two pairs whose masks are alike but for some."""
    same = dict.fromkeys(("full", "pair1", "pair2"), _Mask())
    return stages.complete(
        stages.subject_of(TINY, 0, "x", (), "passes"),
        {"alpha_search": search},
        {**same, **dict(masks)},
        {**same, **dict(again)},
    )


class ConfigTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("network", {"network": "rnn"}, "one of fnn, lstm, got 'rnn'"),
        ("sizes", {"sizes": (16, 0)}, "--sizes must be .* got '16,0'"),
        ("hidden", {"hidden_size": 0}, "--hidden_size must be at least 1"),
        ("layers", {"lstm_layers": 0}, "--lstm_layers must be at least 1"),
        ("digits", {"digits": 9}, "--digits must be at least 1, at most 3"),
        ("held_out", {"held_out_fraction": 1.0}, "--held_out_fraction must be"),
        (
            "all_held_out",
            {"held_out_fraction": 0.999},
            "=0.999 of 100 pairs leaves 0 to train on and 100 to test",
        ),
        (
            "none_held_out",
            {"held_out_fraction": 0.001},
            "=0.001 of 100 pairs leaves 100 to train on and 0 to test",
        ),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)


class PlanTest(tf.test.TestCase):
    def test_every_training_and_every_score_is_a_stage(self):
        config = dataclasses.replace(TINY, held_out_fraction=0.2)
        run = Run(config, "test")
        stages.plan_record(run, add_mul(config))
        names = (
            "network",
            "scores_dense",
            *(f"mask_{task}" for task in ("full", "add", "mul")),
            "mask_add_again",
            "mask_mul_again",
            *(f"scores_{task}" for task in ("full", "add", "mul")),
            "scores_not_add",
            "scores_not_mul",
            "scores_held_out",
        )
        self.assertCountEqual(run.stages, [f"fnn/seed3/{n}" for n in names])
        self.assertEqual(
            run.steps_left(), {"fnn: network": 20, "fnn: masks": 100, None: 0}
        )
        self.assertEqual({s.seed for s in run.stages.values()}, {3})

    def test_the_networks_of_a_run_may_differ_in_size(self):
        for sizes in ((5,), (7, 3)):
            network = stages.subject_of(TINY, 0, "x", sizes).build()
            units = tuple(layer.units for layer in network.layers[:-2])
            self.assertEqual(units, sizes)


class LstmTest(tf.test.TestCase):
    def test_pairs_in_turn_train_a_network_and_a_mask_of_one_pair(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        config = dataclasses.replace(TINY, network="lstm", output_dir=folder)
        run = Run(config, "test")
        subject = stages.subject_of(config, 0, "lstm", (), "in_turn")
        network, dense = stages.plan_network(run, subject)
        mask = mask_training.plan_mask(run, subject, network, "pair2", "pair2")
        with run:
            network, dense, mask = run.carry_out([network, dense, mask])
        self.assertEqual(network.input_shape, (None, 2, 40))
        self.assertEqual(set(dense), {"pair1", "pair2"})
        kernels = ["lstm1/lstm_cell/kernel", "lstm1/lstm_cell/recurrent_kernel"]
        self.assertEqual(list(mask.values), [*kernels, "output/kernel"])
        self.assertBetween(mask.keep_fraction, 0.0, 0.99)


class CompleteTest(tf.test.TestCase):
    def test_beta_is_that_of_the_search_if_there_was_one(self):
        for search, beta in ((None, 1e-2), ({"alpha": 0.5}, 16.0)):
            found = completed(search=search)
            self.assertEqual(found["beta"], beta)
        self.assertEqual(found["layers"], ["hidden1"])
        self.assertEqual(found["kept"]["pair1"], [2])
        total = found["sharing"]["pair1"][-1]
        self.assertAllClose((total["share"], total["expected"]), (1, 0.5))

    def test_the_ceiling_is_what_a_task_shares_with_its_mask_found_again(self):
        found = completed(again={"pair1": _Mask(kept=1)})["sharing"]
        self.assertEqual([e["ceiling"] for e in found["pair1"]], [0.5, 0.5])
        self.assertEqual([e["ceiling"] for e in found["pair2"]], [1, 1])

    def test_what_a_mask_without_weights_shares_is_none(self):
        nothing = {"pair1": _Mask(kept=0)}
        found = completed(nothing, nothing)
        nothing = {
            "share": None,
            "expected": None,
            "ceiling": None,
            "jaccard": 0.0,
        }
        self.assertEqual(found["sharing"]["pair1"], [nothing] * 2)
        self.assertIsNone(found["excess"]["mean"])
        json.dumps(found, allow_nan=False)


class _Mask:
    def __init__(self, kept=2):
        self.values = {"hidden1/kernel": np.arange(4) < kept}
        self.keep_fraction = kept / 4


class MemoryTest(tf.test.TestCase):
    def test_masks_are_freed_once_their_record_is_complete(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        run = Run(dataclasses.replace(TINY, output_dir=folder), "test")
        read, alive = [], []

        def count(mask):
            read.append(weakref.ref(mask))
            gc.collect()
            alive.append(sum(each() is not None for each in read))
            return mask.keep_fraction

        records = [
            run.combine(count, run.stage(f"mask{i}", _make_mask))
            for i in range(3)
        ]
        with run:
            self.assertEqual(run.carry_out(records), [0.5] * 3)
        self.assertEqual(alive, [1, 1, 1])


def _make_mask(stage):
    return WeightMask({"d/kernel": np.array([True, False])})


class AllDigitsRightTest(tf.test.TestCase):
    def test_every_digit_that_is_asked_for_counts(self):
        labels = [[1, 2], [1, 2], [1, -1], [-1, 2]]
        answers = [[1, 2], [1, 3], [1, 9], [1, 3]]
        right = stages.all_digits_right(labels, tf.one_hot(answers, 10))
        self.assertAllEqual(right, [1, 0, 1, 0])


class LossTest(tf.test.TestCase):
    def test_digits_that_are_not_asked_for_do_not_count(self):
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(3, 2, 10)).astype("float32")
        labels = np.array([[1, -1], [4, -1], [7, -1]])
        loss = add_mul().loss(labels, logits)
        log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = -np.mean([log[i, 0, labels[i, 0]] for i in range(3)])
        self.assertAllClose(loss, expected, rtol=1e-5)


class AccuracyTest(tf.test.TestCase):
    def test_scores_the_pairs_that_are_given(self):
        problem = data.AddMul(1, data.operand_pairs(1)[0])

        def model(inputs):  # adds without a carry: right below 10, and mod 10
            total = np.argmax(inputs[:, :10], -1) + np.argmax(
                inputs[:, 10:20], -1
            )
            return tf.one_hot(np.where(total < 10, total, 0), 10)[:, None]

        right = np.mean([a + b <= 10 for a, b in problem.pairs])
        found = stages.accuracy(model, problem, "add")
        self.assertAllClose(found, right)
        few = np.array([[1, 2], [9, 9]], "int32")
        found = stages.accuracies(model, problem, ("add",), few)
        self.assertAllClose(found, {"add": 0.5})


class LayerNameTest(tf.test.TestCase):
    def test_tells_recurrent_kernels_apart(self):
        name = stages.layer_name
        self.assertEqual(name("hidden1/kernel"), "hidden1")
        self.assertEqual(
            name("lstm1/lstm_cell/recurrent_kernel"), "lstm1 recurrent"
        )
        self.assertEqual(name("lstm1/lstm_cell/kernel"), "lstm1")


if __name__ == "__main__":
    tf.test.main()
