"""Trains masks with many betas: flags and stages of mask_sensitivity."""

import dataclasses
import re
from collections.abc import Mapping

from modularity_tf import WeightMask
from reproduce.csordas2021 import mask_training, sharing
from reproduce.csordas2021.arithmetic import data, networks, stages
from reproduce.csordas2021.mask_training import TIMES
from reproduce.csordas2021.subject import Subject
from reproduce.publishing import records
from reproduce.running import training
from reproduce.running.configuration import field
from reproduce.running.run import Run
from reproduce.running.stage import Stage


@dataclasses.dataclass(frozen=True)
class Config(stages.Config):
    """Every field is a flag; the defaults are the paper's values."""

    network: str = field("fnn", "Kind of the networks.", one_of=("fnn",))
    sizes: tuple[int, ...] = field(
        networks.SIZES["big"],
        "Has no effect in this experiment: see --beta_networks and "
        "--size_networks.",
        at_least=1,
    )
    betas: tuple[float, ...] = field(
        (1e-5, 3e-5, 1e-4, 3e-4, 1e-3),
        "Strengths of the penalty in figure 8.",
        above=0,
        distinct=True,
    )
    beta_networks: tuple[str, ...] = field(
        ("800x800x800x800", "2000x2000x2000x2000"),
        "Hidden layers of the networks of figure 8, at most two networks.",
        distinct=True,
    )
    size_networks: tuple[str, ...] = field(
        (
            "400x400x200",
            "800x800x800x800",
            "2000x2000x2000x2000",
            "4000x4000x4000x4000",
        ),
        "Hidden layers of the networks of figure 9, the smallest first.",
        distinct=True,
    )
    mask_files: tuple[str, ...] = field(
        (),
        "Files of masks (.npz) for figure 7; the masks of this run if empty.",
        part=True,
        distinct=True,
    )

    def __post_init__(self):
        super().__post_init__()
        for name in (*self.beta_networks, *self.size_networks):
            if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", name):
                raise ValueError(
                    "--beta_networks and --size_networks must be like "
                    f"400x400x200, got {name!r}."
                )
        if self.beta not in self.betas:
            raise ValueError(
                f"--beta={self.beta}, the value marked, must be one of "
                f"--betas={','.join(map(str, self.betas))}."
            )
        if len({f"{beta:g}" for beta in self.betas}) < len(self.betas):
            raise ValueError(
                "--betas must differ in their first six digits, got "
                f"{','.join(map(str, self.betas))}."
            )
        if len(self.beta_networks) > 2:
            raise ValueError(
                "--beta_networks must be two at most, figures 8a and 8b, got "
                f"{','.join(self.beta_networks)}."
            )
        if self.find_beta or self.held_out_fraction:
            raise ValueError(
                "--find_beta and --held_out_fraction are flags of "
                "reproduce.add_mul: search there, and pass the beta here."
            )


def plan(run: Run) -> list[dict]:
    """Plans all networks and masks; returns the records to be."""
    config = run.config
    shown = {
        file: histogram(WeightMask.load(file), f"--mask_files: {file}")
        for file in config.mask_files
    }
    points = {seed: plan_points(run, seed) for seed in config.seeds}
    if not shown:
        shown = run.combine(own_histograms, config, points[config.seeds[0]])
    found = [
        {
            "seed": seed,
            "beta": config.beta,
            "betas": config.betas,
            "beta_networks": config.beta_networks,
            "size_networks": config.size_networks,
            "points": run.combine(without_histograms, points[seed]),
        }
        for seed in config.seeds
    ]
    found[0]["shown_histograms"] = shown
    return found


def trainings(config: Config) -> dict[str, list[float]]:
    """Returns a dict from every network to the betas of its masks."""
    found = {}
    for name in (*config.beta_networks, *config.size_networks):
        betas = {config.beta} if name in config.size_networks else set()
        if name in config.beta_networks:
            betas.update(config.betas)
        found[name] = sorted(betas)
    return found


def subject_of(config: Config, seed: int, name: str) -> Subject[data.AddMul]:
    """Returns the network with the hidden layers of a name, 400x400x200 say."""
    sizes = tuple(map(int, name.split("x")))
    return stages.subject_of(config, seed, name, sizes)


def plan_points(run: Run, seed: int) -> list[Stage]:
    """Plans the stages of one seed; returns its points to be, a list."""
    points = []
    for name, betas in trainings(run.config).items():
        subject = subject_of(run.config, seed, name)
        network, dense = stages.plan_network(run, subject)
        points += [
            plan_point(run, subject, network, dense, beta) for beta in betas
        ]
    return points


def plan_point(
    run: Run,
    subject: Subject[data.AddMul],
    network: Stage,
    dense: Stage,
    beta: float,
) -> Stage:
    """Plans the masks of one network and beta; returns the point to be."""
    alpha = beta / subject.settings.mask_batch_size
    masks, again, scores = {}, {}, {}
    for task in data.AddMul.tasks:
        name = f"{task}_beta{beta:g}"
        masks[task], again[task] = (
            mask_training.plan_mask(
                run, subject, network, name + time, task, alpha
            )
            for time in TIMES
        )
        scores[task] = mask_training.plan(
            run,
            subject,
            f"scores_{name}",
            stages.score,
            network,
            masks[task],
            task,
        )
    point = {"network": subject.name, "beta": beta, "dense": dense}
    return run.combine(complete, point, scores, masks, again)


def complete(
    point: dict,
    scores: Mapping[str, Mapping[str, float]],
    masks: Mapping[str, WeightMask],
    again: Mapping[str, WeightMask],
) -> dict:
    """Returns a point with what it has of the masks."""
    shared = sharing.sharing_with_others(
        {task: mask.values for task, mask in masks.items()}
    )
    found = {
        **point,
        "accuracy": {task: found[task] for task, found in scores.items()},
        "sharing": {task: both.share for task, both in shared.items()},
        "expected": {t: both.expected_share for t, both in shared.items()},
        "ceiling": {
            task: mask.overlap(again[task]).share
            for task, mask in masks.items()
        },
        "histograms": {
            task: histogram(mask, f"the mask of {task}")
            for task, mask in masks.items()
        },
    }
    return records.without_nan(found)


def without_histograms(points: list[dict]) -> list[dict]:
    """Returns points without what figure 7 shows of the first seed alone."""
    return [
        {key: value for key, value in point.items() if key != "histograms"}
        for point in points
    ]


def own_histograms(config: Config, points: list[dict]) -> dict[str, dict]:
    """Returns the keep probabilities of this run's masks, by caption."""
    return {
        f"{point['network']}, {task}": counts
        for point in points
        if point["beta"] == config.beta
        for task, counts in point["histograms"].items()
    }


def histogram(mask: WeightMask, name: str) -> dict:
    """Returns how the keep probabilities of a mask are distributed."""
    if "keep_probabilities" not in mask.provenance:
        raise ValueError(
            f"{name} does not tell the keep probabilities; it was not written "
            "by MaskedModel.weight_mask()."
        )
    return mask.provenance["keep_probabilities"]


def phases(config: Config) -> dict[str, training.Phase]:
    """Returns what the estimate times: each network, and a mask over it."""
    return mask_training.phases(
        subject_of(config, 0, name) for name in trainings(config)
    )
