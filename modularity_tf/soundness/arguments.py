"""What `check` is given, refused where it can't be meant so."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import keras
import numpy as np

from modularity_tf.findings import part_set
from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.findings.weight_mask import WeightMask

_Parts = TypeVar("_Parts", bound=part_set.PartSet)


def check_finding(
    argument: str, found: Any, model: keras.Model, is_twin: bool = False
) -> None:
    """Raises `ValueError` if something is no finding to check in a model."""
    if not isinstance(found, (WeightMask, NeuronSelection)):
        raise ValueError(
            f"`{argument}` must be a WeightMask or a NeuronSelection, got "
            f"{found!r}."
        )
    try:
        found.check_fits(model)
    except ValueError as error:
        if not is_twin:
            raise
        raise ValueError(
            "`untrained` must have the weights of `model` under the same "
            "names, as `keras.models.clone_model(model)` has, before it is "
            f"trained: {error}"
        ) from error
    if not any(value.any() for value in found.values.values()):
        raise ValueError(f"`{argument}` is empty: {found!r}.")
    if not is_twin:
        found.check_found_in(model, argument)


def checked_list(
    argument: str,
    given: Any,
    finding: _Parts,
    model: keras.Model,
    known: Sequence[_Parts] = (),
) -> list[_Parts]:
    """Returns findings like another, after checks."""
    if isinstance(given, type(finding)):
        given = [given]
    if not isinstance(given, (list, tuple)):
        raise ValueError(
            f"`{argument}` must be a list of findings, got {given!r}."
        )
    for i, found in enumerate(given):
        name = f"{argument}[{i}]"
        check_finding(name, found, model)
        try:
            finding.overlap(found)
        except ValueError as error:
            raise ValueError(
                f"`{name}` is not over the parts of `finding`: {error}"
            ) from error
        for one in (*known, *given[:i]):
            is_same = one is found or (
                one == found
                and "seed" in one.provenance
                and one.provenance == found.provenance
            )
            if is_same:
                raise ValueError(
                    f"`{name}` is a finding that is there already: each must "
                    "be extracted anew, with another seed."
                )
    return list(given)


def checked_others(
    others: Any, finding: _Parts, model: keras.Model
) -> dict[str, list[_Parts]]:
    """Returns a dict from task to findings, after checks."""
    if others is None:
        return {}
    if not isinstance(others, Mapping):
        raise ValueError(
            "`others` must be a dict from the name of a task to findings, got "
            f"{others!r}."
        )
    found = {}
    for name, given in others.items():
        argument = f"others[{name!r}]"
        found[name] = checked_list(argument, given, finding, model)
        if not found[name]:
            raise ValueError(f"`{argument}` has no finding.")
    return found


def checked_scores(
    scores: Any, finding: part_set.PartSet
) -> dict[str, np.ndarray]:
    """Returns scores as a dict of arrays, after checks."""
    wanted = {path: v.shape for path, v in finding.values.items()}
    found = {}
    if isinstance(scores, Mapping):
        found = {path: np.asarray(value) for path, value in scores.items()}
    shapes = {path: value.shape for path, value in found.items()}
    if shapes != wanted:
        raise ValueError(
            "`scores` must be a dict of arrays like those of `finding`, "
            f"{wanted}, got {shapes or scores!r}."
        )
    for path, value in found.items():
        if value.dtype.kind not in "iufb" or np.isnan(value).any():
            raise ValueError(f"`scores` of {path!r} must be numbers, not NaN.")
    return {path: value.astype("float64") for path, value in found.items()}
