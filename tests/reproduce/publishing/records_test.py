import json

import numpy as np
import tensorflow as tf

from reproduce.publishing import records


class GroupedTest(tf.test.TestCase):
    def test_keeps_the_order_of_groups_and_of_records(self):
        rows = [{"k": k, "i": i} for i, k in enumerate("bab")]
        found = records.grouped(rows, "k")
        self.assertEqual(list(found), ["b", "a"])
        self.assertEqual(found["b"], [rows[0], rows[2]])
        self.assertEqual(found["a"], [rows[1]])

    def test_of_nothing_is_nothing(self):
        self.assertEqual(records.grouped([], "k"), {})


class MeanTest(tf.test.TestCase):
    def test_leaves_nan_out_without_a_warning(self):
        found = records.mean([[1.0, np.nan], [3.0, np.nan]], 0)
        self.assertAllEqual(found, [2.0, np.nan])
        self.assertTrue(np.isnan(records.mean([])))

    def test_none_is_unknown_too(self):
        self.assertEqual(records.mean([1.0, None, 3.0]), 2.0)
        self.assertTrue(np.isnan(records.mean([None])))


class WithoutNanTest(tf.test.TestCase):
    def test_is_json_whatever_is_unknown(self):
        values = {
            "a": [1, np.nan, "x"],
            "b": {"c": (True, np.float64("nan"))},
            "d": float("nan"),
        }
        found = records.without_nan(values)
        text = json.dumps(found, allow_nan=False)
        expected = {"a": [1, None, "x"], "b": {"c": [True, None]}, "d": None}
        self.assertEqual(json.loads(text), expected)


if __name__ == "__main__":
    tf.test.main()
