import numpy as np
from absl.testing import absltest

from modularity_tf import WeightMask
from reproduce import scan
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.sequences import scan as scan_stages
from reproduce.csordas2021.sequences.scan_data import SIMPLE


def mask(*rows):
    return WeightMask({"decoder/output/kernel": np.array(rows, bool)})


class ScanStagesTest(absltest.TestCase):
    def test_removed_are_shares_of_what_the_full_problem_keeps(self):
        masks = {
            SIMPLE: mask([1, 1, 0], [1, 0, 0]),
            SIMPLE + AGAIN: mask([1, 1, 1], [1, 1, 1]),
            "length": mask([0, 1, 1], [1, 1, 1]),
            "length" + AGAIN: mask([0, 0, 0], [0, 0, 0]),
        }
        found = scan_stages.removed_by_token(masks)
        self.assertEqual(
            found,
            {SIMPLE + AGAIN: [0.0, 0.0, 0.0], "length": [0.5, 0.0, 0.0]},
        )

    def test_beta_is_that_of_the_flag_or_that_was_found(self):
        config = scan.Config()
        settings = scan_stages.settings_of(config, "lstm")
        found = mask_training.found_beta(settings, {"alpha": 1e-3})
        self.assertAlmostEqual(found, 1e-3 * config.mask_batch_size)
        self.assertEqual(
            mask_training.found_beta(settings, None), settings.beta
        )


if __name__ == "__main__":
    absltest.main()
