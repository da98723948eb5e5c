"""Agreement with the papers' own code.

`reference/*.npz` hold what the authors' PyTorch code computes, for weights and
inputs drawn by NumPy: masked networks of Csordas et al. (2021), similarities
and modularities of Lange et al. (2022).
"""

import itertools
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.findings import weight_mask
from modularity_tf.masking import masked_model
from modularity_tf.network import model_weights
from modularity_tf.units import clustering, similarity

FOLDER = pathlib.Path(__file__).parent / "reference"
UNIT_SIZES = (20, 16, 12, 5)
EXAMPLES, BATCH_SIZE = 300, 100
# To theirs, which divides by K where equation 1 has K - 1, and the Hessian by
# the batch size once more.
SCALES = {
    "covariance": EXAMPLES / (EXAMPLES - 1),
    "input_sensitivity": 1.0,
    "output_sensitivity": 1.0,
    "loss_hessian": BATCH_SIZE,
}


def fnn():
    stack = [layers.Dense(n, "relu") for n in (64, 48, 32)]
    return keras.Sequential([keras.Input((42,)), *stack, layers.Dense(20)])


def cnn():
    """Table 2 without dropout, on smaller images."""
    stack = [keras.Input((16, 16, 3))]
    for channels in (32, 64, 128, 256):
        conv = layers.Conv2D(channels, 3, padding="same", activation="relu")
        stack += [conv, layers.MaxPooling2D()]
    stack[-1] = layers.GlobalAveragePooling2D()
    return keras.Sequential([*stack, layers.Dense(10)])


def lstm():
    stack = [layers.RepeatVector(3), layers.LSTM(32, return_sequences=True)]
    stack += [layers.LSTM(32), layers.Dense(20)]
    return keras.Sequential([keras.Input((42,)), *stack])


def draw(model):
    """Sets a model's weights; returns logits of all, keyed by path."""
    rng, logits = np.random.default_rng(1), {}
    weights = model_weights.model_weights(model)
    paths = {id(weight.variable): path for path, weight in weights.items()}
    for variable in model.weights:
        shape = variable.shape
        scale = 0.3 if len(shape) == 1 else 1 / np.sqrt(np.prod(shape[:-1]))
        variable.assign(rng.normal(0, scale, shape))
        logits[paths[id(variable)]] = rng.normal(0.3, 2, shape)
    return logits


def numbers():
    return np.random.default_rng(2).normal(size=(16, 42))


def images():
    return np.random.default_rng(3).uniform(-1, 1, (8, 16, 16, 3))


class MaskedNetworkTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("fnn", fnn, "kernels", numbers),
        ("cnn", cnn, "all", images),
        ("lstm", lstm, "kernels", numbers),
    )
    def test_puts_out_what_the_papers_code_does(self, build, roles, inputs):
        expected = np.load(FOLDER / "masks.npz")[build.__name__]
        model, inputs = build(), inputs()
        logits = draw(model)
        masked = masked_model.MaskedModel(model, roles=roles)
        for path, variable in masked.mask_logits.items():
            variable.assign(logits[path])
        mask = weight_mask.WeightMask(
            {path: logits[path] > 0 for path in masked.mask_logits}
        )
        self.assertNotAllClose(model(inputs), expected, atol=1e-2)
        for network in (masked, mask.apply(model)):
            self.assertAllClose(network(inputs), expected, rtol=0, atol=5e-7)


class SimilaritiesTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(7)
        self.kernels, self.biases = [], []
        for fan_in, size in itertools.pairwise(UNIT_SIZES):
            scale = np.sqrt(2 / fan_in)
            self.kernels.append(rng.normal(0, scale, (fan_in, size)))
            self.biases.append(rng.normal(0, 0.3, size))
        self.inputs = rng.normal(size=(EXAMPLES, UNIT_SIZES[0]))
        self.labels = rng.integers(0, UNIT_SIZES[-1], EXAMPLES)

    def test_the_closed_form_is_what_the_papers_code_computes(self):
        self.check(
            similarity.relu_similarities(
                self.kernels, self.biases, self.inputs, chunk_size=BATCH_SIZE
            ),
            tolerance=5e-6,  # of the largest entry: products are float32
        )

    def test_autodiff_is_what_the_papers_code_computes(self):
        stack = [
            layers.Dense(size, activation, dtype="float64")
            for size, activation in zip(UNIT_SIZES[1:], ("relu", "relu", None))
        ]
        inputs = keras.Input(UNIT_SIZES[:1], dtype="float64")
        model = keras.Sequential([inputs, *stack])
        for layer, *weights in zip(model.layers, self.kernels, self.biases):
            layer.set_weights(weights)
        arrays = self.inputs, self.labels
        found = similarity.unit_similarities(
            model,
            tf.data.Dataset.from_tensor_slices(arrays).batch(BATCH_SIZE),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            measures=tuple(SCALES),
        )
        self.check(list(found.values()), tolerance=1e-12)

    def check(self, found, tolerance):
        self.assertLen(found, 2)
        reference = np.load(FOLDER / "similarities.npz")
        for layer, matrices in enumerate(found):
            for measure, scale in SCALES.items():
                expected = scale * reference[f"{measure}/{layer}"]
                for matrix in (expected, matrices[measure]):
                    np.fill_diagonal(matrix, 0)
                difference = np.abs(matrices[measure] - expected).max()
                name = f"{measure} of layer {layer}"
                self.assertGreater(expected.max(), 0, name)
                self.assertLess(difference, tolerance * expected.max(), name)

    def test_q_is_what_the_papers_code_computes(self):
        expected = np.load(FOLDER / "similarities.npz")["q"]
        rng, found = np.random.default_rng(8), []
        for n in (8, 12, 16, 24, 32, 40):
            half = rng.random((n, n))
            matrix = half + half.T
            np.fill_diagonal(matrix, 0)
            found.append(clustering.modularity(matrix, rng.integers(0, 4, n)))
        self.assertAllClose(found, expected, rtol=0, atol=5e-8)


if __name__ == "__main__":
    tf.test.main()
