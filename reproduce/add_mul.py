r"""Do two operations on shared inputs use separate weights? Masks tell.

Trains a network to add and to multiply modulo 10 ** digits, then a mask for
each operation, and shows what the masks share and what they perform: Csordas
et al. (2021), section 3.1, appendix C.3; figures 1, 10, 11 and 12.

python -m reproduce.add_mul \
    --flagfile=reproduce/flags/add_mul_demo.flags
"""

import dataclasses

import numpy as np

from modularity_tf import plots
from reproduce.csordas2021 import arithmetic_data, arithmetic_masks, mask_stages
from reproduce.csordas2021.arithmetic_masks import FULL
from reproduce.harness import claim, experiment

FIGURES = ("1", "10", "11", "12")
TASKS = arithmetic_data.AddMul.tasks
PERFORMED = (*TASKS, "neither")


@dataclasses.dataclass(frozen=True)
class Config(arithmetic_masks.Config):
    """Every field is a flag; the defaults are the paper's values."""


def make_problem(config, seed):
    """Returns the task with the pairs that a repeat trains on."""
    pairs, _ = arithmetic_masks.operands(config, seed)
    return arithmetic_data.AddMul(config.digits, pairs)


def analyse(run, seed):
    """Carries out the stages of one seed and returns its record."""
    config = run.config
    problem = make_problem(config, seed)
    folder = f"{config.network}/seed{seed}"
    subject = arithmetic_masks.Subject(run, problem, seed, folder)
    record = subject.record(arithmetic_masks.operands(config, seed)[1])
    performed = {
        task: run.stage(
            f"{folder}/performed_{task}",
            lambda task=task: performed_operations(
                subject.mask(task).apply(subject.network), problem
            ),
        )
        for task in (FULL, *TASKS)
    }
    return {**record, "network": config.network, "performed": performed}


def performed_operations(model, problem):
    """Returns which operation a model performs where one is asked for.

    Returns:
        List of rows, a task each: the share of pairs whose answer is that of
        addition, of multiplication, of neither. Where both operations agree,
        the answer counts as that of the operation asked for.
    """
    power = 10 ** np.arange(problem.digits)[::-1]
    results = [np.array(values) for values in problem.results(problem.pairs)]
    rows = []
    for i, task in enumerate(TASKS):
        inputs, _ = problem.every(task)
        answers = mask_stages.predict(model, inputs) @ power
        asked = answers == results[i]
        other = (answers == results[1 - i]) & ~asked
        row = [np.mean(asked), np.mean(other)]
        row = row if i == 0 else row[::-1]
        rows.append([*map(float, row), float(np.mean(~asked & ~other))])
    return rows


def under_the_other_mask(record):
    """Returns what comes of an operation under the mask of the other.

    Two shares, means over the operations: the mask's operation is performed,
    neither result comes out.
    """
    rows = []
    for mask, asked in ((0, 1), (1, 0)):
        row = record["performed"][TASKS[mask]][asked]
        rows.append((row[mask], row[2]))
    return np.mean(rows, axis=0)


def claims(records):
    """Returns the paper's claims with thresholds fixed before any run."""
    does, neither = np.transpose([under_the_other_mask(r) for r in records])
    lstm = records[0]["network"] == "lstm"
    other = [
        np.mean([r["accuracy"]["add"]["mul"], r["accuracy"]["mul"]["add"]])
        for r in records
    ]
    inverted = [
        np.mean([r["accuracy"][f"not {task}"][task] for task in TASKS])
        for r in records
    ]
    behaviour = (
        ("LSTM: gives neither result under the other operation's mask", neither)
        if lstm
        else ("FNN: performs the mask's operation whatever is asked", does)
    )
    return [
        *arithmetic_masks.common_claims(records, TASKS),
        claim.Claim(
            "input and output layers share more than hidden ones, by",
            "more",
            tuple(arithmetic_masks.edges_less_middle(records, TASKS)),
            0.0,
        ),
        claim.Claim(
            "weights of multiplication / weights of addition",
            "3.8",
            tuple(
                sum(r["kept"]["mul"]) / max(sum(r["kept"]["add"]), 1)
                for r in records
            ),
            1.5,
            percent=False,
        ),
        claim.Claim(
            "a mask does not perform the other operation: accuracy there",
            "near 0",
            tuple(other),
            0.5,
            at_least=False,
        ),
        claim.Claim(behaviour[0], "most", tuple(behaviour[1]), 0.5),
        claim.Claim(
            "an inverted mask does not perform its operation: accuracy",
            "low",
            tuple(inverted),
            0.5,
            at_least=False,
        ),
    ]


def draw(records):
    """Returns figures 1, 10, 11 and 12, drawn from the records alone."""
    kind = records[0]["network"].upper()
    title = f"addition and multiplication, {kind}"
    layers = records[0]["layers"]
    mean = {
        mask: np.mean([r["performed"][mask] for r in records], axis=0)
        for mask in (FULL, *TASKS)
    }
    figures = arithmetic_masks.sharing_figure(records, TASKS, title, "fig01")
    figures |= arithmetic_masks.accuracy_figure(records, TASKS, title, "fig10")
    figures["fig11_weights_kept"] = plots.grouped_bars(
        {task: np.array([r["kept"][task] for r in records]) for task in TASKS},
        layers,
        "weights kept",
        title,
    )
    figures["fig12_performed_operation"] = plots.confusion_matrices(
        {f"mask: {mask}": matrix for mask, matrix in mean.items()},
        TASKS,
        title,
        predicted_names=PERFORMED,
        kind="operation",
    )
    return figures


def main(config):
    arithmetic_masks.run_repeats(
        config, "add_mul", [make_problem(config, 0)], [analyse], claims, draw
    )


if __name__ == "__main__":
    experiment.run_main(Config, main)
