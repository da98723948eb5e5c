"""RASP programs, and the Transformers that Tracr compiles them to.

Tracr is the extra `tracr`: it is imported where a program is compiled, and
nowhere else. What it compiles is a `Program`, plain arrays, which a stage
keeps in the run folder.

References:
    - [Lindner et al., 2023](https://arxiv.org/abs/2301.05062), Tracr
    - [Weiss et al., 2021](https://arxiv.org/abs/2106.06981), RASP
"""

import dataclasses
import importlib.util
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

BOS, PAD = "BOS", "compiler_pad"
LENGTH = 5  # of the longest lists
NUMERIC, CATEGORICAL = "numeric", "categorical"
# Name of a program: the tokens that its lists are made of. The first two are
# those of ACDC, the next two are from Tracr's library as well.
VOCABULARIES: dict[str, tuple[Any, ...]] = {
    "proportion": ("w", "x", "y", "z"),
    "reverse": (1, 2, 3),
    "sort": (1, 2, 3),
    "shuffle_dyck": ("(", ")", "{", "}"),
    "previous": ("a", "b", "c"),
    "last": ("a", "b", "c"),
    "count": ("a", "b", "c"),
    "mirror": ("a", "b", "c"),
    "parity": ("a", "b"),
    "balance": ("a", "b", "c"),
    "majority": ("a", "b", "c"),
}
PUBLISHED = ("proportion", "reverse")
TITLES = {
    "proportion": "fraction of x so far",
    "reverse": "list reversed",
    "sort": "list sorted",
    "shuffle_dyck": "are both kinds of brackets balanced?",
    "previous": "token before",
    "last": "last token",
    "count": "how often the token occurs",
    "mirror": "is the token that of the reversed list?",
    "parity": "parity of the length",
    "balance": "fraction of a so far, less that of b",
    "majority": "are more than half of all tokens a?",
}


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program: a Transformer without biases or normalization.

    A node is an attention head, as "a1h0" (of layer 1), or the MLP of a layer,
    as "m1". Nodes read and write a residual stream of `width` numbers.

    Attributes:
        name: Str.
        tokens: Tuple of all tokens, the compiler's own included, in the order
            of their numbers.
        embeddings: Dict of "embed", an array `(tokens, width)`, and of
            "positions", `(places, width)`.
        kernels: Dict from "NODE_PART" to an array. The parts of a head are
            `query`, `key` and `value`, `(width, size)`, and `out`, `(size,
            width)`; those of an MLP `in` and `out`.
        output: Tuple of ints, the numbers of the stream that are answers.
        kind: `NUMERIC` or `CATEGORICAL`: whether the answer is a number, or
            the largest of several.
        scales: Tuple of floats, by which the answers are divided.
    """

    name: str
    tokens: tuple[Any, ...]
    embeddings: Mapping[str, np.ndarray]
    kernels: Mapping[str, np.ndarray]
    output: tuple[int, ...]
    kind: str
    scales: tuple[float, ...]

    @property
    def nodes(self) -> list[str]:
        """List of the names of heads and MLPs, in the order of layers."""
        return [*dict.fromkeys(path.partition("_")[0] for path in self.kernels)]

    @property
    def width(self) -> int:
        """Int, the numbers of the residual stream."""
        return self.embeddings["embed"].shape[1]

    def as_json(self) -> dict[str, Any]:
        """Returns the program as JSON values: of arrays what is not zero."""
        fields = dataclasses.asdict(self)
        for name in ("embeddings", "kernels"):
            fields[name] = {k: _sparse(v) for k, v in fields[name].items()}
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Program":
        """Returns the program that `as_json` wrote."""
        arrays = {
            name: {k: _dense(v) for k, v in fields[name].items()}
            for name in ("embeddings", "kernels")
        }
        told = {k: tuple(fields[k]) for k in ("tokens", "output", "scales")}
        return cls(**{**fields, **arrays, **told})


def has_tracr() -> bool:
    """Returns whether the extra `tracr` is installed."""
    return importlib.util.find_spec("tracr") is not None


def lists(name: str) -> list[tuple[Any, ...]]:
    """Returns all lists of 1 to `LENGTH` tokens of a program.

    Args:
        name: Str, one of `VOCABULARIES`.
    """
    return [
        each
        for length in range(1, LENGTH + 1)
        for each in itertools.product(VOCABULARIES[name], repeat=length)
    ]


def expression(name: str) -> Any:
    """Returns a program as an expression of Tracr.

    Args:
        name: Str, one of `VOCABULARIES`.

    Raises:
        ValueError: If the extra `tracr` is not installed.
    """
    if not has_tracr():
        raise ValueError(
            "Compiled programs need Tracr: pip install modularity_tf[tracr]."
        )
    from tracr.compiler import lib
    from tracr.rasp import rasp

    tokens, indices = rasp.tokens, rasp.indices

    def copied(where, what):
        return rasp.Aggregate(where, what)

    def fraction_of(token):
        return lib.make_frac_prevs(tokens == token)

    makers = {
        "proportion": lambda: fraction_of("x"),
        "reverse": lambda: lib.make_reverse(tokens),
        "sort": lambda: lib.make_sort(
            tokens, tokens, max_seq_len=LENGTH, min_key=1
        ),
        "shuffle_dyck": lambda: lib.make_shuffle_dyck(["()", "{}"]),
        "previous": lambda: copied(
            rasp.Select(indices, indices, lambda key, query: key == query - 1),
            tokens,
        ),
        "last": lambda: copied(
            rasp.Select(indices, lib.make_length() - 1, rasp.Comparison.EQ),
            tokens,
        ),
        "count": lambda: rasp.SelectorWidth(
            rasp.Select(tokens, tokens, rasp.Comparison.EQ)
        ),
        "mirror": lambda: rasp.SequenceMap(
            lambda own, other: int(own == other),
            tokens,
            lib.make_reverse(tokens),
        ),
        "parity": lambda: rasp.Map(lambda n: n % 2, lib.make_length()),
        "balance": lambda: lib.make_pair_balance(tokens, "a", "b"),
        "majority": lambda: rasp.SequenceMap(
            lambda count, length: int(2 * count > length),
            lib.make_count(tokens, "a"),
            lib.make_length(),
        ),
    }
    return makers[name]()


def compiled(name: str) -> tuple[Program, Any]:
    """Returns a compiled program, and Tracr's own model of it.

    A head that is zero throughout is left out where its layer has others.

    Args:
        name: Str, one of `VOCABULARIES`.

    Raises:
        ValueError: As `expression`.
    """
    made = expression(name)
    from tracr.compiler import compiling
    from tracr.rasp import rasp

    model = compiling.compile_rasp_to_model(
        made,
        vocab={*VOCABULARIES[name]},
        max_seq_len=LENGTH,
        compiler_bos=BOS,
        compiler_pad=PAD,
    )
    config = model.model_config

    def array(module, part):
        return np.asarray(model.params[module][part], "float32")

    kernels = {}
    for i in range(config.num_layers):
        place = f"transformer/layer_{i}"
        parts = {
            part: array(f"{place}/attn/{module}", "w")
            for part, module in (
                ("query", "query"),
                ("key", "key"),
                ("value", "value"),
                ("out", "linear"),
            )
        }
        heads = []
        for h in range(config.num_heads):
            own = slice(h * config.key_size, (h + 1) * config.key_size)
            heads.append(
                {
                    p: v[own] if p == "out" else v[:, own]
                    for p, v in parts.items()
                }
            )
        used = [each for each in heads if any(v.any() for v in each.values())]
        for h, head in enumerate(used or heads[:1]):
            kernels |= {f"a{i}h{h}_{part}": v for part, v in head.items()}
        kernels[f"m{i}_in"] = array(f"{place}/mlp/linear_1", "w")
        kernels[f"m{i}_out"] = array(f"{place}/mlp/linear_2", "w")
    is_categorical = rasp.is_categorical(made)
    name_of_output = made.label
    labels = model.residual_labels
    if is_categorical:
        values = model.output_encoder.encoding_map
        output = [labels.index(f"{name_of_output}:{v}") for v in values]
    else:
        output = [labels.index(name_of_output)]
    program = Program(
        name,
        tuple(model.input_encoder.encoding_map),
        {
            "embed": array("token_embed", "embeddings"),
            "positions": array("pos_embed", "embeddings"),
        },
        kernels,
        tuple(output),
        CATEGORICAL if is_categorical else NUMERIC,
        (1.0,) * len(output),
    )
    return program, model


def numbers(program: Program) -> np.ndarray:
    """Returns all lists of a program as the numbers of their tokens.

    Args:
        program: `Program`.

    Returns:
        Int array `(lists, 1 + LENGTH)`, with the first token and padding.
    """
    number = {token: i for i, token in enumerate(program.tokens)}
    found = [
        [BOS, *each, *[PAD] * (LENGTH - len(each))]
        for each in lists(program.name)
    ]
    return np.array([[number[t] for t in each] for each in found])


def _sparse(array):
    where = np.flatnonzero(array)
    values = array.ravel()[where]
    return {
        "shape": [*array.shape],
        "where": where.tolist(),
        "values": [float(v) for v in values],
    }


def _dense(told):
    array = np.zeros(told["shape"], "float32")
    array.ravel()[told["where"]] = told["values"]
    return array
