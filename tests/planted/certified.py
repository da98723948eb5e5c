"""What makes an answer the known one: checks that tests of networks share."""

import numpy as np


def check(test, planted, task, noise=0.0):
    """Checks that a task needs just what is said, on all examples.

    Args:
        test: `TestCase`.
        planted: `Planted` with compiled weights.
        task: Number of the task.
        noise: Float, what answers with fewer decoys may differ by.
    """
    needed = planted.weights(task, "needed")
    test.assertTrue(any(flags.any() for flags in needed.values()))
    test.assertEqual(planted.accuracy(task), 1.0)
    test.assertEqual(planted.accuracy(task, needed), 1.0)
    for path, flags in needed.items():
        for place in zip(*np.nonzero(flags), strict=True):
            less = {p: v.copy() for p, v in needed.items()}
            less[path][place] = False
            found = planted.accuracy(task, less)
            test.assertLess(found, 1.0, f"{path} at {place} is not needed")
    inputs, _ = planted.data[task]
    whole = planted.logits(inputs)[..., task]
    for kind in ("other", "unread", "silent", "pair"):
        gone = planted.weights(task, kind)
        kept = {path: ~flags for path, flags in gone.items()}
        test.assertEqual(planted.accuracy(task, kept), 1.0, kind)
        if kind != "other":
            found = planted.logits(inputs, kept)[..., task]
            test.assertLessEqual(np.abs(found - whole).max(), noise + 1e-3)
    rest = {path: ~flags for path, flags in needed.items()}
    test.assertLess(planted.accuracy(task, rest), 0.95)


def check_pairs(test, planted, task=0):
    """Checks that one of a pair alone would be missed."""
    pairs = planted.weights(task, "pair")
    changes = []
    whole = planted.logits(planted.data[task][0])[..., task]
    for path, flags in pairs.items():
        for unit in np.flatnonzero(
            flags.any(axis=tuple(range(flags.ndim - 1)))
        ):
            kept = {p: np.ones_like(v) for p, v in pairs.items()}
            kept[path][..., unit] &= ~flags[..., unit]
            found = planted.logits(planted.data[task][0], kept)[..., task]
            changes.append(np.abs(found - whole).max())
    test.assertGreater(max(changes), 0.5)


def check_units(test, planted, task):
    """Checks that weights of units that are not needed are not needed."""
    weights = planted.needed[task].weights.values
    for layer, units in planted.units[task].items():
        own = [p for p in weights if p.startswith(f"{layer}/")]
        columns = np.any(
            [
                weights[p].reshape(-1, weights[p].shape[-1]).any(axis=0)
                for p in own
                if weights[p].shape[-1] == len(units)
            ],
            axis=0,
        )
        test.assertFalse(np.any(columns & ~units), layer)
