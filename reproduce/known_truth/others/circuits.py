"""The graph of a compiled program: its edges, and which of them it needs.

An edge leads from what writes the residual stream (the start, where tokens and
places are, or a node) to what reads it: the query, key or value of a later
head, a later MLP, or the end. An edge is *there* if the one writes a number of
the stream that the other reads. It is *needed* if some answer is wrong without
it, all others left as they are. So is a node.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from reproduce.known_truth.others.programs import (
    BOS,
    CATEGORICAL,
    PAD,
    Program,
    numbers,
)

Edge = tuple[str, str]
START, END = "start", "end"
TOLERANCE = {"numeric": 0.02, CATEGORICAL: 0.5}  # of a right answer
_LISTS = 256  # that each weight is removed on
_FAR = -1e9  # logit of attention to padding


def readers(program: Program, node: str) -> list[str]:
    """Returns the names of the kernels by which a node reads the stream."""
    parts = ("in",) if node.startswith("m") else ("query", "key", "value")
    return [f"{node}_{part}" for part in parts]


def edges(program: Program) -> list[Edge]:
    """Returns all pairs of a writer and a reader behind it, there or not."""
    found, writers, layer, new = [], [START], "", []
    for node in program.nodes:
        # Heads of one layer read what is in front of it, the MLP reads heads.
        here = f"{node[0]}{node[1:].partition('h')[0]}"
        if here != layer:
            writers, new, layer = [*writers, *new], [], here
        for reader in readers(program, node):
            found += [(writer, reader) for writer in writers]
        new.append(node)
    return [*found, *((writer, END) for writer in [*writers, *new])]


@dataclasses.dataclass(frozen=True)
class Truth:
    """What a program needs.

    Attributes:
        nodes: Dict from node to bool.
        edges: Dict from edge to bool.
        alone: Float, the share of lists that is answered right by what is
            needed alone.
        weights: Dict from the name of a kernel to a bool array: the weights
            without which some answer is wrong.
    """

    nodes: Mapping[str, bool]
    edges: Mapping[Edge, bool]
    alone: float
    weights: Mapping[str, np.ndarray]


def truth(program: Program) -> Truth:
    """Returns what a program needs, by removing each part on all lists.

    Each weight is removed on 256 of the lists, evenly spaced.

    Args:
        program: `Program`.
    """
    tokens = numbers(program)
    right = answers(program, tokens)
    few = slice(None, None, -(-len(tokens) // _LISTS))

    def share(rows=slice(None), **changes):
        found = answers(program, tokens[rows], **changes)
        return float(is_right(program, found, right[rows]).mean())

    of_edges = {
        edge: _is_there(program, edge) and share(cut=[edge]) < 1
        for edge in edges(program)
    }
    of_nodes = {
        node: share(cut=[e for e in of_edges if e[0] == node]) < 1
        for node in program.nodes
    }
    of_weights = {}
    for path, kernel in program.kernels.items():
        needed = np.zeros(kernel.shape, bool)
        for where in zip(*np.nonzero(kernel), strict=True):
            values = kernel.copy()
            values[where] = 0
            needed[where] = share(few, kernels={path: values}) < 1
        of_weights[path] = needed
    alone = share(cut=[e for e, needed in of_edges.items() if not needed])
    return Truth(of_nodes, of_edges, alone, of_weights)


def answers(
    program: Program,
    tokens: np.ndarray,
    *,
    cut: Iterable[Edge] = (),
    kernels: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Returns what a program answers, in NumPy.

    Args:
        program: `Program`.
        tokens: Int array `(lists, places)`.
        cut: Edges that carry zeros.
        kernels: Dict of kernels in the place of the program's.

    Returns:
        Float array `(lists, places, answers)`, 0 where there is no token of
        the list.
    """
    weights = {**program.kernels, **(kernels or {})}
    without: dict[str, set[str]] = {}
    for writer, reader in cut:
        without.setdefault(reader, set()).add(writer)
    far = np.where(tokens == program.tokens.index(PAD), _FAR, 0.0)[:, None]
    positions = program.embeddings["positions"][: tokens.shape[1]]
    known = {START: program.embeddings["embed"][tokens] + positions}
    layer, new = "", {}

    def stream(reader):
        left = (v for k, v in known.items() if k not in without.get(reader, ()))
        return sum(left, start=np.zeros((*tokens.shape, program.width)))

    for node in program.nodes:
        here = f"{node[0]}{node[1:].partition('h')[0]}"
        if here != layer:
            known, new, layer = {**known, **new}, {}, here
        read = [
            stream(reader) @ weights[reader]
            for reader in readers(program, node)
        ]
        if len(read) == 1:
            hidden = np.maximum(read[0], 0)
        else:
            query, key, value = read
            logits = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1])
            logits = logits + far
            logits = np.exp(logits - logits.max(axis=-1, keepdims=True))
            hidden = logits / logits.sum(axis=-1, keepdims=True) @ value
        new[node] = hidden @ weights[f"{node}_out"]
    known = {**known, **new}
    found = stream(END)[..., list(program.output)] / np.array(program.scales)
    return found * is_token(program, tokens)[..., None]


def is_token(program: Program, tokens: np.ndarray) -> np.ndarray:
    """Returns which places hold a token of the list, not one of the compiler.

    Args:
        program: `Program`.
        tokens: Int array `(lists, places)`.
    """
    own = [program.tokens.index(each) for each in (BOS, PAD)]
    return ~np.isin(tokens, own)


def is_right(
    program: Program, found: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Returns which lists are answered right at every place, bools."""
    wrong = np.abs(found - right) > TOLERANCE[program.kind]
    return ~wrong.any(axis=(1, 2))


def scores_of_parts(
    program: Program, scores: Mapping[str, np.ndarray]
) -> tuple[dict[str, float], dict[Edge, float]]:
    """Returns the scores of nodes and edges, from those of weights.

    A node is as strong as the strongest of the weights with which it writes.
    An edge is as strong as the best of the numbers of the stream by which it
    can lead, and that is as strong as the weaker of its ends. The start and
    the end have no scores: they count as strong. So the nodes and edges above
    a threshold are those of the mask that keeps the weights above it. A weight
    that is zero is no weight.

    Args:
        program: `Program`.
        scores: Dict from the name of a kernel to float array.
    """
    strength = {
        path: np.where(program.kernels[path] != 0, values, -np.inf)
        for path, values in scores.items()
    }
    start = np.concatenate([*program.embeddings.values()]).any(axis=0)
    writes = {START: np.where(start, np.inf, -np.inf)}
    for node in program.nodes:
        writes[node] = strength[f"{node}_out"].max(axis=0)
    reads = {
        path: values.max(axis=1)
        for path, values in strength.items()
        if not path.endswith("_out")
    }
    reads[END] = np.full(program.width, -np.inf)
    reads[END][list(program.output)] = np.inf
    of_edges = {
        (writer, reader): float(np.minimum(writes[writer], reads[reader]).max())
        for writer, reader in edges(program)
    }
    return {n: float(writes[n].max()) for n in program.nodes}, of_edges


def _is_there(program: Program, edge: Edge) -> bool:
    zeros = {path: np.zeros(k.shape) for path, k in program.kernels.items()}
    return scores_of_parts(program, zeros)[1][edge] > -np.inf
