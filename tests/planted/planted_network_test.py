import dataclasses

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import modularity_tf as mtf
from modularity_tf.planted import planted_network
from modularity_tf.planted.planted_network import KINDS


def small():
    """Returns a linear network of two tasks, the second of classes."""
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3, use_bias=False, name="out")]
    )
    kernel = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]], "float32")
    model.set_weights([kernel])
    needed, other, absent = map(KINDS.index, ("needed", "other", "absent"))
    return planted_network.Planted(
        model,
        np.array([[1, 0], [-1, 0], [1, 1], [2, 1]], "float32"),
        np.array([[1, 0], [0, 1], [1, 1], [0, 1]], "float32"),
        [
            {
                "out/kernel": np.array(
                    [[needed, other, absent], [absent, absent, other]]
                )
            },
            {
                "out/kernel": np.array(
                    [[other, needed, absent], [absent, absent, needed]]
                )
            },
        ],
        columns=[slice(0, 1), slice(1, 3)],
        rows=[np.array([0, 1, 2]), np.array([0, 1, 2, 3])],
    )


class PlantedTest(parameterized.TestCase, tf.test.TestCase):
    def test_weights_of_several_kinds(self):
        found = small().weights(0, "needed", "other")["out/kernel"]
        self.assertAllEqual(found, [[True, True, False], [False, False, True]])

    def test_a_bit_has_one_logit_and_a_class_one_each(self):
        planted = small()
        for task, accuracy in ((0, 1.0), (1, 1.0)):
            self.assertEqual(planted.accuracy(task), accuracy)
            inputs, labels = planted.data[task]
            loss, _ = planted.objective(task)
            self.assertLen(inputs, len(planted.rows[task]))
            logits = planted.logits(inputs)[:, planted.columns[task]]
            own = labels[:, task].astype(int)
            if task == 0:
                logits = np.concatenate([0 * logits, logits], axis=1)
            logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
            self.assertAllClose(
                np.ravel(loss(labels, planted.logits(inputs))),
                -logits[np.arange(len(own)), own],
                atol=1e-5,
            )

    def test_with_some_weights_alone_and_the_model_as_it_was(self):
        planted = small()
        before = planted.model.get_weights()[0].copy()
        part = planted.weights(1, "needed")
        logits = planted.logits(planted.inputs, part)
        self.assertAllEqual(logits[:, 0], [0, 0, 0, 0])
        self.assertEqual(planted.accuracy(0, part), 1 / 3)
        self.assertEqual(planted.accuracy(0, mtf.WeightMask(part)), 1 / 3)
        self.assertEqual(planted.accuracy(1, part), 1.0)
        self.assertAllEqual(planted.model.get_weights()[0], before)

    def test_a_split_has_no_example_twice(self):
        planted = small()
        (first, _), (second, _) = planted.split(1, 9, seed=0)
        self.assertEqual((len(first), len(second)), (2, 2))
        both = np.concatenate([first, second])
        self.assertLen({*map(tuple, both.tolist())}, 4)

    def test_the_shuffled_twin_has_the_weights_in_other_places(self):
        planted = small()
        twin = planted.shuffled(seed=3)
        one, other = (p.model.get_weights()[0] for p in (planted, twin))
        self.assertAllEqual(np.sort(one.ravel()), np.sort(other.ravel()))
        self.assertNotAllEqual(one, other)
        self.assertAllEqual(one, small().model.get_weights()[0])

    def test_needed_is_a_finding_of_each_task(self):
        planted = small()
        first, second = planted.needed
        self.assertIsInstance(first.weights, mtf.WeightMask)
        self.assertEqual(first.weights.values["out/kernel"].sum(), 1)
        self.assertEqual(second.weights.values["out/kernel"].sum(), 2)
        self.assertIsNone(first.units)
        units = [{"out": np.array([True, False, False])}] * 2
        found = dataclasses.replace(planted, units=units).needed[1]
        self.assertEqual(found.units.keep_fraction, 1 / 3)
        self.assertIsNone(found.heads)

    def test_data_are_the_examples_of_each_task(self):
        first, second = small().data
        self.assertEqual([len(x) for x, _ in (first, second)], [3, 4])
        self.assertEqual(first[1].shape, (3, 2))

    def test_wrong_labels_are_other_ones_and_as_many_as_said(self):
        n = 4000
        planted = dataclasses.replace(
            small(),
            inputs=np.zeros((n, 2), "float32"),
            labels=np.stack([np.ones(n), np.arange(n) % 2], 1),
            rows=None,
        )
        noisy = planted.with_label_noise(0.3, seed=1)
        self.assertAllEqual(np.unique(noisy.labels), [0, 1])
        wrong = np.mean(noisy.labels != planted.labels, axis=0)
        # One seed in 1e8 is off by six standard deviations.
        self.assertAllClose(wrong, [0.3, 0.3], atol=6 * (0.21 / n) ** 0.5)
        again = planted.with_label_noise(0.3, seed=1)
        self.assertAllEqual(again.labels, noisy.labels)
        none = planted.with_label_noise(0, seed=1)
        self.assertAllEqual(none.labels, planted.labels)
        every = planted.with_label_noise(1.0, seed=1)
        self.assertFalse(np.any(every.labels == planted.labels))

    def test_of_several_classes_every_wrong_one_is_drawn(self):
        planted = dataclasses.replace(
            small(),
            columns=[slice(0, 1), slice(0, 3)],
            labels=np.zeros((300, 2)),
        )
        every = planted.with_label_noise(1.0).labels[:, 1]
        self.assertAllEqual(np.unique(every), [1, 2])

    def test_is_drawn_with_a_panel_for_each_kernel(self):
        fig = small().plot(1)
        (ax,) = fig.axes
        self.assertEqual(ax.get_title(), "out/kernel")
        self.assertAllEqual(
            ax.images[0].get_array(), small().kinds[1]["out/kernel"]
        )

    @parameterized.named_parameters(
        ("kind", lambda p: p.weights(0, "useless"), "`kinds` must be some of"),
        ("task", lambda p: p.weights(2), r"`task` must be an int in \[0, 2\)"),
        ("no_task", lambda p: p.objective(-1), "`task` must be an int in"),
        ("weight", lambda p: p.accuracy(0, {"x": 1}), "`kept` has 'x'"),
        (
            "shape",
            lambda p: p.accuracy(0, {"out/kernel": np.ones((2, 1))}),
            r"`kept` must have shape \(2, 3\) at 'out/kernel', got \(2, 1\)",
        ),
        ("count", lambda p: p.split(0, 0), "`count` must be a positive"),
        ("noise", lambda p: p.with_label_noise(2), r"`share` must be in \["),
        (
            "seed",
            lambda p: p.with_label_noise(0.1, seed=-1),
            "`seed` must be an int",
        ),
    )
    def test_refuses(self, ask, message):
        with self.assertRaisesRegex(ValueError, message):
            ask(small())


if __name__ == "__main__":
    tf.test.main()
