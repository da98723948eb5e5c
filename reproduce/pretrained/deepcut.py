"""deepcut: a network that segments Thai text, as its authors trained it.

It reads a window of 21 characters, and says whether a word begins at one of
them. The package is deepcut 0.7.0.0 (MIT license) by Rakpong Kittinaradorn.
Its architecture is written here anew, with the sizes of the weights that the
package holds; the outputs are those of the package.

References:
    - https://github.com/rkcosmos/deepcut
"""

import ast
import functools

import keras
import numpy as np
from keras import layers

from reproduce.pretrained import packages

PACKAGE = packages.Package(
    name="deepcut",
    version="0.7.0.0",
    file="deepcut-0.7.0.0-py3-none-any.whl",
    sha256="054b778236b75ee505fb79759e180972e8b50be9af4c741451beceab0bbd887b",
)
_WEIGHTS = "deepcut/weight/cnn_without_ne_ab.h5"
WINDOW = 21
_AROUND = WINDOW // 2  # characters on either side
_DROPPED = 0.15  # in training
_OTHER, _OTHER_TYPE = "other", "o"  # characters that the network has no number


def load() -> keras.Model:
    """Returns the network with its trained weights, compiled.

    Its inputs are the characters of windows `(batch, 21)` and the types of
    these, as `Alphabet.windows` returns them; its output is the chance that a
    word begins, `(batch, 1)`.

    Raises:
        ValueError: As `Package.read`.
    """
    return build(packages.read_weights(PACKAGE.read(_WEIGHTS)))


def build(weights: dict[str, list[np.ndarray]]) -> keras.Model:
    """Returns the network that some weights belong to, with these.

    An embedding of the characters goes through convolutions of all widths from
    1 on. Each has a Dense layer of few units behind it, of which the largest
    of all widths goes on, together with the embeddings of the characters and
    of their types.

    Args:
        weights: Dict, as `packages.read_weights` returns it.
    """
    made: dict[str, layers.Layer] = {}

    def layer(kind, *args, of, **kwargs):
        made[of] = kind(*args, **kwargs)
        return made[of]

    def embedding(of, name):
        return layer(layers.Embedding, *weights[of][0].shape, of=of, name=name)

    characters = keras.Input((WINDOW,), dtype="int32", name="characters")
    types = keras.Input((WINDOW,), dtype="int32", name="types")
    x = embedding("embedding_1", "character_embedding")(characters)
    x = layers.SpatialDropout1D(_DROPPED)(x)
    x = layer(
        layers.BatchNormalization,
        of="batch_normalization_1",
        name="character_normalization",
    )(x)
    seen, width = [], 1
    while (of := f"conv1d_{width}") in weights:
        kernel, _ = weights[of]
        one = layer(
            layers.Conv1D,
            kernel.shape[2],
            width,
            activation="relu",
            of=of,
            name=f"conv_{width}",
        )(x)
        of = f"time_distributed_{width}"
        units = weights[of][0].shape[1]
        one = layer(layers.Dense, units, of=of, name=f"reader_{width}")(one)
        seen.append(layers.ZeroPadding1D((0, width - 1))(one))
        width += 1
    kinds = embedding("embedding_2", "type_embedding")(types)
    kinds = layers.SpatialDropout1D(_DROPPED)(kinds)
    x = layers.Concatenate()([x, layers.Maximum()(seen), kinds])
    x = layer(
        layers.BatchNormalization, of="batch_normalization_2", name="mixed"
    )(x)
    x = layers.Flatten()(x)
    units = weights["dense_13"][0].shape[1]
    x = layer(
        layers.Dense, units, activation="relu", of="dense_13", name="hidden"
    )(x)
    begins = layer(
        layers.Dense, 1, activation="sigmoid", of="dense_14", name="begins"
    )(x)
    model = keras.Model([characters, types], begins, name="deepcut")
    for of, one in made.items():
        one.set_weights(weights[of])
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


class Alphabet:
    """The characters that the network knows, and their types.

    Args:
        characters: List of str. A character's number is its place; "other" is
            that of all that are not in it.
        kinds: Dict from a string of characters to the type of these.
        types: List of str. A type's number is its place.
    """

    def __init__(
        self, characters: list[str], kinds: dict[str, str], types: list[str]
    ) -> None:
        self._characters = {c: i for i, c in enumerate(characters)}
        type_of = {c: kind for some, kind in kinds.items() for c in some}
        number = {kind: i for i, kind in enumerate(types)}
        self._types = {c: number[kind] for c, kind in type_of.items()}
        self._other = self._characters[_OTHER]
        self._other_type = number[_OTHER_TYPE]

    def windows(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns what the network reads to say where words begin in a text.

        Args:
            text: Str.

        Returns:
            Two int32 arrays `(characters, 21)`: the numbers of the characters
            of each window, and those of their types. A window begins with what
            comes after the character that is asked about, in order; then comes
            what stands before it, from near to far, and then itself. Beyond
            the text there are spaces.
        """
        padded = " " * _AROUND + text + " " * _AROUND
        rows = []
        for i in range(_AROUND, _AROUND + len(text)):
            after = padded[i + 1 : i + _AROUND + 1]
            before = padded[i - _AROUND : i]
            rows.append([*after, *reversed(before), padded[i]])
        numbers = [
            [self._characters.get(c, self._other) for c in r] for r in rows
        ]
        types = [
            [self._types.get(c, self._other_type) for c in r] for r in rows
        ]
        shape = (len(text), WINDOW)
        return (
            np.array(numbers, "int32").reshape(shape),
            np.array(types, "int32").reshape(shape),
        )


@functools.cache
def alphabet() -> Alphabet:
    """Returns the characters as the package numbers them.

    Raises:
        ValueError: As `Package.read`.
    """
    told = _constants("deepcut/utils.py")
    return Alphabet(told["CHARS"], told["CHAR_TYPE"], told["CHAR_TYPES"])


@functools.cache
def thai_words() -> tuple[str, ...]:
    """Returns the words of the package's own list, sorted.

    Raises:
        ValueError: As `Package.read`.
    """
    told = _constants("deepcut/stop_words.py")
    return tuple(sorted(set(told["THAI_STOP_WORDS"])))


def _constants(member):
    """Returns the literals that a module assigns, without running it."""
    found = {}
    for node in ast.parse(PACKAGE.read(member).decode("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(
            node.targets[0], ast.Name
        ):
            value = node.value
            if isinstance(value, ast.Call) and value.args:  # of a frozenset
                value = value.args[0]
            try:
                found[node.targets[0].id] = ast.literal_eval(value)
            except ValueError:  # made from others
                continue
    return found
