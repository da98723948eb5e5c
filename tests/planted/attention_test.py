"""The truth about planted heads, by going through all sequences."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.planted import attention
from modularity_tf.planted.attention import TASKS


class BuildTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.planted = attention.make_induction(seed=1, pairs=1)

    def test_the_sequences_have_the_last_token_once_before(self):
        tokens = attention.sequences()
        self.assertLen({*map(tuple, tokens.tolist())}, 4 * 4 * 3**4)
        for row, (follower, before, first) in zip(
            tokens.tolist()[::97],
            attention.answers(tokens).tolist()[::97],
            strict=True,
        ):
            place = row.index(row[-1])
            self.assertNotIn(row[-1], row[place + 1 : -1])
            self.assertLess(place, len(row) - 2)
            expected = row[place + 1], row[-2], row[0]
            self.assertEqual((follower, before, first), expected)

    @parameterized.parameters(*range(len(TASKS)))
    def test_what_a_task_needs_is_sufficient_and_all_of_it_necessary(
        self, task
    ):
        needed = self.planted.weights(task, "needed")
        self.assertEqual(self.planted.accuracy(task), 1.0)
        self.assertEqual(self.planted.accuracy(task, needed), 1.0)
        for path, flags in needed.items():
            for place in zip(*np.nonzero(flags), strict=True):
                less = {p: v.copy() for p, v in needed.items()}
                less[path][place] = False
                self.assertLess(self.planted.accuracy(task, less), 0.95)

    @parameterized.parameters(*range(len(TASKS)))
    def test_of_heads_a_task_needs_all_that_are_said_and_no_other(self, task):
        inputs, labels = self.planted.data[task]
        _, accuracy = self.planted.objective(task)

        def right(heads):
            alone = NeuronSelection(heads).apply(self.planted.model)
            return np.mean(accuracy(labels, alone(inputs)))

        needed = self.planted.units[task]
        self.assertEqual(right(needed), 1.0)
        for path, flags in needed.items():
            for head in np.flatnonzero(flags):
                less = {p: v.copy() for p, v in needed.items()}
                less[path][head] = False
                self.assertLess(right(less), 0.95)

    @parameterized.parameters(*range(len(TASKS)))
    def test_the_rest_can_go_kind_by_kind_and_does_not_answer(self, task):
        planted = self.planted
        inputs, _ = planted.data[task]
        whole = planted.logits(inputs)[:, planted.columns[task]]
        for kind in ("other", "unread", "silent", "pair"):
            gone = planted.weights(task, kind)
            self.assertGreater(sum(flags.sum() for flags in gone.values()), 15)
            kept = {path: ~flags for path, flags in gone.items()}
            found = planted.logits(inputs, kept)[:, planted.columns[task]]
            if kind == "other":
                self.assertEqual(planted.accuracy(task, kept), 1.0)
            else:
                self.assertAllClose(found, whole, atol=1e-4)
        needed = planted.weights(task, "needed")
        rest = {path: ~flags for path, flags in needed.items()}
        self.assertLess(planted.accuracy(task, rest), 0.5)

    def test_one_of_a_pair_of_heads_alone_is_missed(self):
        pair = self.planted.weights(0, "pair")["attend1/query/kernel"]
        (heads,) = np.nonzero(pair.any(axis=(0, 2)))
        self.assertLen(heads, 2)
        kept = {
            path: np.ones_like(flags)
            for path, flags in self.planted.weights(0).items()
        }
        kept["attend1/attention_output/kernel"][heads[0]] = False
        self.assertLess(self.planted.accuracy(0, kept), 0.95)

    def test_unread_heads_fire_and_silent_ones_do_not(self):
        planted = self.planted
        inputs, _ = planted.data[0]
        layer = planted.model.get_layer("attend0")
        embedded = planted.model.get_layer("embed")(inputs)
        for kind, fires in (("unread", True), ("silent", False)):
            flags = planted.weights(0, kind)["attend0/value/kernel"]
            values = layer.value_dense.kernel.numpy() * flags
            found = np.einsum("blw,whs->blhs", embedded.numpy(), values)
            self.assertEqual(bool(np.abs(found).max() > 0.1), fires)

    def test_of_edges_a_task_needs_all_that_are_said_and_no_other(self):
        for task in range(len(TASKS)):
            edges = self.planted.needed[task].edges
            self.assertEqual(self.right_with(edges, task), 1.0)
            for edge in edges:
                found = self.right_with(edges - {edge}, task)
                self.assertLess(found, 0.95, edge)

    def right_with(self, edges, task):
        """Returns how many answers are right with some edges, in NumPy."""
        planted, weights = self.planted, {}
        for w in planted.model.weights:
            weights[w.path] = w.numpy()
        inputs, labels = planted.data[task]
        stream = {"embed": weights["embed/embeddings"][inputs]}

        def read(name):
            none = np.zeros_like(stream["embed"])
            return none + sum(
                x for n, x in stream.items() if (n, name) in edges
            )

        for layer in ("attend0", "attend1"):
            kernels = {
                part: weights[f"{layer}/{part}/kernel"]
                for part in ("query", "key", "value", "attention_output")
            }
            written = {}
            for head in range(kernels["query"].shape[1]):
                q, k, v = (
                    read(f"{layer}/{head}/{part}") @ kernels[part][:, head]
                    for part in ("query", "key", "value")
                )
                logits = q @ k.swapaxes(1, 2) / q.shape[-1] ** 0.5
                attended = np.exp(logits - logits.max(axis=2, keepdims=True))
                attended /= attended.sum(axis=2, keepdims=True)
                output = kernels["attention_output"][head]
                written[f"{layer}/{head}"] = attended @ v @ output
            stream |= written
        logits = read("readout")[:, -1] @ weights["readout/kernel"]
        own = logits[:, planted.columns[task]].argmax(axis=1)
        return np.mean(own == labels[:, task])

    def test_before_and_follower_share_a_head(self):
        heads = [
            self.planted.weights(task, "needed")["attend0/value/kernel"].any(
                axis=(0, 2)
            )
            for task in range(3)
        ]
        self.assertEqual(heads[0].sum(), 1)
        self.assertAllEqual(heads[0], heads[1])
        self.assertFalse(heads[2].any())

    def test_the_seed_decides_what_hides_it(self):
        same, other = (
            attention.make_induction(seed=s, pairs=1) for s in (1, 2)
        )
        name = "attend0/query/kernel"
        self.assertAllEqual(same.kinds[0][name], self.planted.kinds[0][name])
        self.assertNotAllEqual(
            other.kinds[0][name], self.planted.kinds[0][name]
        )


if __name__ == "__main__":
    tf.test.main()
