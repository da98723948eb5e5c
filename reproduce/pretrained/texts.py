"""Texts of several kinds, whose words are known: what the networks are asked.

English words come from the descriptions of data sets that scikit-learn ships,
Thai words from the list in the package of deepcut. Numbers and random strings
are drawn.
"""

import functools
import pathlib
import re
import string
from collections.abc import Sequence

import numpy as np

from reproduce.pretrained import deepcut

LATIN, RANDOM, NAMES, RUN_IN = "latin", "random", "names", "run_in"
DIGITS, THAI = "digits", "thai"
# What each kind is, in words.
KINDS = {
    LATIN: "English words",
    RANDOM: "random letters",
    NAMES: "capitalized words",
    RUN_IN: "English inside Thai",
    DIGITS: "numbers",
    THAI: "Thai words",
}
_WORDS = 12  # of a text
_THAI_AROUND = 3  # words between two English ones that are run in
_LETTERS = (2, 10)  # of a random string, from and below
_DIGITS = (1, 7)  # of a number, likewise
_PATIENCE = 100  # texts without a new window
Windows = tuple[tuple[np.ndarray, np.ndarray], np.ndarray]


@functools.cache
def english_words() -> tuple[str, ...]:
    """Returns the words in lower case of scikit-learn's descriptions."""
    return tuple(sorted(set(re.findall(r"\b[a-z]{2,}\b", _descriptions()))))


@functools.cache
def capitalized_words() -> tuple[str, ...]:
    """Returns the words that are capitalized within a sentence: names."""
    found = re.findall(r"(?<=[a-z,;&] )[A-Z][a-z]{2,}\b", _descriptions())
    return tuple(sorted(set(found)))


def _descriptions():
    from sklearn import datasets

    folder = pathlib.Path(datasets.__file__).parent / "descr"
    files = sorted(folder.glob("*.rst"))
    return "\n".join(file.read_text("utf-8") for file in files)


def split_words(
    words: Sequence[str], held_out: float, seed: int
) -> tuple[list[str], list[str]]:
    """Returns the words to find on, and those that are held out.

    Args:
        words: Sequence of str.
        held_out: Float in (0, 1), the share of the latter.
        seed: Int.
    """
    order = np.random.default_rng(seed).permutation(len(words))
    count = max(1, round(held_out * len(words)))
    parts = order[count:], order[:count]
    found, held = ([words[i] for i in sorted(part)] for part in parts)
    return found, held


def strings(
    characters: str, lengths: tuple[int, int], count: int, seed: int
) -> list[str]:
    """Returns random strings.

    Args:
        characters: Str, what they are drawn from.
        lengths: Two ints: the shortest length, and one above the longest.
        count: Int, how many.
        seed: Int.
    """
    rng = np.random.default_rng(seed)
    letters = list(characters)
    return [
        "".join(rng.choice(letters, rng.integers(*lengths)))
        for _ in range(count)
    ]


def numbers(count: int, seed: int) -> list[str]:
    """Returns random numbers of one to six digits, as strings."""
    return strings(string.digits, _DIGITS, count, seed)


def random_words(count: int, seed: int) -> list[str]:
    """Returns strings of two to nine random letters."""
    return strings(string.ascii_lowercase, _LETTERS, count, seed)


def draw_tokens(
    kind: str, words: Sequence[str], rng: np.random.Generator
) -> list[str]:
    """Returns a text of a kind, cut into its words.

    Spaces between words are words themselves, as deepcut has it.

    Args:
        kind: One of `KINDS`.
        words: The words of that kind.
        rng: What draws.
    """
    drawn = [str(word) for word in rng.choice(words, _WORDS)]
    if kind == THAI:
        return drawn
    if kind == RUN_IN:
        around = rng.choice(deepcut.thai_words(), (len(drawn), _THAI_AROUND))
        return [
            str(each)
            for thai, word in zip(around, drawn, strict=True)
            for each in (*thai, word)
        ]
    return [each for word in drawn for each in (" ", word)][1:]


def windows(kind: str, words: Sequence[str], count: int, seed: int) -> Windows:
    """Returns windows of texts of a kind, no two alike, for deepcut.

    Args:
        kind: One of `KINDS`. Of "run_in" the windows are asked about letters
            alone, of the others about every character.
        words: The words of that kind.
        count: Int, how many windows.
        seed: Int.

    Returns:
        Tuple `((characters, types), begins)`: int32 arrays `(count, 21)`, and
        a float32 array `(count, 1)`, 1 where a word begins.

    Raises:
        ValueError: If the words are too few for so many windows.
    """
    rng = np.random.default_rng(seed)
    alphabet = deepcut.alphabet()
    seen: set[bytes] = set()
    parts: list[list[np.ndarray]] = [[], [], []]
    stale = 0
    while len(seen) < count:
        before = len(seen)
        tokens = draw_tokens(kind, words, rng)
        text = "".join(tokens)
        characters, types = alphabet.windows(text)
        begins = [i == 0 for token in tokens for i in range(len(token))]
        for i, row in enumerate(characters):
            is_asked = kind != RUN_IN or text[i].isascii()
            if is_asked and row.tobytes() not in seen and len(seen) < count:
                seen.add(row.tobytes())
                for part, value in zip(
                    parts, (row, types[i], [begins[i]]), strict=True
                ):
                    part.append(value)
        stale = 0 if len(seen) > before else stale + 1
        if stale > _PATIENCE:
            raise ValueError(
                f"`words` have about {len(seen)} windows, no {count}: "
                f"{[*words][:5]}."
            )
    inputs = np.array(parts[0]), np.array(parts[1])
    return inputs, np.array(parts[2], "float32")
