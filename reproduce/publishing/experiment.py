"""Experiment: what a binary consists of, and what every binary does."""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from absl import app, flags, logging
from matplotlib import figure

from reproduce.publishing import claim, commands, results, titles
from reproduce.publishing.table import Table
from reproduce.running import configuration, engine, training
from reproduce.running.run import Run

# What TensorFlow raises where its own files can't be written.
_DISK_ERRORS = (
    tf.errors.ResourceExhaustedError,
    tf.errors.PermissionDeniedError,
)
HELP = frozenset({"--help", "-help", "-h", "--helpshort", "-helpshort"})
LONG_RUN_STEPS = 50_000  # longer runs begin with an estimate


def no_tables(records: Any) -> list[Table]:
    """Returns no tables, for experiments and comparisons that have none."""
    return []


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment of a paper, as functions of its configuration.

    Attributes:
        name: Str, that of the binary.
        config: Subclass of `Config`; each field is a flag.
        plan: Function from a `Run` to the records: a nest of values and of
            stages that it plans. It refuses what does not fit the data.
        phases: Function from the configuration to a dict from the name of a
            phase to `training.Phase`, which the estimate times.
        claims: Function from the records to `claim.Claims`.
        draw: Function from the records to a dict of figures.
        tables: Function from the records to a list of `Table`, what a report
            shows beside claims.
        across: Function from a dict, of the names of runs to their records,
            to a list of `Table` that compare the runs.
        title: Str, one sentence that says what it asks.
        paper: Str, whose question it is: one of `titles.PAPERS`, `titles.OWN`
            or `titles.OWN_MODEL`.
        figures: Dict from the number of each of its figures that are drawn to
            what it shows; for our own questions, from the name of a figure.
    """

    name: str
    config: type[configuration.Config]
    plan: Callable[[Run], Any]
    phases: Callable[[Any], Mapping[str, training.Phase]]
    claims: Callable[[Any], claim.Claims]
    draw: Callable[[Any], Mapping[str, figure.Figure]]
    tables: Callable[[Any], list[Table]] = no_tables
    across: Callable[[Mapping[str, Any]], list[Table]] = no_tables
    title: str = ""
    paper: str = titles.OWN
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def in_words(self) -> str:
        """Returns what it asks, whose question that is, and its figures."""
        told = self.paper
        if self.figures:
            told += f", figures {', '.join(self.figures)}"
        return f"{self.title} ({told})"


def carry_out(
    experiment: Experiment, config: configuration.Config
) -> Run | None:
    """Plans an experiment and does what the configuration asks for.

    Returns:
        The run, or `None` after an estimate.

    Raises:
        ValueError: For a user's mistake, before anything is trained.
        OSError: If the run folder can't be written or read.
    """
    run = Run(config, experiment.name)
    if config.stage == "figures":
        run.check_results()  # before the folder is made
        with run:
            _show(experiment, run)
        return run
    run.console.print(experiment.in_words(), highlight=False)
    records = experiment.plan(run)
    is_shared = config.workers > 1 or config.address
    if is_shared:
        engine.import_ray()  # refuses before any work
    if config.dry_run:
        run.estimate(experiment.phases(config))
        engine.check_memory(config, training.peak_memory())
        return None
    with run:
        left = sum(run.steps_left().values())
        if (left and is_shared) or left > LONG_RUN_STEPS:
            run.estimate(experiment.phases(config))
            engine.check_memory(config, training.peak_memory())
        if is_shared:
            engine.carry_out(experiment.plan, run)
        results.write(run, run.carry_out(records), experiment.claims)
        _show(experiment, run)
    return run


def help_text(experiment: Experiment) -> str:
    """Returns what an experiment asks, how to start it, and its flags."""
    demo = f"{experiment.name}_demo.flags"
    how = commands.command(experiment.name)
    if (commands.FLAGS_FOLDER / demo).exists():
        how = (
            f"{commands.command(experiment.name, demo)}\n"
            "A small run; _quick.flags is larger, _paper.flags the paper's."
        )
    flags = configuration.help_text(experiment.config)
    return f"{experiment.in_words()}\n\n{how}\n\n{flags}"


def _show(experiment, run):
    results.show(run, experiment.draw, experiment.tables, experiment.claims)


def main(
    experiment: Experiment, then: Callable[[Run], None] | None = None
) -> None:
    """Runs a binary: flags, configuration, experiment.

    A user's mistake (`ValueError`) or a full or missing disk (`OSError`) ends
    the process with status 1 and one line on standard error; `-v 1` shows the
    traceback as well. An interrupt ends it with status 130.

    Args:
        experiment: What to run.
        then: Function of the run, called when it is finished.
    """

    def absl_main(argv):
        if len(argv) > 1:
            raise app.UsageError(f"Unknown arguments: {argv[1:]}.")
        try:
            config = configuration.config_from_flags(experiment.config)
            if config.cpus_per_task and config.workers == 1:
                training.limit_threads(config.cpus_per_task)
            run = carry_out(experiment, config)
            if then is not None and run is not None:
                then(run)
        except (ValueError, OSError, *_DISK_ERRORS) as error:
            logging.debug("", exc_info=True)
            sys.exit("Error: " + " ".join(str(error).split()))
        except KeyboardInterrupt:
            sys.stderr.write(
                "Interrupted: the same command goes on from here.\n"
            )
            sys.exit(130)

    if HELP & {*sys.argv[1:]}:
        sys.stdout.write(help_text(experiment))
        sys.exit()
    configuration.define_flags(experiment.config)
    try:
        arguments = configuration.with_flag_files(sys.argv)
    except ValueError as error:
        sys.exit(f"Error: {error}")
    app.run(absl_main, arguments, flags_parser=_parsed)


def _parsed(arguments):
    """Returns what is left of arguments without flags, or exits."""
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        sys.exit(f"Error: {' '.join(str(error).split())} --help lists flags.")
