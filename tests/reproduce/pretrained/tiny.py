"""Small networks with the architecture of the pre-trained ones."""

from typing import Any
from unittest import mock

import keras
import numpy as np

import modularity_tf as mtf
from reproduce.pretrained import chars2vec, deepcut

CHANNELS, READERS, HIDDEN = 4, 2, 5
WIDTHS = (1, 2, 3)
CHARACTERS = ["\n", " ", "a", "b", "other", "\u0e01"]
KINDS = {"ab": "s_e", " ": "p", "\u0e01": "c"}
THAI_WORDS = tuple("\u0e01" * count + "x" for count in range(1, 11))
TYPES = ["c", "o", "p", "s_e"]


def alphabet() -> deepcut.Alphabet:
    """Returns an alphabet of few characters."""
    return deepcut.Alphabet(CHARACTERS, KINDS, TYPES)


def deepcut_weights(seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Returns random weights of a small deepcut.

    Args:
        seed: Int.
    """
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(0, 0.5, shape).astype("float32")

    def normalization(units):
        scale, offset, mean = draw(units), draw(units), draw(units)
        return [scale, offset, mean, rng.random(units).astype("float32") + 0.5]

    features = 3 + READERS + 2
    found = {
        "embedding_1": [draw(len(CHARACTERS), 3)],
        "embedding_2": [draw(len(TYPES), 2)],
        "batch_normalization_1": normalization(3),
        "batch_normalization_2": normalization(features),
        "dense_13": [draw(deepcut.WINDOW * features, HIDDEN), draw(HIDDEN)],
        "dense_14": [draw(HIDDEN, 1), draw(1)],
    }
    for width in WIDTHS:
        found[f"conv1d_{width}"] = [draw(width, 3, CHANNELS), draw(CHANNELS)]
        found[f"time_distributed_{width}"] = [
            draw(CHANNELS, READERS),
            draw(READERS),
        ]
    return found


def spaces_weights() -> dict[str, list[np.ndarray]]:
    """Returns weights of a small deepcut that sees spaces, and little else.

    A word begins at a space and behind one: two weights of the hidden layer
    read the type of the character and that of the one before it.
    """
    found = deepcut_weights()
    features = 3 + READERS + 2
    one, zero = np.ones(features, "float32"), np.zeros(features, "float32")
    found["batch_normalization_2"] = [one, zero, zero, one]
    is_space = np.array([kind == "p" for kind in TYPES], "float32")
    found["embedding_2"] = [np.stack([is_space, 0.1 * is_space], axis=1)]
    found["dense_13"] = [0.001 * w for w in found["dense_13"]]
    found["dense_14"] = [0.001 * w for w in found["dense_14"]]
    itself, before = deepcut.WINDOW - 1, deepcut.WINDOW // 2
    for at in (itself, before):
        found["dense_13"][0][at * features + 3 + READERS, 0] = 1.0
    found["dense_14"][0][0] = 10.0
    found["dense_14"][1][0] = -5.0
    return found


def chars2vec_weights() -> dict[str, list[np.ndarray]]:
    """Returns random weights of a small chars2vec."""
    rng = np.random.default_rng(0)
    return {
        name: [
            rng.normal(0, 0.5, shape).astype("float32")
            for shape in ((inputs, 16), (4, 16), (16,))
        ]
        for name, inputs in (("lstm_1", 59), ("lstm_2", 4))
    }


def spaces_mask(model: keras.Model, **told: Any) -> mtf.WeightMask:
    """Returns the weights of `spaces_weights` that see spaces.

    Args:
        model: The network.
        **told: Of the provenance.
    """
    values = {
        path: np.zeros(logits.shape, bool)
        for path, logits in mtf.MaskedModel(model).mask_logits.items()
    }
    kernel = keras.ops.convert_to_numpy(model.get_layer("hidden").kernel)
    values["hidden/kernel"] = kernel > 0.5
    values["begins/kernel"][0] = True
    scores = {path: v.astype("float32") for path, v in values.items()}
    return mtf.WeightMask(values, told, scores)


def find_weights(model: keras.Model, data: Any, **kwargs: Any):
    """Takes the place of `mtf.find_weights`: finds what was planted.

    Args:
        model: The network.
        data: Of deepcut windows, of chars2vec words.
        **kwargs: Not used.
    """
    told = {"alpha": 1e-4, "steps": 900}
    if model.name == "deepcut":
        return spaces_mask(load_deepcut(), **told)
    shown = np.asarray(data[0]).any(axis=(0, 1))
    values = {}
    for path, logits in mtf.MaskedModel(model).mask_logits.items():
        values[path] = np.ones(logits.shape, bool)
        if len(values[path]) == len(shown):
            values[path] &= shown[:, np.newaxis]
    return mtf.WeightMask(values, told)


def find_neurons(model: keras.Model, data: Any, **kwargs: Any):
    """Takes the place of `mtf.find_neurons`: the unit that was planted.

    Args:
        model: deepcut.
        data: Windows.
        **kwargs: Not used.
    """
    logits = mtf.MaskedModel(model, groups="units").mask_logits
    values = {path: np.zeros(v.shape, bool) for path, v in logits.items()}
    values["hidden"][0] = True
    scores = {path: v.astype("float32") for path, v in values.items()}
    told = {"alpha": 1e-4, "steps": 900}
    return mtf.NeuronSelection(values, told, scores)


def load_deepcut() -> keras.Model:
    """Returns the small deepcut that sees spaces."""
    return deepcut.build(spaces_weights())


def replaced() -> list[Any]:
    """Returns patches that put the small networks in the packages' place."""
    return [
        mock.patch.object(deepcut, "load", load_deepcut),
        mock.patch.object(deepcut, "alphabet", alphabet),
        mock.patch.object(deepcut, "thai_words", lambda: THAI_WORDS),
        mock.patch.object(
            chars2vec, "load", lambda: chars2vec.build(chars2vec_weights())
        ),
    ]
