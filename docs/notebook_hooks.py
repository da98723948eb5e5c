"""Shows notebooks with their outputs, where `docs.run_notebooks` ran them.

MkDocs calls `on_files` while it builds the site. No other code imports this
file.
"""

import pathlib

from mkdocs.structure.files import File

OUTPUT = pathlib.Path(__file__).parents[1] / ".notebooks"


def on_files(files, config):
    """Puts the notebooks that ran in place of their sources.

    Args:
        files: MkDocs's `Files`, those of docs/.
        config: MkDocs's configuration.
    """
    for path in sorted(OUTPUT.glob("*")):
        address = f"notebooks/{path.name}"
        if (source := files.get_file_from_path(address)) is not None:
            files.remove(source)
        files.append(File.generated(config, address, abs_src_path=str(path)))
    return files
