"""Records of two-module networks, made up, for tests of what they show."""


def record(p, spec, seed=0, demand=2, accuracy=0.95, **kwargs):
    """Returns a record whose measures all have this specialization."""
    measure = [
        [0.5 + spec / 2, 0.5 - spec / 2],
        [0.5 - spec / 2, 0.5 + spec / 2],
    ]
    plain = {
        "accuracy": accuracy,
        "q_weighted": 0.4,
        "mask": measure,
        "correlation": measure,
        "cka_distance": measure,
        "mask_accuracy": [0.9, 0.8],
    }
    return {
        "data": "digits",
        "chance": 0.1,
        "p": p,
        "seed": seed,
        "demand": demand,
        "plain": plain,
        "bottleneck": {"accuracy": accuracy, "bottleneck": measure},
        **kwargs,
    }


def sweep(values=(0.9, 0.4, 0.1, 0.0), **kwargs):
    """Returns records from the densest to the sparsest."""
    fractions = (1e-4, 1e-3, 0.1, 1.0)
    pairs = reversed([*zip(fractions, values, strict=True)])
    return [record(p, spec, **kwargs) for p, spec in pairs]


def several(values=(0.9, 0.4, 0.1, 0.0), **kwargs):
    """Returns sweeps of three seeds that differ a little."""
    return [
        made
        for seed in range(3)
        for made in sweep(
            [v + 1e-3 * seed for v in values], seed=seed, **kwargs
        )
    ]


def controls(accuracy, mask_accuracy, readout, spec=0.2):
    measure = [
        [0.5 + spec / 2, 0.5 - spec / 2],
        [0.5 - spec / 2, 0.5 + spec / 2],
    ]
    return {
        "untrained": {
            "mask_accuracy": [mask_accuracy] * 2,
            "readout": [readout] * 2,
            "bottleneck": measure,
            "mask": measure,
            "correlation": measure,
        },
        "no_rewiring": {"accuracy": accuracy, "correlation": measure},
        "no_walk": {"accuracy": accuracy, "correlation": measure},
    }
