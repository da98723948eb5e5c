"""Every method looks for what was planted: stages of planted.

The functions take the `Config` of `reproduce.planted`.
"""

import keras
import numpy as np
from keras import ops

from modularity_tf.masking import find_weights, scored_model, weight_scores
from reproduce.harness import records, training
from reproduce.known_truth import boolean_networks, cases

MASKS = ("mask", "mask_paper")
METHODS = (*MASKS, "edge_popup", *weight_scores.METHODS)


def plan(run):
    """Plans every method on every case and seed; returns the records."""
    return [
        plan_network(run, case, seed)
        for seed in run.config.seeds
        for case in run.config.cases
    ]


def plan_network(run, case, seed):
    """Plans all methods on one network; returns the record to be."""
    config, folder = run.config, f"{case}/seed{seed}"

    def stage(what, *args):
        return run.stage(
            f"{folder}/{what}", *args, seed=seed, steps=1, phase="methods"
        )

    scores = {
        method: stage(method, look, case, method) for method in config.methods
    }
    record = {"case": case, "seed": seed, "scores": scores}
    if case.startswith("shared"):
        record["sharing"] = {
            method: stage(f"{method}_sharing", measure_sharing, case, method)
            for method in ("mask",)
            if method in config.methods
        }
    return record


def phases(config):
    """Returns what the estimate times: a method that trains nothing."""
    planted = planted_network(config.cases[0], 0)

    def work(count):
        for _ in range(count):
            find(config, planted, 0, "gradient", 0)

    return {"methods": training.Phase(work)}


def planted_network(case, seed):
    """Returns the network of a case, another one a seed."""
    return boolean_networks.build(cases.CASES[case], seed)


def look(stage, case, method):
    """Returns the scores of a method for the first output of a network."""
    planted = planted_network(case, stage.seed)
    seed = stage.derive_seed(method)
    scores, kept, told = find(stage.config, planted, 0, method, seed)
    return records.without_nan({**cases.score(planted, scores, kept), **told})


def measure_sharing(stage, case, method):
    """Returns the share of the first output's units that both need.

    Returns:
        Dict of `true` and `found`: of the units into which weights of a mask
        lead, how many have weights of the other mask.
    """
    planted = planted_network(case, stage.seed)
    sets = []
    for output in (0, 1):
        seed = stage.derive_seed(method, output)
        _, kept, _ = find(stage.config, planted, output, method, seed)
        needed = planted.weights(output, "needed")
        sets.append(
            [part["hidden/kernel"].any(axis=0) for part in (needed, kept)]
        )
    (first, found_first), (second, found_second) = sets
    return records.without_nan(
        {
            "true": float(np.mean(second[first])),
            "found": float(np.mean(found_second[found_first]))
            if found_first.any()
            else float("nan"),
        }
    )


def find(config, planted, output, method, seed):
    """Returns what a method says of each weight.

    Args:
        config: `Config`.
        planted: `Planted`.
        output: Int, the output that is the task.
        method: One of `METHODS`.
        seed: Int.

    Returns:
        Dict from weight path to scores, a dict to bools (`None` for methods
        without a threshold of their own) and a dict with what else is known.
    """
    order = np.random.default_rng(seed).permutation(len(planted.inputs))
    count = min(config.examples, len(order) // 2)
    half = order[:count], order[-count:]
    data, validation = (
        (planted.inputs[rows], planted.labels[rows]) for rows in half
    )
    loss, accuracy = task(output)
    if method in MASKS:
        drawn = {}
        if method == "mask_paper":
            drawn = {"num_samples": 4, "keep_probability": 0.9}
        return find_mask(
            config, planted, data, validation, loss, accuracy, drawn, seed
        )
    if method == "edge_popup":
        return find_by_popup(config, planted, data, loss, seed)
    scores = weight_scores.weight_scores(
        planted.model, data, method, loss=loss, seed=seed
    )
    return scores, None, {}


def find_mask(config, planted, data, validation, loss, accuracy, drawn, seed):
    """Returns what `find_weights` finds, with its logits as scores."""
    logits = _Logits()
    try:
        mask = find_weights.find_weights(
            planted.model,
            data,
            validation,
            loss=loss,
            metrics=[accuracy],
            **drawn,
            steps=config.mask_steps or None,
            seed=seed,
            callbacks=[logits],
            verbose=0,
        )
    except ValueError as error:
        if "No mask keeps" not in str(error):
            raise
        # No alpha keeps the performance: what the last one left.
        found = logits.found[max(logits.found)]
        kept = {path: value > 0 for path, value in found.items()}
        return found, kept, {"performs": False}
    found = logits.found[mask.provenance["alpha"]]
    return (
        found,
        dict(mask.values),
        {
            "performs": True,
            "keep_probability": mask.provenance["keep_probability"],
        },
    )


def find_by_popup(config, planted, data, loss, seed):
    """Returns the scores of edge-popup, at the share that is needed.

    The share is told, which no user could: its best case.
    """
    needed = planted.weights(0, "needed", "copy")
    count = sum(int(flags.sum()) for flags in needed.values())
    kernels = planted.model.get_weights()[::2]
    total = sum(int(np.count_nonzero(kernel)) for kernel in kernels)
    scored = scored_model.ScoredModel(
        planted.model, share=count / total, seed=seed
    )
    scored.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    scored.fit(
        *data,
        batch_size=128,
        epochs=config.popup_epochs,
        verbose=0,
        shuffle=False,
    )
    mask = scored.weight_mask()
    scores = {
        path: ops.convert_to_numpy(value.value)
        for path, value in scored.scores.items()
    }
    return scores, dict(mask.values), {}


class _Logits(keras.callbacks.Callback):
    """Keeps the logits of every mask that is trained, by its alpha."""

    def __init__(self):
        super().__init__()
        self.found = {}

    def on_train_end(self, logs=None):
        self.found[self.model.alpha] = {
            path: ops.convert_to_numpy(logits.value)
            for path, logits in self.model.mask_logits.items()
        }


def task(output):
    """Returns loss and accuracy of one output, which is a logit."""

    def loss(labels, logits):
        return keras.losses.binary_crossentropy(
            labels[:, output : output + 1],
            logits[:, output : output + 1],
            from_logits=True,
        )

    def accuracy(labels, logits):
        right = (logits[:, output] > 0) == (labels[:, output] > 0.5)
        return ops.cast(right, "float32")

    return loss, accuracy
