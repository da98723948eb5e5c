r"""Which weights, neurons and units of your own model do what?

Finds them in a trained model, checks the findings on other examples than they
were made from, and writes a page, report.html, into a folder under
--output_dir. If the command is killed, run it again: it continues after the
last finished question. Needs `pip install '.[report]'`.

python -m reproduce.inspect --model=trained.keras --data=data.npz \
    --questions=weights,neurons,units --task_label=3
"""

from reproduce.own_model import claims, stages
from reproduce.publishing import experiment, report, titles

EXPERIMENT = experiment.Experiment(
    name="inspect",
    title="Which weights, neurons and units of your own model do what?",
    paper=titles.OWN_MODEL,
    config=stages.Config,
    plan=stages.plan,
    phases=stages.phases,
    claims=claims.claims,
    draw=claims.draw,
    tables=claims.tables,
)


def write_report(run):
    """Writes the page of a run into its folder, and says where."""
    folder = run.check_results().parent
    known = {EXPERIMENT.name: EXPERIMENT}
    page = report.page([report.load(folder, folder, known)], folder=folder)
    report.write(page, folder / "report.html")
    run.console.print(f"Report: {folder / 'report.html'}", soft_wrap=True)


if __name__ == "__main__":
    experiment.main(EXPERIMENT, write_report)
