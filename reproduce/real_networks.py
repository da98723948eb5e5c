r"""What part of a network that others trained does one kind of text need?

Takes two networks apart that ship in Python packages: deepcut, which segments
Thai text, and chars2vec, which turns words into vectors. pip fetches the
packages once. No paper has this experiment; docs/a_real_network.md has the
results.

python -m reproduce.real_networks \
    --flagfile=reproduce/flags/real_networks_demo.flags
"""

from reproduce.pretrained import claims, figures, stages
from reproduce.publishing import experiment

EXPERIMENT = experiment.Experiment(
    name="real_networks",
    title="What part of a network that others trained does one kind of text "
    "need?",
    figures={
        "A": "weights of deepcut, by kind of text",
        "B": "units of deepcut, by kind of text",
        "C": "rows of chars2vec",
    },
    config=stages.Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=figures.draw,
    tables=claims.tables,
)

if __name__ == "__main__":
    experiment.main(EXPERIMENT)
