"""Results: what a finished run leaves for its readers.

That is results.json, from which alone the figures are drawn and the claims
told, on the terminal and for TensorBoard.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from matplotlib import figure

from modularity_tf import plots
from reproduce.publishing import claim, wording
from reproduce.publishing.table import Table
from reproduce.running import artifacts, provenance
from reproduce.running.run import Run, read_results


def write(
    run: Run, records: Any, claims: Callable[[Any], claim.Claims]
) -> None:
    """Writes results.json: configuration, causes, records and claims.

    Results that cover less than those there are, fewer seeds say, go to a
    folder of their own.

    Args:
        run: A run whose stages are finished.
        records: JSON values: every number that a figure shows.
        claims: Function from the records to the claims.
    """
    results = {
        "config": dataclasses.asdict(run.config),
        "versions": provenance.versions(),
        "seeds": run.config.seeds,
        "made": run.made(),
        "records": records,
        "claims": claims(records).checked(),
    }
    folder = run.results_folder()
    folder.mkdir(exist_ok=True)
    artifacts.write(results, folder / "results")


def show(
    run: Run,
    draw: Callable[[Any], Mapping[str, figure.Figure]],
    tables: Callable[[Any], list[Table]],
    claims: Callable[[Any], claim.Claims],
) -> None:
    """Draws the figures from results.json, and prints tables and claims.

    All are computed from its records, so that an older run is judged as the
    code judges by now.

    Figures go to PNG and PDF files and to TensorBoard's first page, claims
    and configuration to its text tab.

    Args:
        run: A run that has a results.json.
        draw: Function from the records to figures by name.
        tables: Function from the records to tables.
        claims: Function from the records to the claims.

    Raises:
        ValueError: If there is no results.json, or it is damaged.
    """
    path = run.check_results()
    folder, results = path.parent, read_results(path)
    console, checked = run.console, claims(results["records"]).checked()
    logs, pictures = folder / "logs" / "figures", []
    with tf.summary.create_file_writer(str(logs)).as_default(step=0):
        _write_texts(results, checked)
        for name, fig in draw(results["records"]).items():
            file = folder / f"{name}.png"
            plots.save(fig, file)
            # Upper case comes before the curves of the training.
            tf.summary.image(f"Figures/{name}", _on_screen(file))
            console.print(f"drawn: {name}.png", highlight=False)
            pictures.append(file)
    for each in tables(results["records"]):
        console.print(each.as_rich())
    if checked:
        console.print(wording.table(checked))
        console.print(wording.tally(checked), highlight=False)
    console.print(
        f"All numbers: {path}; curves: tensorboard --logdir {run.folder}",
        soft_wrap=True,
    )
    told = [wording.conclusion(checked)] if checked else []
    told += [f"Picture: {pictures[0]}"] if pictures else []
    for line in told:
        console.print(line, highlight=False, soft_wrap=True)


def _write_texts(results, claims):
    """Writes claims and configuration to TensorBoard."""
    if claims:
        lines = [wording.tally(claims), "", *wording.markdown(claims)]
        tf.summary.text("claims", "\n".join(lines))
    settings = {**results["config"], **results.get("versions", {})}
    rows = [f"| {name} | {value} |" for name, value in settings.items()]
    header = ["| setting | value |", "|---|---|"]
    tf.summary.text("configuration", "\n".join(header + rows))


def _on_screen(file: pathlib.Path) -> tf.Tensor:
    """Returns the picture in a PNG file at half its size, a batch of one.

    For a screen: drawing it again would take as long as the file did.
    """
    picture = tf.io.decode_png(tf.io.read_file(str(file)))[None]
    half = [max(1, size // 2) for size in picture.shape[1:3]]
    small = tf.image.resize(picture, half, "area")
    return tf.cast(tf.round(small), tf.uint8)
