from absl.testing import absltest

from reproduce.csordas2021.sequences import losses

ACCURACIES = {
    "all": 0.9,
    "all, again": 0.8,
    "easy": 0.5,
    "easy, again": 0.2,
    "other": 0.0,
}


class SequenceFindingsTest(absltest.TestCase):
    def test_a_gap_is_between_the_means_of_two_extractions(self):
        found = losses.gap(ACCURACIES, "all", "easy")
        self.assertAlmostEqual(found, 0.85 - 0.35)

    def test_noise_is_that_of_the_less_stable_mask(self):
        for names in (("all", "easy"), ("easy", "all")):
            found = losses.noise(ACCURACIES, *names)
            self.assertAlmostEqual(found, 0.3)


if __name__ == "__main__":
    absltest.main()
