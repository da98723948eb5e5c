"""What the site has beside the pages of docs/, for MkDocs and Griffe.

MkDocs calls `on_files`, `on_page_markdown`, `on_page_content` and
`on_post_page` while it builds the site. Griffe reads the docstrings without
importing the library, and loads `Examples`. No other code imports this file.
"""

import fnmatch
import itertools
import logging
import pathlib
import re

import griffe
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = "modularity_tf"
MAX_BYTES = 150_000  # of a page of the reference
# The pages of public names, in the order in which a reader meets these.
PUBLIC = {
    "ask": (
        "Ask a question",
        ("find_weights", "find_neurons", "find_units", "NoMaskError"),
    ),
    "masks": ("Masks: sets of weights", ("WeightMask", "MaskPath")),
    "selections": ("Selections: sets of neurons", ("NeuronSelection",)),
    "clusters": ("Clusters of units", ("UnitClusters", "UnitModularity")),
    "compare": ("Compare findings", ("compare", "Comparison")),
    "check": (
        "Check a finding",
        (
            "soundness.check",
            "soundness.Soundness",
            "soundness.untrained",
            "soundness.sharing",
            "soundness.Sharing",
        ),
    ),
    "shrink": ("Smaller models", ("SmallerModel",)),
    "scores": ("Rank weights", ("weight_scores", "mask_of_scores")),
    "models": ("Models of masks", ("MaskedModel", "ScoredModel")),
    "layers": ("Layers", ("layers.*",)),
    "deep_r": ("Deep-R", ("DeepR",)),
    "planted": ("Networks of known truth", ("planted.make_*",)),
    "known": ("Score a method on them", ("planted.[!m]*",)),
}
AT_THE_TOP = ("CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE")
# Links that leave docs/, and where they lead on the site.
LINKS = {
    "../README.md": "index.md",
    **{f"../{name}": name for name in AT_THE_TOP},
}
MARKS = re.compile(r"<!-- (?:results: .*?|supported: .*?|end) -->\n?")
EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
PICTURE = re.compile(r'<img [^>]*src="([^"]+)"[^>]*>')
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
ROW = re.compile(r"<tr>.*?</tr>", re.DOTALL)
CELL = re.compile(r"<(t[hd])([^>]*)>(.*?)</t[hd]>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
WIDE = ("_numbers.md", "results.md", "figures.md")  # their tables need room
LONG = 60  # characters of a cell that is read as a sentence
LONG_NAME = 18
LOG = logging.getLogger("mkdocs.hooks.site")


class Examples(griffe.Extension):
    """Marks the examples in docstrings as code, wherever they stand."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub(
                r"```pycon\n\g<0>\n```", obj.docstring.value
            )


def on_files(files, config):
    """Adds the start page, the reference, the results and what is at the top.

    Args:
        files: MkDocs's `Files`, those of docs/.
        config: MkDocs's configuration.
    """

    def add(path, **content):
        files.append(File.generated(config, path, **content))

    start = (ROOT / "README.md").read_text("utf-8")
    add("index.md", content=start.replace("](docs/", "]("))
    for name in AT_THE_TOP:
        add(name, abs_src_path=str(ROOT / name))
    for path in sorted((ROOT / "results").glob("*.json")):
        add(f"results/{path.name}", abs_src_path=str(path))
    library = griffe.load(LIBRARY, search_paths=[ROOT])
    add("api/index.md", content=_names(library))
    for page, (title, names) in PUBLIC.items():
        add(f"api/{page}.md", content=_public(library, title, names))
    for path, content in _internals(library).items():
        add(path, content=content)
    return files


def on_page_markdown(markdown, page, config, files):
    """Returns a page whose links out of docs/ lead to pages of the site."""
    if page.file.src_uri in AT_THE_TOP:
        markdown = markdown.replace("](docs/", "](")
    for link, target in LINKS.items():
        markdown = markdown.replace(f"]({link})", f"]({target})")
    markdown = markdown.replace("](../results/", "](results/")
    if page.file.src_uri.endswith(WIDE):
        page.meta["hide"] = ["toc"]
    return MARKS.sub("", markdown)


def on_page_content(html, page, config, files):
    """Returns a page whose pictures open on a click, and tables have classes.

    A column with sentences has the class `words`, one with long names the
    class `names`, and a table with either is in a box of class `sentences`.
    There each cell knows the name of its column, which phones show.
    """
    html = PICTURE.sub(r'<a class="picture" href="\1">\g<0></a>', html)
    return TABLE.sub(lambda found: _table(found[0]), html)


def on_post_page(output, page, config):
    """Warns of pages of the reference that are too large."""
    size = len(output.encode("utf-8"))
    if page.url.startswith("api/") and size > MAX_BYTES:
        LOG.warning("%s has %d bytes, over %d", page.url, size, MAX_BYTES)
    return output


def _table(html):
    rows = [CELL.findall(row) for row in ROW.findall(html)]
    kinds = {}
    for row in rows:
        for i, (_, _, text) in enumerate(row):
            text = TAG.sub("", text)
            if len(text) > LONG:
                kinds[i] = "words"
            elif max(map(len, text.split()), default=0) > LONG_NAME:
                kinds.setdefault(i, "names")
    if not kinds:
        return html
    names = [TAG.sub("", text) for _, _, text in rows[0]]
    names = [name.replace('"', "&quot;") for name in names]

    def mark(row):
        column = itertools.count()

        def cell(found):
            tag, rest, text = found.groups()
            i = next(column)
            kind = f' class="{kinds[i]}"' if i in kinds else ""
            label = f' data-label="{names[i]}"' if names[i] else ""
            return f"<{tag}{rest}{kind}{label}>{text}</{tag}>"

        return CELL.sub(cell, row[0])

    return f'<div class="sentences">{ROW.sub(mark, html)}</div>'


def _named(library, names):
    """Yields public names and what they are; "ROOM.*" is all of a room."""
    for name in names:
        room, _, last = name.rpartition(".")
        found = [last]
        if "*" in last:
            found = fnmatch.filter(_exports(library[room]), last)
        for each in found:
            full = f"{room}.{each}".lstrip(".")
            member = _target(library, full)
            if member.docstring:
                yield full, member


def _public(library, title, names):
    """Returns the page of some public names."""
    lines = [f"# {title}"]
    for name, member in _named(library, names):
        lines.append(
            f"::: {member.path}\n"
            "    options:\n"
            f'      heading: "mtf.{name}"\n'
            f'      toc_label: "{name}"\n'
            "      inherited_members: true"
        )
    return "\n\n".join(lines)


def _internals(library):
    """Returns the pages of all that is not public, closed module by module."""
    public = {
        member.path
        for _, names in PUBLIC.values()
        for _, member in _named(library, names)
    }
    pages, listed = {}, ["# Below the public names", _BELOW]
    for room in sorted(library.members.values(), key=lambda each: each.name):
        if room.is_alias or not room.is_module:
            continue
        modules = [m for m in room.modules.values() if not m.is_alias] or [room]
        listed.append(f"## {room.name}\n\n{_first(room)}")
        rows = "| module | what it has |\n|---|---|"
        for module in sorted(modules, key=lambda each: each.name):
            chosen = [
                name
                for name, member in module.members.items()
                if not member.is_alias
                and not name.startswith("_")
                and member.path not in public
                and member.docstring
            ]
            if not chosen:
                continue
            where = f"api/internals/{module.path.removeprefix(LIBRARY + '.')}"
            pages[f"{where}.md"] = _module(module, chosen)
            link = f"{where.removeprefix('api/')}.md"
            rows += f"\n| [`{module.path}`]({link}) | {_first(module)} |"
        listed.append(rows)
    return {"api/internals.md": "\n\n".join(listed), **pages}


_BELOW = (
    "These modules are for those who build methods of their own. Their names "
    "may change from one version to the next, and the CHANGELOG says so."
)


def _module(module, names):
    """Returns the page of a module: each name is closed until it is clicked."""
    lines = [f"# {module.path}", module.docstring.value]
    for name in names:
        first = _first(module[name]).replace('"', "'")
        lines.append(f'??? note "`{name}`: {first}"')
        lines.append(
            f"    ::: {module.path}.{name}\n"
            "        options:\n"
            "          show_root_toc_entry: true\n"
            "          show_bases: true"
        )
    return "\n\n".join(lines)


def _names(library):
    """Returns the page of all public names, with a line on each."""
    lines = [
        "# Reference",
        "These are the names that `import modularity_tf as mtf` brings, in the "
        "order in which one meets them. In the examples of the reference, "
        "`model` is a small network that was trained on `images` and "
        "`labels`, scikit-learn's digits. [Below these names](internals.md) "
        "are the modules for those who build methods of their own.",
    ]
    missing = set(_exports(library))
    for page, (title, names) in PUBLIC.items():
        lines.append(f"## [{title}]({page}.md)")
        lines.append("| name | what it is |\n|---|---|")
        missing -= {name.partition(".")[0] for name in names}
        for name, member in _named(library, names):
            lines[-1] += (
                f"\n| [`mtf.{name}`][{member.path}] | {_first(member)} |"
            )
    if missing:
        LOG.warning("no page of the reference has %s", sorted(missing))
    return "\n\n".join(lines)


def _exports(module):
    """Returns the names that a module brings from others of the library."""
    return [
        name
        for name, member in module.members.items()
        if member.is_alias and member.target_path.startswith(f"{LIBRARY}.")
    ]


def _target(library, name):
    """Returns what a public name is, where it is defined."""
    room, _, last = name.rpartition(".")
    member = (library[room] if room else library)[last]
    if member.is_module and last in member.members:  # `soundness.check.check`
        member = member[last]
    return member.final_target if member.is_alias else member


def _first(member):
    return member.docstring.value.splitlines()[0]
