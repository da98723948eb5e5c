import json

import numpy as np
import tensorflow as tf

from reproduce.pretrained import deepcut
from tests.reproduce.pretrained import tiny, write_outputs


def twin(weights, characters, types):
    """Computes deepcut in NumPy."""

    def normalized(x, of):
        gamma, beta, mean, variance = weights[of]
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    x = weights["embedding_1"][0][characters]
    x = normalized(x, "batch_normalization_1")
    seen = []
    for width in tiny.WIDTHS:
        kernel, bias = weights[f"conv1d_{width}"]
        reader, offset = weights[f"time_distributed_{width}"]
        one = np.zeros((*x.shape[:2], tiny.READERS))
        for i in range(deepcut.WINDOW - width + 1):
            taken = np.einsum("bwc,wcd->bd", x[:, i : i + width], kernel)
            one[:, i] = np.maximum(taken + bias, 0) @ reader + offset
        seen.append(one)
    kinds = weights["embedding_2"][0][types]
    x = np.concatenate([x, np.max(seen, axis=0), kinds], axis=-1)
    x = normalized(x, "batch_normalization_2").reshape(len(x), -1)
    kernel, bias = weights["dense_13"]
    x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = weights["dense_14"]
    return 1 / (1 + np.exp(-(x @ kernel + bias)))


class DeepcutTest(tf.test.TestCase):
    def test_computes_what_its_numpy_twin_does(self):
        weights = tiny.deepcut_weights()
        model = deepcut.build(weights)
        rng = np.random.default_rng(1)
        characters = rng.integers(6, size=(7, deepcut.WINDOW), dtype="int32")
        types = rng.integers(4, size=(7, deepcut.WINDOW), dtype="int32")
        found = model([characters, types], training=False)
        self.assertAllClose(found, twin(weights, characters, types), atol=1e-5)
        self.assertEqual(model.loss, "binary_crossentropy")

    def test_a_window_has_what_comes_after_then_before_then_itself(self):
        characters, types = tiny.alphabet().windows("ab?")
        self.assertEqual(characters.shape, (3, 21))
        space, a, b, other = 1, 2, 3, 4
        of_b = [other, *[space] * 9, a, *[space] * 9, b]
        self.assertEqual(characters[1].tolist(), of_b)
        kinds = {space: 2, a: 3, b: 3, other: 1}
        self.assertEqual(types[1].tolist(), [kinds[i] for i in of_b])
        self.assertEqual(types.dtype, "int32")

    def test_a_text_without_characters_has_no_windows(self):
        characters, types = tiny.alphabet().windows("")
        self.assertEqual((characters.shape, types.shape), ((0, 21), (0, 21)))

    def test_the_outputs_are_those_of_the_package(self):
        if not deepcut.PACKAGE.path.is_file():
            self.skipTest(f"{deepcut.PACKAGE.file} was not fetched")
        model = deepcut.load()
        self.assertEqual(model.count_params(), 535_025)
        told = json.loads(write_outputs.FILE.read_text("utf-8"))["deepcut"]
        for text, expected in told.items():
            windows = deepcut.alphabet().windows(text)
            found = model([*windows], training=False)
            self.assertAllClose(np.ravel(found), expected, atol=1e-5)
        self.assertLen(deepcut.thai_words(), 115)


if __name__ == "__main__":
    tf.test.main()
