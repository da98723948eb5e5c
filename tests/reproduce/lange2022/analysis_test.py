import dataclasses
import json

import keras
import numpy as np
import tensorflow as tf

from modularity_tf.units import clustering, similarity
from reproduce.data import images
from reproduce.lange2022 import analysis, stages

CONFIG = dataclasses.replace(
    stages.Config(),
    sizes=(8, 6),
    search_steps=2000,
    restarts=2,
    subsample=1.0,
    permutations=2,
    score_images=40,
)
RNG = np.random.default_rng(0)
TEST = images.Split(
    RNG.integers(0, 256, (50, 3, 3, 1)).astype("uint8"),
    RNG.integers(0, 4, 50).astype("int32"),
)


def network(scale=1.0):
    shapes = [(9, 8), (8, 6), (6, 4)]
    kernels = [scale * RNG.normal(size=s).astype("float32") for s in shapes]
    biases = [RNG.normal(size=s[1]).astype("float32") for s in shapes]
    return kernels, biases


def planted(groups):
    """Returns a similarity of units that are alike within a group."""
    groups = np.array(groups)
    matrix = np.where(groups[:, None] == groups, 1.0, 0.1)
    matrix[groups < 0] = matrix[:, groups < 0] = 0.0
    return matrix


class ScoreTest(tf.test.TestCase):
    def test_matches_keras(self):
        kernels, biases = network()
        kernels[0][0, :4] = [9e-4, -9e-4, 1.1e-3, 0.0]
        x = RNG.uniform(size=(30, 9)).astype("float32")
        y = RNG.integers(0, 4, 30)
        layers = [keras.layers.Dense(n, "relu") for n in (8, 6)]
        model = keras.Sequential([*layers, keras.layers.Dense(4)])
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        model.build((None, 9))
        pairs = zip(kernels, biases, strict=True)
        model.set_weights([weight for pair in pairs for weight in pair])
        found = analysis.score(kernels, biases, x, y)
        loss, accuracy = model.evaluate(x, y, verbose=0)
        self.assertAllClose(found["loss"], loss)
        self.assertAllClose(found["accuracy"], accuracy)
        weights = np.concatenate([k.ravel() for k in kernels])
        self.assertAllClose(found["l2_norm"], np.linalg.norm(weights))
        self.assertAllClose(found["l1_norm"], np.linalg.norm(weights, 1))
        self.assertAllClose(
            found["sparsity"] * weights.size, np.sum(np.abs(weights) <= 1e-3)
        )


class AnalyzeTest(tf.test.TestCase):
    def test_q_is_that_of_the_similarities_on_the_test_images(self):
        networks = [network(), network()]
        records = analysis.analyze(CONFIG, TEST, networks, seed=1)
        for (kernels, biases), record in zip(networks, records, strict=True):
            x = TEST.images[:40].reshape(40, -1) / np.float32(255)
            matrices = similarity.relu_similarities(kernels, biases, x)
            self.assertLen(record["layers"], 2)
            for layer, own in zip(record["layers"], matrices, strict=True):
                for m, measure in enumerate(similarity.MEASURES):
                    matrix = own[measure]
                    spectral = clustering.spectral_clusters(matrix)
                    start = clustering.modularity(matrix, spectral)
                    self.assertAllClose(layer["q_spectral"][m], start)
                    # So small a layer is searched to the end by any seed.
                    best = clustering.find_clusters(matrix, steps=2000, seed=5)
                    best = clustering.modularity(matrix, best)
                    self.assertAllClose(layer["q"][m], best, atol=2e-3)

    def test_a_network_below_the_least_accuracy_has_scores_alone(self):
        networks = [network(), network(), network()]
        every = analysis.analyze(CONFIG, TEST, networks, seed=1)
        accuracies = [r["accuracy"] for r in every]
        least, best = max(accuracies), int(np.argmax(accuracies))
        self.assertLess(min(accuracies), least)
        records = analysis.analyze(
            CONFIG, TEST, networks, 1, least, examples=(0, 1, 2)
        )
        for record, accuracy in zip(records, accuracies, strict=True):
            self.assertEqual("layers" in record, accuracy >= least)
            self.assertEqual("example" in record, accuracy >= least)
        measure = similarity.MEASURES.index(analysis.EXAMPLE)
        self.assertAllClose(
            records[best]["example"]["q"],
            records[best]["layers"][0]["q"][measure],
        )
        none = analysis.analyze(CONFIG, TEST, networks, 1, 1.0)
        self.assertTrue(all("layers" not in r for r in none))

    def test_what_dead_units_leave_undefined_is_json(self):
        kernels, biases = network()
        dead = kernels, [biases[0] - 1000, *biases[1:]]
        (record,) = analysis.analyze(CONFIG, TEST, [dead], seed=1)
        self.assertIsNone(record["layers"][0]["q"][0])
        self.assertIn(None, record["layers"][0]["agreement"])
        json.dumps(record, allow_nan=False)

    def test_the_seed_decides(self):
        networks = [network()]
        one, same = (
            analysis.analyze(CONFIG, TEST, networks, 3) for _ in range(2)
        )
        self.assertEqual(one, same)


class ClusterLayerTest(tf.test.TestCase):
    def test_finds_planted_clusters_and_where_measures_agree(self):
        halves, thirds = [0, 0, 0, 1, 1, 1, -1], [0, 1, 2, 0, 1, 2, -1]
        kinds = [halves] * 4 + [thirds] * 4
        matrices = np.array([[planted(groups) for groups in kinds]])
        (layer,), clusters = analysis.cluster_layer(
            CONFIG, matrices, np.random.default_rng(0)
        )
        self.assertEqual(clusters.shape, (1, 8, 7))
        self.assertAllClose(layer["clusters"], [2.0] * 4 + [3.0] * 4)
        self.assertAllEqual(layer["unused"], [1] * 8)
        for m, groups in enumerate(kinds):
            expected = clustering.modularity(matrices[0, m], np.array(groups))
            self.assertAllClose(layer["q"][m], expected, atol=1e-6)
            found = clustering.find_clusters(matrices[0, m], restarts=2)
            best = clustering.modularity(matrices[0, m], found)
            self.assertAllClose(layer["q_restarts"][m], best, atol=1e-6)
        # The whole was drawn, and the steps from one cluster find as much.
        alone = dict(layer["one_cluster"])
        self.assertAllClose([alone[m] for m in range(8)], layer["q"])
        self.assertLen(layer["null"], 28)
        for (a, b), found in zip(
            analysis.PAIRS, layer["agreement"], strict=True
        ):
            if (a < 4) == (b < 4):
                self.assertEqual(found, 1.0)
            else:
                self.assertLess(found, 0.6)

    def test_the_subsample_is_a_share_of_the_matrices(self):
        matrices = np.tile(planted([0, 0, 1, 1]), (5, 8, 1, 1))
        config = dataclasses.replace(CONFIG, subsample=0.25, search_steps=1)
        rng = np.random.default_rng(1)
        layers, _ = analysis.cluster_layer(config, matrices, rng)
        alone = [q for one in layers for _, q in one["one_cluster"]]
        self.assertLen(alone, 10)
        # A better search is no worse, and one step is soon improved on.
        gain = [np.subtract(one["q_restarts"], one["q"]) for one in layers]
        self.assertGreaterEqual(np.min(gain), 0)
        # One step does not lead far from one cluster, where Q is 0.
        self.assertLess(max(alone), 0.05)
        self.assertGreater(np.min([one["q"] for one in layers]), 0.2)
        # 5 x 28 pairs, each with a chance of 1 / 4: five sd aside.
        drawn = sum(len(one["null"]) for one in layers)
        self.assertBetween(drawn, 35 - 26, 35 + 26)


class SortByClusterTest(tf.test.TestCase):
    def test_clusters_lie_side_by_side_without_the_unused(self):
        groups = np.array([1, 0, -1, 1, 0, 0])
        found = analysis.sort_by_cluster(2 * planted(groups), groups)
        self.assertEqual(found["sizes"], [3, 2])
        expected = planted([0, 0, 0, 1, 1]) * (1 - np.eye(5))
        self.assertAllClose(found["matrix"], expected)


if __name__ == "__main__":
    tf.test.main()
