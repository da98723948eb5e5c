"""The table of supported models, from what the zoo's tests demand of them.

python -m tests.supported_models

writes it into docs/models.md. The zoo's tests prove each cell: an operation
that the table calls right is right there, and what is refused is refused.
"""

import pathlib
import re

from tests import zoo_models

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "models.md"
GROUPS = {
    "layers": zoo_models.LAYERS,
    "networks": zoo_models.NETWORKS,
    "shipped": zoo_models.SHIPPED,
    "awkward": zoo_models.AWKWARD,
}
COLUMNS = {
    "weights": ("find_weights",),
    "neurons of a class": ("find_neurons",),
    "neurons of a task": ("gates",),
    "units alike": ("find_units",),
    "apply, remove": (
        "apply",
        "remove_from",
        "keep_neurons",
        "remove_neurons",
    ),
    "force neurons": ("force_neurons",),
    "smaller model": ("shrink",),
    "save, export": ("save_copy", "export"),
}
_PART = re.compile(r"(<!-- supported: (\w+) -->)(.*?)(<!-- end -->)", re.DOTALL)


def table(entries):
    """Returns the table of some models of the zoo, in Markdown.

    Args:
        entries: List of `zoo_models.Entry`.
    """
    lines = [
        _row(["model", *COLUMNS]),
        "|---|" + "---|" * len(COLUMNS),
    ]
    for entry in entries:
        cells = [_cell(entry, name, COLUMNS[name]) for name in COLUMNS]
        lines.append(_row([entry.name.replace("_", " "), *cells]))
    return "\n" + "\n".join(lines) + "\n"


def _row(cells):
    return f"| {' | '.join(cells)} |"


def _cell(entry, column, operations):
    refused = [name for name in operations if name in entry.refused]
    if len(refused) == len(operations):
        return "refused"
    if all(name in entry.skipped for name in operations):
        return "not tried"
    mixed = entry.mixed or entry.may_be_mixed
    if (column == "apply, remove" and mixed) or refused:
        return "in part"
    if any(name in entry.either for name in operations):
        return "right or refused"
    return "yes"


def filled(text):
    """Returns the text of the page with the tables as the zoo has them."""

    def fill(found):
        start, group, _, end = found.groups()
        return f"{start}{table(GROUPS[group])}{end}"

    return _PART.sub(fill, text)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
