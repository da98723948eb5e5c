import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings import part_set, weight_mask

# What the set operations do is tested on WeightMask, in weight_mask_test.py.


class BinarySetTest(parameterized.TestCase, tf.test.TestCase):
    def test_a_task_in_brackets_is_no_markup(self):
        task = weight_mask.WeightMask(
            {"a": np.array([True])}, {"task": "[cats] a[/b]"}
        )
        self.assertIn("[cats] a[/b]", task._repr_html_())

    @parameterized.parameters("uint8", "int8", "int64", "float16")
    def test_the_highest_scores_are_those_of_any_type(self, dtype):
        scores = np.array([3, 0, np.iinfo("int8").max, 1]).astype(dtype)
        if dtype == "int8":
            scores[1] = -128
        found = part_set.top_scores({"a": scores}, 2)["a"]
        self.assertAllEqual(found, [True, False, True, False])

    def test_refuses_scores_of_nan(self):
        with self.assertRaisesRegex(ValueError, "`scores` .* got NaN"):
            part_set.PartSet(
                {"a": np.ones(2, bool)}, scores={"a": np.array([1, np.nan])}
            )

    def test_sets_of_different_kinds_do_not_mix(self):
        values = {"a": np.ones(3, bool)}
        one = part_set.PartSet(values)
        other = weight_mask.WeightMask(values)
        self.assertNotEqual(one, other)
        with self.assertRaises(TypeError):
            _ = one & other
        folder = self.enterContext(tempfile.TemporaryDirectory())
        one.save(f"{folder}/s.npz")
        with self.assertRaisesRegex(ValueError, "holds no WeightMask"):
            weight_mask.WeightMask.load(f"{folder}/s.npz")
        self.assertEqual(part_set.PartSet.load(f"{folder}/s.npz"), one)

    @parameterized.parameters(
        (None, {}, "`values` must be a dict .* got None"),
        ([np.ones(2, bool)], {}, "`values` must be a dict"),
        ({1: np.ones(2, bool)}, {}, "A name must be a str, got 1"),
        ({"a": [[True], [True, False]]}, {}, "'a' is no array"),
        ({}, "text", "`provenance` must be a dict, got 'text'"),
        ({}, None, "`provenance` must be a dict, got None"),
        ({}, [1], r"`provenance` must be a dict, got \[1\]"),
    )
    def test_refuses_what_is_no_set(self, values, provenance, message):
        with self.assertRaisesRegex(ValueError, message):
            part_set.PartSet(values, provenance)

    def test_refuses_a_provenance_that_holds_itself(self):
        provenance = {}
        provenance["self"] = provenance
        with self.assertRaisesRegex(ValueError, "`provenance` must hold JSON"):
            part_set.PartSet({}, provenance)

    @parameterized.parameters(-1, 2**31, "a", 1.5, True)
    def test_refuses_to_shuffle_by(self, seed):
        message = r"`seed` must be an int in \[0, 2\*\*31\)"
        with self.assertRaisesRegex(ValueError, message):
            part_set.PartSet({"a": np.ones(3, bool)}).shuffled(seed)

    def test_refuses_to_compare_with_another_thing(self):
        one = part_set.PartSet({"a": np.ones(3, bool)})
        for measure in (one.sharing, one.iou):
            with self.assertRaisesRegex(ValueError, "another only, got 'x'"):
                measure("x")

    def test_refuses_a_folder_as_its_file(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with self.assertRaisesRegex(ValueError, "`file` is a folder"):
            part_set.PartSet({}).save(folder)


if __name__ == "__main__":
    tf.test.main()
