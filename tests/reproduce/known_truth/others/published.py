"""Records of others_ground, made up, for tests of what they show."""

TRUTH = {
    "nodes": 2,
    "of_nodes": 10,
    "edges": 5,
    "of_edges": 100,
    "alone": 1.0,
    "is_not_zero": False,
    "weights": 20,
    "not_zero": 30,
    "width": 14,
}


def parts(auc, precision=1.0, recall=1.0):
    """Returns what a method finds of nodes or edges."""
    return {
        "auc": auc,
        "precision": precision,
        "recall": recall,
        "exact": precision == recall == 1.0,
    }


def program(seed, auc, *, name="reverse", form="plain", ablation="zero"):
    """Returns a record of a program; the seed makes areas differ a little."""
    mask = parts(min(1.0, auc + 1e-4 * seed))
    return {
        "ground": "programs",
        "program": name,
        "form": form,
        "ablation": ablation,
        "seed": seed,
        "truth": TRUTH,
        "found": {
            "mask": {"nodes": {**mask}, "edges": mask, "performs": True},
            "random": {
                "nodes": {"auc": 0.6},
                "edges": {"auc": 0.5 + 1e-3 * seed},
            },
        },
    }


def toys(kind, broken, of_networks, mmcs=1.0):
    """Returns a record of toy models of which some are broken."""
    alike = {"precision": 1.0, "recall": 1.0, "cosine": 1.0, "mmcs": mmcs}
    chance = {key: 0.4 for key in alike}
    return {
        "ground": "superposition",
        "kind": kind,
        "networks": [
            {
                "features": 5,
                **alike,
                "mmcs": mmcs - 1e-5 * i,
                "lowest": 0.2 if i < broken else 0.99,
                "broken": i < broken,
                "random": {**chance, "broken": True},
            }
            for i in range(of_networks)
        ],
    }
