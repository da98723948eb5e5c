"""Trains masks over many networks with many betas: mask_sensitivity's stages.

The functions take the `Config` of `reproduce.mask_sensitivity`.
"""

from modularity_tf import WeightMask
from modularity_tf.findings import overlap
from reproduce.csordas2021.arithmetic import data, stages
from reproduce.csordas2021.mask_training import TIMES
from reproduce.publishing import records


def plan(run):
    """Plans all networks and masks; returns the records to be."""
    config = run.config
    shown = {
        file: histogram(WeightMask.load(file), f"--mask_files: {file}")
        for file in config.mask_files
    }
    points = {seed: plan_points(run, seed) for seed in config.seeds}
    if not shown:
        shown = run.combine(own_histograms, config, points[config.seeds[0]])
    return [
        {
            "seed": seed,
            "beta": config.beta,
            "betas": config.betas,
            "beta_networks": config.beta_networks,
            "size_networks": config.size_networks,
            "points": points[seed],
            "shown_histograms": shown,
        }
        for seed in config.seeds
    ]


def trainings(config):
    """Returns a dict from every network to the betas of its masks."""
    found = {}
    for name in (*config.beta_networks, *config.size_networks):
        betas = {config.beta} if name in config.size_networks else set()
        if name in config.beta_networks:
            betas.update(config.betas)
        found[subject_of(name)] = sorted(betas)
    return found


def subject_of(name):
    """Returns the network with the hidden layers of a name, 400x400x200 say."""
    sizes = tuple(map(int, name.split("x")))
    return stages.Subject(name, "add_mul", sizes)


def plan_points(run, seed):
    """Plans the stages of one seed; returns its points to be, a list."""
    points = []
    for subject, betas in trainings(run.config).items():
        network, dense = stages.plan_network(run, subject, seed)
        points += [
            plan_point(run, subject, seed, network, dense, beta)
            for beta in betas
        ]
    return points


def plan_point(run, subject, seed, network, dense, beta):
    """Plans the masks of one network and beta; returns the point to be."""
    alpha = beta / run.config.mask_batch_size
    masks, again, scores = {}, {}, {}
    for task in data.AddMul.tasks:
        name = f"{task}_beta{beta:g}"
        masks[task], again[task] = (
            stages.plan_mask(
                run, subject, seed, network, task, alpha, f"mask_{name}{time}"
            )
            for time in TIMES
        )
        scores[task] = stages.plan_stage(
            run,
            subject,
            seed,
            f"scores_{name}",
            stages.score,
            network,
            masks[task],
            task,
        )
    point = {"network": subject.name, "beta": beta, "dense": dense}
    return run.combine(complete, point, scores, masks, again)


def complete(point, scores, masks, again):
    """Returns a point with what it has of the masks."""
    shared = overlap.sharing_with_others(
        {task: mask.values for task, mask in masks.items()}
    )
    total = {task: found["total"] for task, found in shared.items()}
    return {
        **point,
        "accuracy": {task: found[task] for task, found in scores.items()},
        "sharing": records.without_nan(
            {task: found.share for task, found in total.items()}
        ),
        "expected": records.without_nan(
            {task: found.expected_share for task, found in total.items()}
        ),
        "ceiling": records.without_nan(
            {
                task: mask.overlap(again[task]).share
                for task, mask in masks.items()
            }
        ),
        "histograms": {
            task: histogram(mask, f"the mask of {task}")
            for task, mask in masks.items()
        },
    }


def own_histograms(config, points):
    """Returns the keep probabilities of this run's masks, by caption."""
    return {
        f"{point['network']}, {task}": counts
        for point in points
        if point["beta"] == config.beta
        for task, counts in point["histograms"].items()
    }


def histogram(mask, name):
    """Returns how the keep probabilities of a mask are distributed."""
    if "keep_probabilities" not in mask.provenance:
        raise ValueError(
            f"{name} does not tell the keep probabilities; it was not written "
            "by MaskedModel.weight_mask()."
        )
    return mask.provenance["keep_probabilities"]


def phases(config):
    """Returns what the estimate times: each network, and a mask over it."""
    return stages.phases(config, trainings(config))
