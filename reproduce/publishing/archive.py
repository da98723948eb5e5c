"""Archives: what a finished run found, small enough for the repository."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import flags
from matplotlib import pyplot

from modularity_tf import plots
from reproduce.publishing import commands
from reproduce.publishing.experiment import Experiment
from reproduce.running import configuration
from reproduce.running.run import PART, Run, read_results

FLAGS_FOLDER = commands.FLAGS_FOLDER
MAX_BYTES = 320_000
_KEYS = (
    "experiment",
    "flags",
    "seeds",
    "made",
    "versions",
    "config",
    "figures",
    "claims",
    "earlier",
    "records",
)
PICTURE_DPI = 130  # of the documents
DIGITS = 4  # of the records' numbers: a figure shows no more


def archive(
    folder: pathlib.Path,
    results_folder: pathlib.Path,
    experiments: Mapping[str, Experiment],
) -> pathlib.Path:
    """Writes what a run folder holds to one file in the repository.

    The file is named by the flag file that describes the run. It has the
    configuration, seeds, versions, how the stages were made (time, commits,
    machines), the records in four digits, the claims on these, and earlier
    verdicts on them: where the records are new, there are none.

    Args:
        folder: A run folder, or that of the results of a part in it.
        results_folder: The folder for the file.
        experiments: The experiments by name.

    Returns:
        The path of the file.

    Raises:
        ValueError: If the run is not finished, was changed since, was made
            with code that no commit holds, if no flag file describes it, if
            it holds too much, or less than the archive that is there.
    """
    results = _read(folder)
    whole = folder.parent if folder.name.startswith(PART) else folder
    experiment = experiment_of(whole.name.split("-")[0], experiments)
    config = configured(experiment, results["config"])
    _check_is_whole(whole, experiment, config, results["made"])
    commits = {results["versions"]["commit"], *results["made"]["commits"]}
    unsure = sorted(c for c in commits if not c or c.endswith("-dirty"))
    if unsure:
        raise ValueError(
            f"{folder} was made with code that no commit holds ({unsure}): "
            "commit it, and run again in a new --output_dir."
        )
    flag_file = flag_file_of(experiment, config)
    content = {
        "experiment": experiment.name,
        "flags": flag_file,
        **{key: results[key] for key in ("seeds", "made", "versions")},
        "config": results["config"],
        "records": rounded(results["records"]),
    }
    path = results_folder / f"{flag_file}.json"
    if path.exists():
        old = json.loads(path.read_text("utf-8"))
        if not config.covers(old["config"]):
            raise ValueError(
                f"{path} holds more than {folder}, of the seeds "
                f"{old['seeds']}: archive the whole run, or delete that first."
            )
        if old["records"] == content["records"]:  # with its history
            content |= {key: old[key] for key in ("claims", "earlier")}
    content["figures"] = sorted(experiment.draw(content["records"]))
    pyplot.close("all")
    text = _text(experiment, content)
    if len(text) > MAX_BYTES:
        raise ValueError(
            f"{folder} holds {len(text)} bytes, more than the {MAX_BYTES} of "
            "an archive: its records must hold what the figures show alone."
        )
    results_folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def refresh(path: pathlib.Path, experiments: Mapping[str, Experiment]) -> bool:
    """Writes the claims of an archive anew, as the code has them by now.

    The first verdict of a claim that is judged otherwise by now is kept, under
    "earlier".

    Args:
        path: That of the file.
        experiments: As in `archive`.

    Returns:
        Whether it has changed.
    """
    old = path.read_text("utf-8")
    content = json.loads(old)
    new = _text(experiment_of(content["experiment"], experiments), content)
    if new != old:
        path.write_text(new, "utf-8")
    return new != old


def draw(
    path: pathlib.Path,
    folder: pathlib.Path,
    experiments: Mapping[str, Experiment],
) -> list[pathlib.Path]:
    """Draws anew the pictures that the documents show of an archive.

    The archive lists the figures that the code draws by now.

    Args:
        path: That of the archive.
        folder: A folder of PNG files, each named as a figure is. Other figures
            are not drawn.
        experiments: As in `archive`.

    Returns:
        The paths of the pictures.

    Raises:
        ValueError: If a picture is none of the experiment's figures.
    """
    pictures = sorted(folder.glob("*.png"))
    if not pictures:
        return pictures
    content = json.loads(path.read_text("utf-8"))
    experiment = experiment_of(content["experiment"], experiments)
    figures = experiment.draw(content["records"])
    if content["figures"] != sorted(figures):  # the code draws others by now
        content["figures"] = sorted(figures)
        path.write_text(_text(experiment, content), "utf-8")
    for picture in pictures:
        if picture.stem not in figures:
            raise ValueError(
                f"{picture} is no figure of {path.name}, which has: "
                f"{', '.join(sorted(figures))}."
            )
        plots.save(figures[picture.stem], picture, dpi=PICTURE_DPI, pdf=False)
    pyplot.close("all")
    return pictures


def experiment_of(
    name: str, experiments: Mapping[str, Experiment]
) -> Experiment:
    """Returns the experiment of a name.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in experiments:
        raise ValueError(
            f"There is no experiment {name!r}: a run folder is named "
            "EXPERIMENT-DATASET-DIGEST."
        )
    return experiments[name]


def configured(
    experiment: Experiment, values: Mapping[str, Any]
) -> configuration.Config:
    """Returns the configuration that a results.json holds.

    Raises:
        ValueError: If the experiment has other flags by now.
    """
    values = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
    }
    try:
        return experiment.config(**values)
    except TypeError as error:
        raise ValueError(
            f"{experiment.name} has other flags by now: {error}. Run again."
        ) from None


def read_flags(
    experiment: Experiment, file: pathlib.Path
) -> configuration.Config:
    """Returns the configuration that a flag file describes."""
    values = flags.FlagValues()
    configuration.define_flags(experiment.config, values)
    arguments = [experiment.name, f"--flagfile={file}"]
    values(configuration.with_flag_files(arguments))
    return configuration.config_from_flags(experiment.config, values)


def papers_settings(
    flag_file: str, experiment: Experiment
) -> configuration.Config | None:
    """Returns the paper's own settings for a run, `None` if no file has them.

    Those of the `_paper` flag file whose name begins most as that of the run,
    or of the experiment.

    Args:
        flag_file: Name of the run's flag file.
        experiment: `Experiment`.
    """
    # The paper's smallest network is none of its usual ones.
    name = flag_file.replace("_small_paper", "_paper")
    files = {
        file.stem.removesuffix("paper"): file
        for file in FLAGS_FOLDER.glob(f"{experiment.name}_*paper.flags")
    }
    starts = [start for start in files if name.startswith(start)]
    if not starts:
        return None
    return read_flags(experiment, files[max(starts, key=len)])


def changes(
    one: configuration.Config, other: configuration.Config
) -> dict[str, tuple[Any, Any, str]]:
    """Returns fields in which configurations differ: values and help.

    Only of what an experiment computes: not where, or on how many cores.
    """
    return {
        f.name: (
            getattr(one, f.name),
            getattr(other, f.name),
            f.metadata["help"],
        )
        for f in dataclasses.fields(one)
        if getattr(one, f.name) != getattr(other, f.name)
        and (f.metadata["names_run"] or f.metadata["part"])
    }


def rounded(values: Any) -> Any:
    """Returns JSON values with floats of `DIGITS` digits."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [rounded(value) for value in values]
    is_float = isinstance(values, float)
    return float(f"{values:.{DIGITS}g}") if is_float else values


def _text(experiment, content):
    """Returns the text of an archive, a line for each key, claims included."""
    claims = experiment.claims(content["records"]).checked()
    earlier = _earlier(content, claims)
    content = {**content, "claims": claims, "earlier": earlier}
    lines = [
        f'"{k}": {json.dumps(content[k], separators=(",", ":"))}' for k in _KEYS
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _earlier(content, claims):
    """Returns the first verdicts of claims that are judged otherwise now."""
    first = {_key(one): one["verdict"] for one in content.get("claims", [])}
    first |= {_key(one): one["verdict"] for one in content.get("earlier", [])}
    now = {_key(one): one["verdict"] for one in claims}
    return [
        {"id": id, "subject": subject, "verdict": verdict}
        for (id, subject), verdict in first.items()
        if now.get((id, subject)) != verdict
    ]


def _key(one):
    return one["id"], one["subject"]


def _read(folder):
    path = folder / "results.json"
    if not path.exists():
        raise ValueError(f"{path} is not there: finish the run first.")
    results = read_results(path)
    if not results.get("made"):
        raise ValueError(
            f"{path} does not tell when and with what code its stages were "
            "made: run again in a new --output_dir."
        )
    return results


def _check_is_whole(folder, experiment, config, made):
    """Raises `ValueError` if a stage is missing, or newer than the results."""
    config = dataclasses.replace(config, output_dir=str(folder.parent))
    run = Run(config, experiment.name)
    if run.folder.name != folder.name:
        raise ValueError(
            f"{folder} is not what its configuration names, {run.folder.name}: "
            "the experiment has other flags by now. Run again."
        )
    experiment.plan(run)
    if left := list(run.unfinished()):
        raise ValueError(
            f"{folder} is not finished: {left[0]} and {len(left) - 1} other "
            "stages are left. The same command goes on."
        )
    if run.made() != made:
        raise ValueError(
            f"{folder}: its results.json is older than the stages: run the "
            "same command again."
        )


def flag_file_of(experiment: Experiment, config: configuration.Config) -> str:
    """Returns the name of the flag file that describes a run.

    It gives the same folder, and the run does all it asks for, perhaps more.
    Among several the one that asks for most.

    Raises:
        ValueError: If there is none.
    """
    found = {}
    for file in sorted(FLAGS_FOLDER.glob(f"{experiment.name}_*.flags")):
        asked = read_flags(experiment, file)
        is_same = asked.digest() == config.digest()
        if is_same and config.covers(dataclasses.asdict(asked)):
            found[file.stem] = asked
    if not found:
        raise ValueError(
            f"No flag file {experiment.name}_*.flags describes the run: "
            f"{config.text()}."
        )
    return max(
        found,
        key=lambda name: sum(
            found[name].covers(dataclasses.asdict(other))
            for other in found.values()
        ),
    )
