import types
from unittest import mock

import numpy as np
import tensorflow as tf

from modularity_tf.findings import weight_mask
from reproduce.known_truth.recovery import cases, stages

CONFIG = types.SimpleNamespace(
    examples=200, popup_epochs=1, mask_steps=10, seeds=(0,)
)


def stage():
    return types.SimpleNamespace(
        config=CONFIG, seed=0, derive_seed=lambda *purpose: len(purpose)
    )


def truth(case):
    """Returns what `look_for_mask` would, had it found the truth."""
    planted = cases.network(case, 0)
    values = planted.weights(0, "needed")
    told = {"alpha": 1e-4, "keep_probability": 0.97}
    return {
        "mask": weight_mask.WeightMask(values),
        "told": {"scores": {"mask": told}},
    }


class StagesTest(tf.test.TestCase):
    def test_a_drawing_says_what_became_of_each_weight(self):
        planted = cases.network("simple", 0)
        needed = planted.weights(0, "needed")
        kept = {path: flags.copy() for path, flags in needed.items()}
        rows, columns = np.nonzero(needed["hidden/kernel"])
        kept["hidden/kernel"][rows[0], columns[0]] = False
        other = planted.weights(0, "unread")["hidden/kernel"]
        kept["hidden/kernel"] |= other
        scores = {path: flags * 1.0 for path, flags in kept.items()}
        found = np.array(stages.drawing(planted, scores, kept)["hidden/kernel"])
        self.assertEqual(np.sum(found == 1), len(rows) - 1)
        self.assertEqual(found[rows[0], columns[0]], 2)
        self.assertAllEqual(found[other], np.full(other.sum(), 3))
        absent = planted.weights(0, "absent")["hidden/kernel"]
        self.assertAllEqual(found[absent], np.zeros(absent.sum()))
        self.assertEqual(
            np.sum(found == 4),
            planted.weights(0, "other")["hidden/kernel"].sum(),
        )

    def test_other_masks_have_the_settings_of_the_first(self):
        found = stages.settings_of(truth("simple"))
        self.assertEqual(
            found, {"alpha": 1e-4, "initial_keep_probability": 0.97}
        )
        self.assertEqual(stages.settings_of(None), {})
        failed = {"told": {"scores": {"mask": {"performs": False}}}}
        self.assertEqual(stages.settings_of(failed), {})

    def test_controls_have_an_overlap_and_a_twin(self):
        found = stages.find_again(stage(), "robust", truth("robust"))
        self.assertBetween(found["jaccard"], 0, 1)
        self.assertBetween(found["chance"], 0, 0.5)
        found = stages.find_in_twin(stage(), "robust", truth("robust"))
        self.assertBetween(found["auroc"], 0, 1)
        self.assertBetween(found["keep_fraction"], 0, 1)

    def test_a_method_that_can_not_look_finds_nothing(self):
        found = stages.look(stage(), "robust", "magnitude")
        self.assertEqual([*found["scores"]], ["magnitude"])
        self.assertEqual(stages.look(stage(), "attention", "neurons"), {})

    @mock.patch.object(stages, "ROTATIONS", 19)
    def test_answers_of_units_that_are_parts_and_that_are_not(self):
        aligned, rotated = (
            stages.ask_for_sharing(stage(), case)
            for case in ("aligned", "rotated")
        )
        for measure in stages.CLUSTER_MEASURES:
            self.assertEqual(aligned[measure]["agreement"], 1.0)
            self.assertLessEqual(aligned[measure]["p"], 0.05)
            self.assertIsNone(rotated[measure]["agreement"])
            self.assertGreater(rotated[measure]["p"], 0.05)
        for found in (*aligned.values(), *rotated.values()):
            self.assertBetween(found["chance"], 0, 1)

    def test_merged_keeps_the_order_of_the_methods(self):
        first, second = {"curve": [1.0, 0.123]}, {"curve": [0.5], "auroc": 0.9}
        parts = (
            {"scores": {"b": first}, "clusters": {"x": 2}},
            {"scores": {"a": second}},
        )
        found = stages.merged(("a", "b", "c"), *parts)
        self.assertEqual(
            [*found["scores"].items()],
            [("a", second), ("b", {"curve": [1.0, 0.12]})],
        )
        self.assertEqual(found["clusters"], {"x": 2})


if __name__ == "__main__":
    tf.test.main()
