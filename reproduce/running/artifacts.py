"""Artifacts: what stages leave in the run folder, each written whole or not.

A Keras model is a file `NAME.keras`, a finding (a `WeightMask` say) `NAME.npz`,
JSON values `NAME.json`. A dict with models or findings among its values is a
folder `NAME.parts` with an artifact for each key.
"""

import contextlib
import hashlib
import json
import os
import shutil

import keras

from modularity_tf.findings import finding, loading

_PARTS = ".parts"


def write(artifact, place, owner="", made=None):
    """Writes an artifact; it appears at once, or not at all.

    Args:
        artifact: Keras model, finding, JSON values or a dict of such.
        place: Path of the artifact, without its suffix.
        owner: Str, the run and stage that it is of. A file `NAME.sum` beside it
            then tells it from what anything else wrote.
        made: JSON values, how it was made; they go to that file, too.

    Raises:
        OSError: If it can't be written, with its path; nothing is left of it.
        ValueError: If a key of a dict is no name.
    """
    suffix = _suffix(artifact)
    path = place.with_name(f"{place.name}{suffix}")
    with whole(path) as partial:
        if suffix == _PARTS:
            for name, part in artifact.items():
                write(part, partial / name)
        elif suffix == ".json":
            partial.write_text(json.dumps(artifact, indent=1))
        else:
            artifact.save(partial)
        if owner:
            lines = _sum(partial, owner), json.dumps(made)
            _remove(path)  # one from other stages, that the new sum is not of
            _sum_path(path).write_text("\n".join(lines))


@contextlib.contextmanager
def whole(path):
    """Yields a path to write to; the file appears at once, or not at all.

    Args:
        path: Path of the file or folder.

    Raises:
        OSError: If it can't be written, with its path; nothing is left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial-{path.name}")
    _remove(partial)  # of a killed process
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        _remove(partial)
        if error.filename is None:
            error.filename = str(path)
        raise


def find(place):
    """Returns the path of an artifact that was written, else `None`.

    Args:
        place: Path of the artifact, without its suffix.
    """
    for suffix in (*_READERS, _PARTS):
        path = place.with_name(f"{place.name}{suffix}")
        if path.exists():
            return path
    return None


def read(path, owner=""):
    """Reads an artifact from a path that `find` returned.

    Args:
        path: Path.
        owner: As in `write`; "" if any will do.

    Raises:
        ValueError: If the file is damaged, or not what its owner wrote, with
            what to do about it.
    """
    if owner:
        told = _sum_path(path)
        lines = told.read_text().split("\n") if told.exists() else [""]
        if lines[0] != _sum(path, owner):
            raise ValueError(
                f"{path} is damaged, or something else wrote it: delete it, "
                "and its stage runs again."
            )
    if path.suffix == _PARTS:
        return {part.stem: read(part) for part in sorted(path.iterdir())}
    try:
        return _READERS[path.suffix](path)
    except OSError:
        raise
    except Exception as error:  # a damaged file can raise anything
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} is damaged, or something else wrote it ({reason}): "
            "delete it, and its stage runs again."
        ) from error


def made(path):
    """Returns how an artifact was made, as its writer said, or `None`.

    Args:
        path: Path that `find` returned.
    """
    told = _sum_path(path)
    lines = told.read_text().split("\n") if told.exists() else []
    try:
        return json.loads(lines[1])
    except (IndexError, ValueError):
        return None


def as_read(artifact):
    """Returns an artifact as `read` would: JSON values have no tuples."""
    if _suffix(artifact) == ".json":
        return json.loads(json.dumps(artifact))
    if isinstance(artifact, dict):
        return {name: as_read(artifact[name]) for name in sorted(artifact)}
    return artifact


def _sum_path(path):
    return path.with_name(f"{path.name}.sum")


def _sum(path, owner):
    """Returns a SHA-256 over the owner and all that an artifact holds."""
    digest = hashlib.sha256(owner.encode())
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    for file in files:
        if file.is_file():
            digest.update(str(file.relative_to(path)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _read_json(path):
    return json.loads(path.read_text())


_READERS = {
    ".keras": keras.saving.load_model,
    ".npz": loading.load,
    ".json": _read_json,
}


def _suffix(artifact):
    if isinstance(artifact, keras.Model):
        return ".keras"
    if isinstance(artifact, finding.Finding):
        return ".npz"
    if isinstance(artifact, dict):
        kinds = {_suffix(part) for part in artifact.values()}
        if kinds <= {".json"}:
            return ".json"
        strange = [key for key in artifact if not isinstance(key, str)]
        if strange:
            raise ValueError(f"Artifacts must have names, got {strange!r}.")
        return _PARTS
    return ".json"
