r"""Which weights, neurons and units of your own model do what?

Finds them in a trained model, checks the findings on other examples than they
were made from, and writes a page, report.html, into a folder under
--output_dir. If the command is killed, run it again: it continues after the
last finished question. Needs `pip install '.[report]'`.

python -m reproduce.inspect --model=trained.keras --data=data.npz \
    --questions=weights,neurons,units --task_label=3
"""

import dataclasses

from modularity_tf.units import similarity
from reproduce.own_model import claims, stages, subject
from reproduce.publishing import experiment, report, titles
from reproduce.running import configuration

field = configuration.field
QUESTIONS = ("weights", "neurons", "units")


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    """Every field is a flag.

    A run is named by what the files of model and data hold, not by their
    paths: another model of the same name has a run folder of its own.
    """

    model: str = field(
        "", "File of your compiled model, written by `model.save(FILE)`."
    )
    data: str = field(
        "",
        "File of arrays x and y (x0, x1, ... for several inputs), "
        "`np.savez(FILE, x=x, y=y)`; best data that it was not trained on.",
    )
    questions: tuple[str, ...] = field(
        QUESTIONS,
        "Which questions to ask.",
        part=True,
        one_of=QUESTIONS,
        distinct=True,
    )
    task_label: tuple[int, ...] = field(
        (),
        "Numbers of the classes to ask about; all classes if empty.",
        part=True,
        at_least=0,
        distinct=True,
    )
    checked: float = field(
        0.3,
        "Share of the examples that is held out, to check findings on.",
        above=0,
        less_than=1,
    )
    mask_steps: int = field(
        0,
        "Training steps of each mask; 0 for as many as the learning rate "
        "asks for.",
        at_least=0,
    )
    alpha: float = field(
        0.0,
        "Penalty on each logit of a mask; 0 to choose it by a search.",
        at_least=0,
    )
    percentile: float = field(
        70.0,
        "A class uses the neurons above this percentile of their layer.",
        at_least=0,
        at_most=100,
    )
    measure: str = field(
        "covariance",
        "Measure of how alike two units are.",
        one_of=similarity.MEASURES,
    )
    random_parts: int = field(
        20,
        "Number of random parts that each finding is compared with.",
        at_least=2,
    )
    removals: int = field(
        100, "Largest number of removals of each size in a check.", at_least=1
    )

    def digest(self):
        """Returns eight hexadecimal digits of a hash of what names a run.

        Raises:
            ValueError: If there is no such file.
        """
        held = {
            name: subject.digest(name, getattr(self, name))
            for name in ("model", "data")
        }
        return configuration.Config.digest(dataclasses.replace(self, **held))


EXPERIMENT = experiment.Experiment(
    name="inspect",
    title="Which weights, neurons and units of your own model do what?",
    paper=titles.OWN_MODEL,
    config=Config,
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
    page = report.page([report.load(folder, folder, known)])
    report.write(page, folder / "report.html")
    run.console.print(f"Report: {folder / 'report.html'}", soft_wrap=True)


if __name__ == "__main__":
    experiment.main(EXPERIMENT, write_report)
