r"""How far do masks depend on beta and network size? (Csordas et al., 2021)

Trains masks for addition and multiplication over a range of beta and of
network sizes, and draws the keep probabilities of masks that other
experiments left: appendix C.2 and C.3; figures 7, 8 and 9.

python -m reproduce.mask_sensitivity \
    --flagfile=reproduce/flags/mask_sensitivity_demo.flags
"""

import dataclasses
import re

from reproduce.csordas2021.arithmetic import (
    mask_sensitivity,
    mask_sensitivity_claims,
    networks,
    stages,
)
from reproduce.publishing import experiment
from reproduce.running.configuration import field


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


EXPERIMENT = experiment.Experiment(
    name="mask_sensitivity",
    title="How far do masks depend on beta and network size?",
    paper="Csordas et al., 2021",
    figures={
        "7": "histogram of keep probabilities",
        "8": "sensitivity to beta",
        "9": "sharing by network size",
    },
    config=Config,
    plan=mask_sensitivity.plan,
    phases=mask_sensitivity.phases,
    claims=mask_sensitivity_claims.claims,
    draw=mask_sensitivity_claims.draw,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)
