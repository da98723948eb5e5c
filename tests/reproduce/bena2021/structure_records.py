"""Records of two-module networks, made up, for tests of what they show."""


def record(p, spec, seed=0, demand=2, accuracy=0.95, **kwargs):
    """Returns a record whose measures all have this specialization."""
    measure = [
        [0.5 + spec / 2, 0.5 - spec / 2],
        [0.5 - spec / 2, 0.5 + spec / 2],
    ]
    whole = {
        "accuracy": accuracy,
        "message": [0.6, 0.9],  # module 1 receives
        "answered": [0.1, 0.9],
        "misled": [0.93, 0.55],
    }
    plain = {
        **whole,
        **links(),
        "permuted": {"mask": 0.05, "correlation": 0.02},
        "q_weighted": 0.4,
        "mask": measure,
        "correlation": measure,
        "cka_distance": measure,
        "mask_accuracy": [0.9, 0.8],
        "mask_sd": None,
    }
    return {
        "data": "digits",
        "chance": 0.1,
        "arm": "ours",
        "p": p,
        "seed": seed,
        "demand": demand,
        "plain": plain,
        "bottleneck": {
            **whole,
            "bottleneck": measure,
            "bottleneck_sd": [0.02, 0.04],
        },
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


def links():
    """Returns what became of links."""
    return {"steps": 1000, "rewired": 20, "original": 0.5, "age": 0.7}


def controls(accuracy, mask_accuracy, readout, spec=0.2):
    """Returns what the sparsest records have besides."""
    measure = [
        [0.5 + spec / 2, 0.5 - spec / 2],
        [0.5 - spec / 2, 0.5 + spec / 2],
    ]
    control = {"accuracy": accuracy, "correlation": measure, **links()}
    masks = {"mask": measure, "mask_accuracy": [mask_accuracy] * 2}
    return {
        "untrained": {
            **masks,
            "readout": [readout] * 2,
            "bottleneck": measure,
            "correlation": measure,
        },
        "controls": {
            "no_rewiring": control,
            "no_walk": control,
            "gentle_wake": {**control, "accuracy": accuracy + 0.02},
            "earliest": {**control, "accuracy": accuracy + 0.03},
        },
        "shares": [{"share": share, **masks} for share in (0.05, 0.2)],
    }
