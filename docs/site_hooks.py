"""What the site has beside the pages of docs/, for MkDocs and Griffe.

MkDocs calls `on_files` and `on_page_markdown` before it builds the site.
Griffe reads the docstrings without importing the library, and loads
`Examples`. No other code imports this file.
"""

import json
import pathlib
import re

import griffe
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
# The pages of the reference: each a module or a room of modules.
REFERENCE = {
    "masking": "Which weights does a task need?",
    "neurons": "Which neurons does a class use?",
    "units": "Which units act alike?",
    "structure": "Does structure force function?",
    "layers": "Layers",
    "soundness": "Is a finding sound?",
    "comparing": "Do findings mark the same units?",
    "findings": "Findings",
    "network": "Networks taken apart",
    "plots": "Plots",
}
AT_THE_TOP = ("CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE")
# Links that leave docs/, and where they lead on the site.
LINKS = {
    "../README.md": "index.md",
    "../README.md#experiments": "index.md#experiments",
    "../results": "results.md",
    **{f"../{name}": name for name in AT_THE_TOP},
}
MARKS = re.compile(r"<!-- (?:results: .*|end) -->\n", re.MULTILINE)
EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


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
    start = start.replace("](docs/", "](").replace(
        "](results)", "](results.md)"
    )
    # It has no pages beside it, and a wide table.
    add("index.md", content=f"---\nhide: [navigation]\n---\n{start}")
    for name in AT_THE_TOP:
        add(name, abs_src_path=str(ROOT / name))
    archives = sorted((ROOT / "results").glob("*.json"))
    for path in archives:
        add(f"results/{path.name}", abs_src_path=str(path))
    add("results.md", content=_results(archives))
    library = griffe.load("modularity_tf", search_paths=[ROOT])
    add("api/index.md", content=_names(library))
    shown = set()
    for name, title in reversed(REFERENCE.items()):  # `layers` before its rooms
        modules = [m for m in _modules(library[name]) if m.path not in shown]
        shown |= {module.path for module in modules}
        add(f"api/{name}.md", content=_reference(title, library[name], modules))
    return files


def on_page_markdown(markdown, page, config, files):
    """Returns a page whose links out of docs/ lead to pages of the site."""
    for link, target in LINKS.items():
        markdown = markdown.replace(f"]({link})", f"]({target})")
    return MARKS.sub("", markdown)


def _modules(module):
    """Returns the modules that a page shows: those of the names it brings."""
    if chosen := [_target(module, name).parent for name in _exports(module)]:
        return list({each.path: each for each in chosen}.values())
    own = [each for each in module.modules.values() if not each.is_alias]
    return sorted(own, key=lambda each: each.name) or [module]


def _reference(title, room, modules):
    lines = [f"# {title}", f"`{room.path}`: {room.docstring.value}"]
    lines += [f"::: {module.path}" for module in modules]
    return "\n\n".join(lines)


def _names(library):
    """Returns the page of all public names, with a line on each."""
    lines = [
        "# Reference",
        "These are the names that `import modularity_tf as mtf` brings. In the "
        "examples of the reference, `model` is a small network that was "
        "trained on `images` and `labels`, scikit-learn's digits.",
        "| name | what it is |\n|---|---|",
    ]
    for name in _exports(library):
        member = _target(library, name)
        if member.is_module:
            lines[-1] += f"\n| [`{name}`]({name}.md) | {_first(member)} |"
            continue
        lines[-1] += f"\n| [`{name}`][{member.path}] | {_first(member)} |"
    for room in ("soundness", "layers"):
        for name in _exports(library[room]):
            member = _target(library[room], name)
            lines[-1] += (
                f"\n| [`{room}.{name}`][{member.path}] | {_first(member)} |"
            )
    lines.append("The modules below these names, for experts, room by room:")
    lines.append(
        "\n".join(
            f"- [{title}]({name}.md): {_first(library[name])}"
            for name, title in REFERENCE.items()
        )
    )
    return "\n\n".join(lines)


def _exports(module):
    """Returns the names that a module brings from others of the library."""
    return [
        name
        for name, member in module.members.items()
        if member.is_alias and member.target_path.startswith("modularity_tf.")
    ]


def _target(module, name):
    """Returns what a module calls by a name, where it is defined."""
    member = module[name]
    if member.is_module and name in member.members:  # `soundness.check.check`
        member = member[name]
    return member.final_target if member.is_alias else member


def _first(member):
    return member.docstring.value.splitlines()[0]


def _results(archives):
    """Returns the page of the files in results/."""
    lines = [
        "# Results as files",
        "Each file has what a finished run found: its configuration, seeds, "
        "versions, records (every number that a figure shows) and claims. "
        "`python -m reproduce.archive` writes these files, and from them the "
        "tables of all pages.",
        "| experiment | flags | seeds | claims | file |\n|---|---|---|---|---|",
    ]
    for path in archives:
        found = json.loads(path.read_text("utf-8"))
        cells = (
            f"`reproduce.{found['experiment']}`",
            f"`{found['flags']}`",
            str(len(found["seeds"])),
            str(len(found["claims"])),
            f"[{path.name}](results/{path.name})",
        )
        lines[-1] += f"\n| {' | '.join(cells)} |"
    return "\n\n".join(lines)
