"""A small compiled program, made by hand, for tests that have no Tracr.

Two layers over lists of the tokens x and y: the MLP of the first notes whether
a token is x, a head of the second takes the mean over places up to its own, as
Tracr's `proportion` does.
"""

import functools

import numpy as np

from reproduce.known_truth.others import circuits, decoys
from reproduce.known_truth.others.programs import (
    BOS,
    LENGTH,
    NUMERIC,
    PAD,
    Program,
)

WIDTH = 2 + LENGTH + 3  # x and y, places, is x, answer, one
_IS_X, _ANSWER, _ONE = WIDTH - 3, WIDTH - 2, WIDTH - 1
_SURE = 50.0  # logit


@functools.cache
def truth() -> circuits.Truth:
    """Returns what the program needs."""
    return circuits.truth(proportion())


@functools.cache
def with_decoys() -> tuple[Program, circuits.Truth, dict[str, np.ndarray]]:
    """Returns what `decoys.with_decoys` makes of the program."""
    return decoys.with_decoys(proportion(), truth(), 0)


@functools.cache
def proportion() -> Program:
    """Returns the program; its lists are those of `proportion`."""
    tokens = (BOS, PAD, "w", "x", "y", "z")
    embed = np.zeros((len(tokens), WIDTH), "float32")
    embed[3, 0] = 1
    embed[[2, 4, 5], 1] = 1
    embed[:, _ONE] = 1
    places = np.zeros((1 + LENGTH, WIDTH), "float32")
    places[1:, 2 : 2 + LENGTH] = np.eye(LENGTH)
    kernels = {}
    for layer in (0, 1):
        for part in ("query", "key", "value"):
            kernels[f"a{layer}h0_{part}"] = np.zeros((WIDTH, LENGTH), "float32")
        kernels[f"a{layer}h0_out"] = np.zeros((LENGTH, WIDTH), "float32")
        kernels[f"m{layer}_in"] = np.zeros((WIDTH, 2), "float32")
        kernels[f"m{layer}_out"] = np.zeros((2, WIDTH), "float32")
    kernels["m0_in"][0, 0] = 1
    kernels["m0_out"][0, _IS_X] = 1
    # A place attends to those up to it, and not to the first token.
    seen = np.tril(np.ones((LENGTH, LENGTH)))
    kernels["a1h0_query"][2 : 2 + LENGTH] = _SURE * seen
    kernels["a1h0_key"][2 : 2 + LENGTH] = np.eye(LENGTH)
    kernels["a1h0_value"][_IS_X, 0] = 1
    kernels["a1h0_out"][0, _ANSWER] = 1
    return Program(
        "proportion",
        tokens,
        {"embed": embed, "positions": places},
        kernels,
        (_ANSWER,),
        NUMERIC,
        (1.0,),
    )
