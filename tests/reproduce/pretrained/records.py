"""Records of real_networks, as a run would write them."""

from typing import Any

from reproduce.pretrained import claims, stages, texts

RIGHT = {"whole": 0.99, "alone": 0.98, "without": 0.5, "random_alone": 0.5}
RIGHT |= {"random_without": 0.98, "alone_242": 0.99, "without_242": 0.45}
RIGHT |= {"random_without_242": 0.97}


def _part(members: list[str], size: int) -> dict[str, Any]:
    told = {"alpha": 1e-4, "steps": 900, "warnings": []}
    layers = {"hidden/kernel": len(members)}
    return {
        "kept": len(members),
        "size": size,
        "layers": layers,
        "members": members,
        **told,
    }


def record(
    seed: int, *, is_controlled: bool = True, **changes: float
) -> dict[str, Any]:
    """Returns what a seed's record has of both networks.

    Args:
        seed: Int; it moves each number a little.
        is_controlled: Bool, whether it has units and the randomly initialized
            network.
        **changes: From arm to its accuracy, of every kind of text.
    """
    shift = seed / 1000
    accuracy = {
        kind: {arm: v - shift for arm, v in {**RIGHT, **changes}.items()}
        for kind in texts.KINDS
    }
    units = {
        kind: {arm: v for arm, v in arms.items() if not arm.endswith("242")}
        for kind, arms in accuracy.items()
    }
    found = {
        "weights": _part(
            ["hidden/kernel:3", f"hidden/kernel:{102857 - seed}"], 526_550
        ),
        "accuracy": accuracy,
        "soundness": soundness(0.9 - shift),
    }
    if is_controlled:
        found["units"] = _part(["hidden:3"], 2310)
        found["units_accuracy"] = units
        found["smaller"] = {
            "parameters": [535_025, 9_000 + seed],
            "multiply_adds": [6_000_000, 60_000],
            "empty_layers": 24,
            "difference": 1e-7,
            "accuracy": 0.98,
        }
        found["control"] = _part([], 526_550)
        found["control_of_size"] = _part(["hidden/kernel:9"] * 2, 526_550)
        for name, alone in (("control", 0.5), ("control_of_size", 0.55)):
            found[f"{name}_accuracy"] = {
                kind: {"whole": 0.5, "alone": alone} for kind in texts.KINDS
            }
    return {
        "seed": seed,
        stages.DEEPCUT: found,
        stages.CHARS2VEC: {
            task: _strings(own, shift)
            for task, own in (("words", "letters"), ("numbers", "digits"))
        },
    }


def soundness(without: float) -> dict[str, Any]:
    """Returns what a record has of `soundness.check`, in part.

    Args:
        without: The accuracy without the part.
    """
    numbers = {
        "the part alone": (0.98, 0.9, 1.0),
        "without the part": (without, without - 0.1, without + 0.05),
    }
    return {
        "verdict": "Sound: alone the part reaches 98 %.",
        "rows": [
            {"what": what, "value": value, "low": low, "high": high}
            for what, (value, low, high) in numbers.items()
        ],
    }


def _strings(own, shift):
    sizes = {"letters": 5200, "digits": 2000, "others": 4600}
    task = {"letters": "words", "digits": "numbers"}[own]
    explained = {
        other: {"alone": -0.2, "without": 0.4, "random": -0.5}
        for other in ("words", "numbers")
    }
    explained[task]["alone"] = 0.96 - shift
    return {
        "kept": 900,
        "size": 31_800,
        "layers": {},
        "alpha": 1e-4,
        "steps": 900,
        "warnings": [],
        "rows": {k: [400 * (k == own), n] for k, n in sizes.items()},
        "explained": explained,
    }


def claims_of(records: list[dict[str, Any]]) -> dict[tuple[str, str], dict]:
    """Returns the claims on records by id and subject, verdicts included."""
    checked = claims.claims(records).checked()
    return {(one["id"], one["subject"]): one for one in checked}
