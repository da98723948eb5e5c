r"""Does a network reuse weights for the same operation? (Csordas et al., 2021)

Trains a network to add two pairs of numbers on separate inputs and outputs,
then a mask for each pair, and shows what the masks share and what they
perform: section 3.2, appendix C.4; figures 2, 13 and 14.

An LSTM sees both pairs all the time (`together`) or one after the other
(`in_turn`); the experiment compares the two.

python -m reproduce.double_add \
    --flagfile=reproduce/flags/double_add_demo.flags
"""

import dataclasses

import numpy as np

from reproduce.csordas2021 import arithmetic_data, arithmetic_masks
from reproduce.harness import claim, experiment

FIGURES = ("2", "13", "14")
TASKS = arithmetic_data.DoubleAdd.tasks
FNN, LSTM = ("passes",), ("together", "in_turn")
SHOWN = {
    "passes": "a pair a pass",
    "together": "pairs together",
    "in_turn": "pairs in turn",
}
NUMBERS = {  # presentation: figures of accuracy and of sharing
    "passes": ("fig02a", "fig13a"),
    "together": ("fig02b", "fig13b"),
    "in_turn": ("fig14", "fig14"),
}


@dataclasses.dataclass(frozen=True)
class Config(arithmetic_masks.Config):
    """Every field is a flag; the defaults are the paper's values."""

    beta: float = experiment.field(
        4e-4,
        "Penalty: each logit costs beta / mask_batch_size. The paper's 4e-4 is "
        "for the FNN; 1e-4 for the LSTM.",
    )


def presentations(config):
    """Returns how the pairs are shown to this kind of network."""
    return LSTM if config.network == "lstm" else FNN


def make_problem(config, presentation, seed):
    """Returns the task with the pairs that a repeat trains on."""
    pairs, _ = arithmetic_masks.operands(config, seed)
    return arithmetic_data.DoubleAdd(config.digits, pairs, presentation)


def analyse(run, presentation, seed):
    """Carries out the stages of one seed and returns its record."""
    config = run.config
    problem = make_problem(config, presentation, seed)
    folder = f"{config.network}_{presentation}/seed{seed}"
    subject = arithmetic_masks.Subject(run, problem, seed, folder)
    record = subject.record(arithmetic_masks.operands(config, seed)[1])
    return {**record, "presentation": presentation}


def inverted_drop(record):
    """Returns what a pair loses without the weights that the other needs.

    The loss of accuracy relative to the network, mean over both pairs.
    """
    return float(
        np.mean(
            [
                1
                - record["accuracy"][f"not {other}"][own]
                / max(record["dense"][own], 1e-9)
                for own, other in (TASKS, TASKS[::-1])
            ]
        )
    )


def total_sharing(record):
    """Returns the share of a mask that the other has too, mean of both."""
    return float(np.mean([record["sharing"][t][-1]["share"] for t in TASKS]))


def outer_sharing(record):
    """Returns the largest sharing in the first and the last layer."""
    last = record["layers"].index("output")
    return max(
        record["sharing"][t][i]["share"] for t in TASKS for i in (0, last)
    )


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    found = []
    for name, repeats in by_presentation(records).items():
        stated = [
            *arithmetic_masks.common_claims(repeats, TASKS),
            claim.Claim(
                "little sharing in total",
                "low",
                tuple(total_sharing(r) for r in repeats),
                0.2,
                at_least=False,
            ),
            claim.Claim(
                "no sharing in the first and last layer (the larger)",
                "0",
                tuple(outer_sharing(r) for r in repeats),
                0.0,
                at_least=False,
            ),
            claim.Claim(
                "without the weights of one pair the other drops by",
                "slightly",
                tuple(inverted_drop(r) for r in repeats),
                0.1,
                at_least=False,
            ),
        ]
        found += [
            dataclasses.replace(c, statement=f"{name}: {c.statement}")
            for c in stated
        ]
    groups = by_presentation(records)
    if set(LSTM) <= set(groups):
        pairs = zip(*(groups[name] for name in LSTM), strict=True)
        found.append(
            claim.Claim(
                "LSTM in turn shares no more than together, by",
                "0",
                tuple(total_sharing(b) - total_sharing(a) for a, b in pairs),
                0.05,
                at_least=False,
            )
        )
    return found


def by_presentation(records):
    """Returns the records grouped by how the pairs were shown."""
    groups = {}
    for record in records:
        groups.setdefault(record["presentation"], []).append(record)
    return groups


def draw(records):
    """Returns figures 2, 13 and 14, drawn from the records alone."""
    figures = {}
    for name, repeats in by_presentation(records).items():
        kind = "FNN" if name in FNN else "LSTM"
        title = f"double addition, {kind}, {SHOWN[name]}"
        accuracy, sharing = NUMBERS[name]
        figures |= arithmetic_masks.accuracy_figure(
            repeats, TASKS, title, accuracy
        )
        figures |= arithmetic_masks.sharing_figure(
            repeats, TASKS, title, sharing
        )
    return figures


def main(config):
    shown = presentations(config)
    arithmetic_masks.run_repeats(
        config,
        "double_add",
        [make_problem(config, name, 0) for name in shown],
        [
            lambda run, seed, name=name: analyse(run, name, seed)
            for name in shown
        ],
        claims,
        draw,
    )


if __name__ == "__main__":
    experiment.run_main(Config, main)
