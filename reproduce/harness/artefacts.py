"""Artefacts: what stages leave in the run folder, each written whole or not.

A Keras model is a file `NAME.keras`, a `WeightMask` `NAME.npz`, JSON values
`NAME.json`. A dict with models or masks among its values is a folder
`NAME.parts` with an artefact for each key.
"""

import json
import os
import shutil

import keras

from modularity_tf.masking import weight_mask

_PARTS = ".parts"


def write(artefact, place):
    """Writes an artefact; it appears at once, or not at all.

    Args:
        artefact: Keras model, `WeightMask`, JSON values or a dict of such.
        place: Path of the artefact, without its suffix.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    suffix = _suffix(artefact)
    partial = place.with_name(f"partial-{place.name}{suffix}")
    if suffix == _PARTS:
        shutil.rmtree(partial, ignore_errors=True)  # of a killed process
        for name, part in artefact.items():
            write(part, partial / name)
    elif suffix == ".json":
        partial.write_text(json.dumps(artefact, indent=1))
    else:
        artefact.save(partial)
    os.replace(partial, place.with_name(f"{place.name}{suffix}"))


def find(place):
    """Returns the path of an artefact that was written, else `None`.

    Args:
        place: Path of the artefact, without its suffix.
    """
    for suffix in (*_READERS, _PARTS):
        path = place.with_name(f"{place.name}{suffix}")
        if path.exists():
            return path
    return None


def read(path):
    """Reads an artefact from a path that `find` returned.

    Raises:
        ValueError: If the file is damaged or no such artefact, with what to
            do about it.
    """
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


def _read_json(path):
    return json.loads(path.read_text())


_READERS = {
    ".keras": keras.saving.load_model,
    ".npz": weight_mask.WeightMask.load,
    ".json": _read_json,
}


def _suffix(artefact):
    if isinstance(artefact, keras.Model):
        return ".keras"
    if isinstance(artefact, weight_mask.WeightMask):
        return ".npz"
    if isinstance(artefact, dict):
        kinds = {_suffix(part) for part in artefact.values()}
        return ".json" if kinds <= {".json"} else _PARTS
    return ".json"
