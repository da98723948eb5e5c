import tensorflow as tf

from reproduce.known_truth.recovery import tables


def record(case, **mask):
    scores = {
        "mask": {"precision": 1.0, "recall": 0.5, **mask},
        "gradient": {"average_precision": 0.25},
    }
    return {"case": case, "seed": 0, "found": {"scores": scores}}


class TablesTest(tf.test.TestCase):
    def test_a_row_has_means_the_lowest_and_counts(self):
        (table,) = tables.tables(
            [
                record(
                    "simple",
                    average_precision=1.0,
                    performs=True,
                    warned=True,
                    seconds=4.0,
                ),
                record(
                    "simple",
                    average_precision=0.5,
                    performs=False,
                    warned=False,
                    seconds=7.0,
                ),
                record("pairs", average_precision=0.9),
                {"case": "rotated", "answers": {}},
            ]
        )
        first, second = (
            dict(zip(table.columns, row, strict=True)) for row in table.rows
        )
        self.assertEqual(first["case"], "three parities")
        self.assertEqual(first["networks"], "2")
        self.assertEqual(first["recall"], "0.500 (0.500)")
        self.assertEqual(first["average precision"], "0.750 (0.500)")
        self.assertEqual(first["of |weight x gradient| (SNIP)"], "0.250")
        self.assertEqual((first["no mask"], first["warned"]), ("1", "1"))
        self.assertEqual(first["processor seconds"], "6")
        self.assertEqual(second["processor seconds"], "")
        self.assertEqual(second["warned"], "")

    def test_without_masks_there_is_none(self):
        self.assertEmpty(tables.tables([{"case": "rotated", "answers": {}}]))
        bare = {"case": "simple", "found": {"scores": {}}}
        self.assertEmpty(tables.tables([bare]))


if __name__ == "__main__":
    tf.test.main()
