"""Methods that look for the nodes and edges that a compiled program needs."""

import functools
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from sklearn import metrics

import modularity_tf as mtf
from modularity_tf.network import batches
from reproduce.known_truth.others import circuits, transformer
from reproduce.known_truth.others.programs import Program

MASK, EDGES, GATES, GATES_MASK = "mask", "edges", "gates", "gates_mask"
SCORES = ("gradient", "ablation", "magnitude", "random")
METHODS = (MASK, EDGES, GATES, GATES_MASK, *SCORES)
# Of the mask to score where no penalty leaves one that performs.
_PERFORMS_NOT = {"alpha": 1e-5}
_EXAMPLES = 256  # of scores
_LOSS = "mean_squared_error"
# Of masks over weights. Compiled MLPs have steps a hundred times as steep as
# their weights: soft masks that start at .9, the default, answer hardly
# anything right.
KEEP_PROBABILITY = 0.9975


def look(
    program: Program,
    truth: circuits.Truth,
    own: Mapping[str, np.ndarray],
    method: str,
    ablation: str,
    *,
    steps: int | None,
    seed: int,
) -> dict[str, Any]:
    """Returns what a method finds of a program.

    Args:
        program: `Program`, with decoys or without.
        truth: What it needs.
        own: Dict from the name of a kernel to a bool array, the weights that
            are no decoys.
        method: One of `METHODS`.
        ablation: One of `transformer.ABLATIONS`.
        steps: As in `find_weights`.
        seed: Int, not negative.

    Returns:
        Dict of `nodes` and `edges`, each with `auc`, and for a method with a
        threshold `precision`, `recall` and `exact`, whether it is the truth; of
        `weights` with `precision`, the share of what is kept that is no decoy,
        and `recall`, of the weights that are needed one by one; and of
        `performs`. Gates know no edges.
    """
    model = transformer.build(program, ablation, edges=method == EDGES)
    data, validation = transformer.data(program, ablation, seed)
    are_good = True
    if method in (GATES, GATES_MASK):
        find = functools.partial(
            mtf.find_neurons,
            model,
            data,
            method="mask",
            validation_data=validation,
            layers=[path for path in program.kernels if path.endswith("_out")],
            steps=steps,
            seed=seed,
        )
        gates, are_good = _found(program, find)
    if method == GATES:
        scores, kept = (
            _nodes(program, {p: v[None] for p, v in of_layers.items()})
            for of_layers in (gates.scores, gates.values)
        )
        nodes = _judged(truth.nodes, scores, kept)
        return {"nodes": nodes, "performs": are_good}
    if method == GATES_MASK and are_good:
        model = gates.apply(model)
    if method in SCORES:
        return _judged_scores(
            program,
            truth,
            mtf.weight_scores(
                model,
                batches.take(data, slice(0, _EXAMPLES)),
                method=method,
                loss=_LOSS,
                layers=[*program.kernels],
                seed=seed,
            ),
        )
    readers = [*dict.fromkeys(reader for _, reader in truth.edges)]
    layers = [*program.kernels]
    if method == EDGES:
        layers = [transformer.edge_layer(reader) for reader in readers]
    find = functools.partial(
        mtf.find_weights,
        model,
        data,
        validation,
        layers=layers,
        steps=steps,
        seed=seed,
    )
    if method != EDGES:
        find = functools.partial(
            find, initial_keep_probability=KEEP_PROBABILITY
        )
    mask, performs = _found(program, find)
    if method == EDGES:
        scores, kept = (
            _of_edges(truth.edges, readers, values)
            for values in (mask.scores, mask.values)
        )
        nodes = (_writers(truth.nodes, each) for each in (scores, kept))
        return {
            "nodes": _judged(truth.nodes, *nodes),
            "edges": _judged(truth.edges, scores, kept),
            "performs": performs,
        }
    kept = _of_kernels(program, mask.values)
    return {
        **_judged_scores(
            program,
            truth,
            mask.scores,
            _nodes(program, kept),
            edges_of(program, mask, model),
        ),
        "weights": _of_weights(program, truth, own, kept),
        "performs": performs and are_good,
    }


def _judged_scores(program, truth, scores, nodes=None, edges=None):
    """Returns how well scores of weights, and sets of parts, tell the truth."""
    of_nodes, of_edges = circuits.scores_of_parts(
        program, _of_kernels(program, scores)
    )
    return {
        "nodes": _judged(truth.nodes, of_nodes, nodes),
        "edges": _judged(truth.edges, of_edges, edges),
    }


def _of_edges(edges, readers, values):
    """Returns the values of edges, of a kernel for each reader."""
    of_readers = {
        reader: iter(values[f"{transformer.edge_layer(reader)}/kernel"][:, 0])
        for reader in readers
    }  # the writers of a reader are in the order of `circuits.edges`
    return {edge: next(of_readers[edge[1]]) for edge in edges}


def _writers(nodes, of_edges):
    """Returns of each node the highest value of an edge from it."""
    return {
        node: max(v for (writer, _), v in of_edges.items() if writer == node)
        for node in nodes
    }


def _of_kernels(program, values):
    """Returns the arrays of weights by the names of kernels."""
    return {path: values[f"{path}/kernel"] for path in program.kernels}


def _found(program, find):
    """Returns what a search finds, and whether it performs."""
    find = functools.partial(
        find,
        loss=_LOSS,
        metrics=[transformer.accuracy_of(program)],
        verbose=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # measured, not told
        try:
            return find(), True
        except mtf.NoMaskError:
            return find(**_PERFORMS_NOT), False


def edges_of(
    program: Program, mask: mtf.WeightMask, model: keras.Model
) -> dict[circuits.Edge, bool]:
    """Returns which edges a mask keeps.

    Args:
        program: `Program`.
        mask: `WeightMask` over its kernels.
        model: That of `transformer.build`.
    """
    kept = {edge: False for edge in circuits.edges(program)}
    for (writer, reader), count in mask.edges(model).items():
        node = writer.partition("_")[0]
        if writer in program.embeddings:
            node = circuits.START
        if (node, reader) in kept:
            kept[node, reader] |= count > 0
    return kept


def _nodes(program, scores):
    """Returns the scores of nodes, or whether they stay, by what they write."""
    found = {}
    for node in program.nodes:
        path = f"{node}_out"
        there = program.kernels[path] != 0
        found[node] = np.where(there, scores[path], -np.inf).max()
    return found


def _judged(needed, scores, kept):
    """Returns how well scores, and a set, tell which parts are needed."""
    positive = np.array([needed[part] for part in scores])
    value = np.array([float(scores[part]) for part in scores])
    known = np.isfinite(value)
    top = np.abs(value[known]).max(initial=0.0) + 1
    value = np.where(known, value, np.where(value > 0, 2 * top, -2 * top))
    found = {"auc": float(metrics.roc_auc_score(positive, value))}
    if kept is not None:
        inside = np.array([kept[part] > 0 for part in scores])
        hits = float(np.sum(positive & inside))
        found |= {
            "precision": hits / int(inside.sum()) if inside.any() else None,
            "recall": hits / int(positive.sum()),
            "exact": bool((positive == inside).all()),
        }
    return found


def _of_weights(program, truth, own, kept):
    """Returns precision and recall over weights that are not zero."""
    there = {path: kernel != 0 for path, kernel in program.kernels.items()}
    kept_there = sum(int((kept[p] & there[p]).sum()) for p in there)
    kept_own = sum(int((kept[p] & there[p] & own[p]).sum()) for p in there)
    needed = sum(int(flags.sum()) for flags in truth.weights.values())
    hits = sum(int((kept[p] & truth.weights[p]).sum()) for p in there)
    return {
        "precision": kept_own / kept_there if kept_there else None,
        "recall": hits / needed,
    }
