r"""How far do masks depend on beta and network size? (Csordas et al., 2021)

Trains masks for addition and multiplication over a range of beta and of
network sizes, and draws the keep probabilities of masks that other
experiments left: appendix C.2 and C.3; figures 7, 8 and 9.

python -m reproduce.mask_sensitivity \
    --flagfile=reproduce/flags/mask_sensitivity_demo.flags
"""

import dataclasses
import re

import numpy as np

from modularity_tf import WeightMask, plots
from modularity_tf.parts import overlap
from reproduce import add_mul
from reproduce.csordas2021 import arithmetic_masks
from reproduce.harness import claim, experiment

FIGURES = ("7", "8", "9")
TASKS = add_mul.TASKS
NEAR = 3.5  # "near the chosen value": within this factor, of 3 or so a step


@dataclasses.dataclass(frozen=True)
class Config(arithmetic_masks.Config):
    """Every field is a flag; the defaults are the paper's values."""

    betas: tuple[float, ...] = experiment.field(
        (1e-5, 3e-5, 1e-4, 3e-4, 1e-3), "Penalties of figure 8."
    )
    beta_networks: tuple[str, ...] = experiment.field(
        ("800x800x800x800", "2000x2000x2000x2000"),
        "Hidden layers of the networks of figure 8.",
    )
    size_networks: tuple[str, ...] = experiment.field(
        (
            "400x400x200",
            "800x800x800x800",
            "2000x2000x2000x2000",
            "4000x4000x4000x4000",
        ),
        "Hidden layers of the networks of figure 9, the smallest first.",
    )
    mask_files: tuple[str, ...] = experiment.field(
        (), "Masks (.npz) for figure 7; those of this run if empty.", False
    )

    def __post_init__(self):
        super().__post_init__()
        if self.network != "fnn":
            raise ValueError("--network must be fnn here: the sizes are its.")
        for name in (*self.beta_networks, *self.size_networks):
            if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", name):
                raise ValueError(
                    "--beta_networks and --size_networks must be like "
                    f"400x400x200, got {name!r}."
                )
        if not self.betas or min(self.betas) <= 0:
            raise ValueError(f"--betas must be positive, got {self.betas}.")
        if self.beta not in self.betas:
            raise ValueError(
                f"--beta={self.beta}, the value marked, must be one of "
                f"--betas={self.betas}."
            )
        if len(self.beta_networks) > 2:
            raise ValueError("--beta_networks are two at most: 8a and 8b.")
        if self.find_beta or self.held_out_fraction:
            raise ValueError(
                "--find_beta and --held_out_fraction are flags of "
                "reproduce.add_mul: search there, and pass the beta here."
            )
        if not self.size_networks or not self.beta_networks:
            raise ValueError("--beta_networks or --size_networks is empty.")

    def with_sizes(self, name):
        """Returns the configuration with one of the networks."""
        return dataclasses.replace(self, sizes=tuple(map(int, name.split("x"))))


def trainings(config):
    """Yields every network with the betas its masks are trained with."""
    for name in dict.fromkeys((*config.beta_networks, *config.size_networks)):
        betas = [config.beta] if name in config.size_networks else []
        betas += config.betas if name in config.beta_networks else ()
        yield name, sorted(set(betas))


def analyse(run, seed):
    """Carries out the stages of one seed, and returns its record."""
    config = run.config
    points = []
    for name, betas in trainings(config):
        own = config.with_sizes(name)
        subject = arithmetic_masks.Subject(
            run,
            add_mul.make_problem(own, seed),
            seed,
            f"{name}/seed{seed}",
            own,
        )
        dense = subject.scores("dense", lambda s=subject: s.network)
        for beta in betas:
            masks = {
                task: subject.mask(
                    task,
                    beta / config.mask_batch_size,
                    f"mask_{task}_beta{beta:g}",
                )
                for task in TASKS
            }
            accuracy = {
                task: subject.scores(
                    f"{task}_beta{beta:g}",
                    lambda m=mask, s=subject: m.apply(s.network),
                    (task,),
                )[task]
                for task, mask in masks.items()
            }
            shared = overlap.sharing_with_others(
                {task: mask.values for task, mask in masks.items()}
            )
            points.append(
                {
                    "network": name,
                    "beta": beta,
                    "dense": dense,
                    "accuracy": accuracy,
                    "sharing": {t: f["total"].share for t, f in shared.items()},
                    "expected": {
                        t: f["total"].expected_share for t, f in shared.items()
                    },
                    "histograms": {
                        task: mask.provenance["keep_probabilities"]
                        for task, mask in masks.items()
                    },
                }
            )
    return {
        "seed": seed,
        "beta": config.beta,
        "betas": config.betas,
        "beta_networks": config.beta_networks,
        "size_networks": config.size_networks,
        "points": points,
    }


def own_histograms(record):
    """Returns the keep probabilities of this run's masks, by caption."""
    return {
        f"{point['network']}, {task}": histogram
        for point in record["points"]
        if point["beta"] == record["beta"]
        for task, histogram in point["histograms"].items()
    }


def _histogram(file, mask):
    if "keep_probabilities" not in mask.provenance:
        raise ValueError(
            f"--mask_files: {file} does not tell the keep probabilities; it "
            "was not written by MaskedModel.weight_mask()."
        )
    return mask.provenance["keep_probabilities"]


def at(record, network, betas):
    """Returns the points of a network at some of the betas."""
    return [
        point
        for point in record["points"]
        if point["network"] == network and point["beta"] in betas
    ]


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    chosen = records[0]["beta"]
    sizes, swept = records[0]["size_networks"], records[0]["beta_networks"]
    near = [
        beta
        for beta in records[0]["betas"]
        if chosen / NEAR <= beta <= chosen * NEAR
    ]

    def shared(record, network):
        (point,) = at(record, network, [chosen])
        return point["sharing"]["add"]

    def spread(record, network):
        values = [
            np.mean(list(point["sharing"].values()))
            for point in at(record, network, near)
        ]
        if len(values) < 2:
            return float("nan")  # nothing to compare with
        return float(max(values) - min(values))

    found = [
        claim.Claim(
            f"larger networks share less: {sizes[0]} less {sizes[-1]}",
            "less",
            tuple(shared(r, sizes[0]) - shared(r, sizes[-1]) for r in records),
            0.0,
        )
    ]
    for network in swept:
        found.append(
            claim.Claim(
                f"{network}: sharing hardly depends on beta near the chosen "
                f"one ({min(near):g} to {max(near):g}), range",
                "not very sensitive",
                tuple(spread(r, network) for r in records),
                0.1,
                at_least=False,
            )
        )
    return found


def draw(records):
    """Returns figures 7, 8 and 9, drawn from the records alone."""
    chosen = records[0]["beta"]
    figures = {
        "fig07_keep_probabilities": plots.keep_probabilities(
            records[0]["shown_histograms"], "expected values of the masks"
        )
    }
    for letter, network in zip("ab", records[0]["beta_networks"]):
        points = []
        for beta in records[0]["betas"]:
            found = [p for r in records for p in at(r, network, [beta])]
            points.append(
                {
                    "beta": beta,
                    **{
                        key: [np.mean(list(p[key].values())) for p in found]
                        for key in ("accuracy", "sharing")
                    },
                }
            )
        figures[f"fig08{letter}_sensitivity_{network}"] = plots.sensitivity(
            points, chosen, f"addition and multiplication, {network}"
        )
    names = records[0]["size_networks"]
    shared, expected = (
        {
            "add": 100
            * np.array(
                [
                    [at(r, name, [chosen])[0][key]["add"] for name in names]
                    for r in records
                ]
            )
        }
        for key in ("sharing", "expected")
    )
    figures["fig09_sharing_by_size"] = plots.grouped_bars(
        shared, names, "weights shared [%]", "the mask of addition", expected
    )
    return figures


def main(config):
    plan = list(trainings(config))
    steps = sum(
        config.network_steps + 2 * len(betas) * config.mask_steps
        for _, betas in plan
    )
    steps *= len(config.seeds)
    with experiment.Run(config, "mask_sensitivity", steps) as run:
        if config.stage == "figures":
            run.draw(draw)
            return
        given = {
            file: _histogram(file, WeightMask.load(file))
            for file in config.mask_files  # a wrong file ends it here
        }
        if config.dry_run or steps > experiment.LONG_RUN_STEPS:
            run.estimate(
                [
                    phase
                    for name, betas in plan
                    for phase in arithmetic_masks.phases(
                        config.with_sizes(name),
                        add_mul.make_problem(config, 0),
                        len(config.seeds),
                        2 * len(betas),
                    )
                ]
            )
        if config.dry_run:
            return
        records = [analyse(run, seed) for seed in config.seeds]
        for record in records:
            record["shown_histograms"] = given or own_histograms(records[0])
        run.finish(records, claims, draw)


if __name__ == "__main__":
    experiment.run_main(Config, main)
