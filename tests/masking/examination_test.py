import math

import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf.findings.weight_mask import WeightMask
from modularity_tf.masking import examination
from modularity_tf.network import measurement, scoring

RNG = np.random.default_rng(0)
DRAWS = 300  # of sound masks; at most 3 in a thousand may be spoken of


def measured(labels, right, losses=None, **changes):
    """Returns what a call of `Measure` does, of an accuracy."""
    settings = {
        "output": "output",
        "name": "accuracy",
        "is_accuracy": True,
        "value": float(np.mean(right)),
        "loss": math.nan if losses is None else float(np.mean(losses)),
        "labels": None if labels is None else np.asarray(labels),
        "right": np.asarray(right),
        "losses": losses,
    }
    return measurement.Measured(**{**settings, **changes})


def examined(labels, whole, mask, losses=(None, None), **changes):
    return examination.Examined(
        [measured(labels, whole, losses[0], **changes)],
        [measured(labels, mask, losses[1], **changes)],
    )


def scale_of(one, zero=0.5):
    nothing = [measured(None, [False], np.ones(1), output=one.whole[0].output)]
    return measurement.Scale(one.whole, nothing, [zero], [True])


def mask_of(size, kept):
    return WeightMask({"a/kernel": np.arange(size) < kept})


class ClassesTest(parameterized.TestCase):
    def test_recall_of_each_class(self):
        one = examined([0, 0, 2, 2], np.zeros(4) < [1, 1, 1, 0], [True] * 4)
        self.assertEqual(
            examination.by_class(one),
            {
                "0": {"count": 2, "whole": 1.0, "mask": 1.0},
                "2": {"count": 2, "whole": 0.5, "mask": 1.0},
            },
        )
        bits = examined([0, 3, 1], [True] * 3, [True] * 3, columns=2)
        self.assertEqual(
            [*examination.by_class(bits)],
            ["column 0 is 0", "column 0 is 1", "column 1 is 1"],
        )
        self.assertEqual(examination.by_class(examined(None, [1], [1])), {})

    def test_a_rare_class_that_falls_is_told(self):
        # As in the issue: one in ten is positive, recall .95 becomes .76.
        labels = np.arange(1000) < 100
        whole = np.where(labels, np.arange(1000) < 95, True)
        mask = np.where(labels, np.arange(1000) < 76, True)
        (text,) = examination.fallen_classes(
            examined(labels.astype(int), whole, mask)
        )
        self.assertRegex(text, r"recall falls of 1 \(0.76, of the model 0.95\)")

    @parameterized.parameters((2, 200), (10, 260), (50, 1000))
    def test_what_the_rule_allows_is_silent(self, classes, rows):
        told = 0
        for _ in range(DRAWS):
            labels = RNG.integers(classes, size=rows)
            whole = RNG.random(rows) < 0.97
            mask = whole & (RNG.random(rows) > 0.05)
            told += len(
                examination.fallen_classes(examined(labels, whole, mask))
            )
        self.assertLessEqual(told, 2)

    def test_an_output_that_nobody_asked_for_is_told(self):
        settings = {"output": "box", "name": "", "is_accuracy": False}
        one = examination.Examined(
            [measured(None, [0], np.zeros(2), **settings)],
            [measured(None, [0], np.full(2, 0.7), **settings)],
        )
        nothing = [measured(None, [0], np.ones(2), **settings)]
        scale = measurement.Scale(one.whole, nothing, [math.nan], [False])
        (text,) = examination.fallen_outputs(scale, one)
        self.assertRegex(text, "'box' needs: it explains 0.3 of the loss")
        counted = measurement.Scale(one.whole, nothing, [1.0], [True])
        self.assertEqual(examination.fallen_outputs(counted, one), [])


class FewDataTest(parameterized.TestCase):
    def test_a_mask_that_fits_its_training_data_is_told(self):
        # Labels are noise for three in ten, which the mask learns by heart.
        labels = RNG.integers(2, size=1000)
        whole = RNG.random(1000) < 0.7
        better = whole | (RNG.random(1000) < 0.5)
        training = examined(labels, whole, better)
        validation = examined(labels, whole, whole)
        (text,) = examination.differs_in_training(
            scale_of(validation), validation, training
        )
        self.assertRegex(text, "better there .* raise `alpha`")

    def test_a_regression_that_fits_its_training_data_is_told(self):
        settings = {
            "name": scoring.LOSS_EXPLAINED,
            "is_accuracy": False,
        }
        whole, better = RNG.exponential(0.1, 500), np.full(500, 0.01)
        training = examined(None, [0], [0], (whole, better), **settings)
        validation = examined(None, [0], [0], (whole, whole + 0.1), **settings)
        scale = scale_of(validation, 1.0)
        self.assertLen(
            examination.differs_in_training(scale, validation, training), 1
        )
        self.assertEqual(
            examination.differs_in_training(scale, training, training), []
        )

    def test_masks_that_lose_the_same_everywhere_are_silent(self):
        told = 0
        for _ in range(DRAWS):
            parts = []
            for rows in (1000, 260):
                whole = RNG.random(rows) < 0.97
                mask = whole & (RNG.random(rows) > 0.04)
                parts.append(examined(np.zeros(rows, int), whole, mask))
            training, validation = parts
            told += len(
                examination.differs_in_training(
                    scale_of(validation), validation, training
                )
            )
        self.assertLessEqual(told, 2)

    def test_bits_of_a_mask(self):
        self.assertAlmostEqual(
            examination.bits_of_mask(mask_of(10, 3)), math.log2(120), places=6
        )
        self.assertAlmostEqual(examination.bits_of_mask(mask_of(9, 9)), 0.0)

    def test_few_rows_beside_what_is_kept(self):
        # 225 rows, of which 45 validate; 199 of 976 weights are kept.
        training, validation = (
            examined(np.arange(n) % 2, [True] * n, np.arange(n) > lost)
            for n, lost in ((180, 0), (45, 2))
        )
        mask = mask_of(976, 199)
        (text,) = examination.few_rows(mask, validation, training, 1.0)
        self.assertRegex(text, "are 7.. bits, and 180 training labels of 2 cl")
        self.assertRegex(text, "about 7.. training examples and 160 to valid")
        # Enough rows, or validation data that show that the mask performs.
        self.assertEqual(
            examination.few_rows(mask, validation, training, 0.1), []
        )
        many = examined(np.arange(900) % 2, [True] * 900, np.arange(900) > 36)
        self.assertEqual(examination.few_rows(mask, many, training, 1.0), [])


class LostExamplesTest(parameterized.TestCase):
    def parts(self, surely, errors=20, rows=1000):
        """A mask that is less certain in some errors and sure in others."""
        labels, right = np.zeros(rows, int), np.arange(rows) >= surely
        whole, mask = np.full((2, rows), 0.02)
        mask[:surely] = 5.0
        part = slice(surely, surely + errors)
        right[part] = False
        whole[part], mask[part] = 0.4, RNG.uniform(0.7, 2.0, errors)
        return [examined(labels, [True] * rows, right, (whole, mask))]

    def test_a_rule_that_few_examples_need_is_told_when_lost(self):
        (text,) = examination.lost_examples(self.parts(8))
        self.assertRegex(text, "rule that few examples need: 8 of 1000")

    @parameterized.parameters((0, 50), (4, 0), (6, 60))
    def test_errors_of_all_degrees_are_silent(self, surely, errors):
        parts = self.parts(surely, errors)
        self.assertEqual(examination.lost_examples(parts), [])

    def test_other_orders_and_labels_say_nothing(self):
        (one,) = self.parts(20)
        other = examination.Examined(
            one.whole, [measured(np.ones(1000, int), one.mask[0].right)]
        )
        none = examined(None, [0], [0], (np.ones(3), np.ones(3)))
        for part in (other, none):
            self.assertEqual(examination.lost_examples([part]), [])


if __name__ == "__main__":
    absltest.main()
