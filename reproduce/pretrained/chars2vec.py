"""chars2vec: a network that reads words letter by letter, by others trained.

It turns a word into a vector, alike for words that are written alike. The
package is chars2vec 0.1.7 (Apache License 2.0, as its metadata say) by
Vladimir Chikin, Intuition Engineering. Its architecture, two LSTM layers, is
written here anew, with the sizes of the weights that the package holds.

References:
    - https://github.com/IntuitionEngineeringTeam/chars2vec
"""

import string
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from reproduce.pretrained import packages

PACKAGE = packages.Package(
    name="chars2vec",
    version="0.1.7",
    file="chars2vec-0.1.7.tar.gz",
    sha256="df05b0765e406e1bdb9f9537adf7fccb24db4a81956aea5c25a707a03a6a8094",
)
_WEIGHTS = "chars2vec-0.1.7/chars2vec/trained_models/eng_50/weights.h5"
# All characters of ASCII from "!" to "z" but the capital letters and [\]^`.
CHARACTERS = "".join(
    chr(i)
    for i in range(ord("!"), ord("z") + 1)
    if chr(i) not in string.ascii_uppercase + "[\\]^`"
)
LENGTH = 12  # characters; longer words are cut


def load() -> keras.Model:
    """Returns the smallest network with its trained weights, compiled.

    Its input are words `(batch, 12, 59)`, as `encode` returns them, and its
    output are vectors `(batch, 50)`.

    Raises:
        ValueError: As `Package.read`.
    """
    return build(packages.read_weights(PACKAGE.read(_WEIGHTS)))


def build(weights: dict[str, list[np.ndarray]]) -> keras.Model:
    """Returns the network that some weights belong to, with these.

    Args:
        weights: Dict from "lstm_1" and "lstm_2" to the arrays of the layer.
    """
    words = keras.Input((LENGTH, len(CHARACTERS)), name="words")
    first, second = (weights[name] for name in ("lstm_1", "lstm_2"))
    lower = layers.LSTM(
        first[1].shape[0], return_sequences=True, name="letters"
    )
    upper = layers.LSTM(second[1].shape[0], name="word")
    model = keras.Model(words, upper(lower(words)), name="chars2vec")
    lower.set_weights(first)
    upper.set_weights(second)
    model.compile("adam", loss="mse")
    return model


def encode(words: Sequence[str]) -> np.ndarray:
    """Returns words as the network reads them.

    Args:
        words: Sequence of str, in lower case.

    Returns:
        Float32 array `(words, 12, 59)`: 1 for the character at its place in
        `CHARACTERS`; nothing before the word, which ends at the last step, or
        for characters that are not among these.
    """
    found = np.zeros((len(words), LENGTH, len(CHARACTERS)), "float32")
    for row, word in zip(found, words, strict=True):
        for step, character in enumerate(reversed(word[-LENGTH:]), 1):
            if character in CHARACTERS:
                row[-step, CHARACTERS.index(character)] = 1.0
    return found
