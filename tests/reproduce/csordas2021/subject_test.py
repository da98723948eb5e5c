import tensorflow as tf

from modularity_tf import WeightMask
from reproduce.csordas2021 import mask_training
from reproduce.csordas2021.subject import Settings, adam
from tests.reproduce.csordas2021 import tiny


class SettingsTest(tf.test.TestCase):
    def test_are_those_of_the_configuration_but_for_what_is_said(self):
        config = mask_training.Config(beta=0.64, mask_steps=1000)
        found = Settings.of(config, mask_batch_size=64)
        self.assertEqual((found.mask_steps, found.mask_batch_size), (1000, 64))
        self.assertEqual((found.clip_norm, found.num_samples), (1.0, 4))
        self.assertAlmostEqual(found.alpha, 0.01)

    def test_beta_is_that_of_the_flag_or_that_was_found(self):
        settings = tiny.settings()
        self.assertEqual(settings.found_beta(None), 0.02)
        self.assertAlmostEqual(settings.found_beta({"alpha": 0.5}), 5.0)


class SubjectTest(tf.test.TestCase):
    def test_weights_and_masks_train_as_the_paper_says(self):
        subject = tiny.subject(settings=tiny.settings(clip_norm=3.0))
        network = subject.network()
        self.assertAllClose(network.optimizer.learning_rate, 1e-3)
        self.assertEqual(network.optimizer.global_clipnorm, 1.0)
        self.assertLessEqual(network.optimizer.epsilon, 1e-8)
        masked = subject.masked(network)
        self.assertAllClose(masked.alpha, 0.02 / 10)
        self.assertAllClose(masked.optimizer.learning_rate, 0.03)
        self.assertEqual(masked.optimizer.global_clipnorm, 3.0)
        self.assertEqual(list(masked.mask_logits), ["d/kernel"])

    def test_every_model_is_another_one(self):
        subject = tiny.subject()
        network = subject.network()
        self.assertIsNot(subject.network(), network)
        self.assertIsNot(subject.masked(network), subject.masked(network))

    def test_a_mask_has_its_own_penalty_and_seed_and_leaves_out_what_is_fixed(
        self,
    ):
        subject = tiny.subject(roles="all")
        bias = WeightMask({"d/bias": [True, False]})
        masked = subject.masked(subject.network(), 7, 0.5, bias)
        self.assertEqual((masked.seed, masked.alpha), (7, 0.5))
        self.assertEqual(list(masked.mask_logits), ["d/kernel"])


class AdamTest(tf.test.TestCase):
    def test_the_rate_rises_in_a_line_and_stays(self):
        optimizer = adam(0.1, 1.0, 100, beta_2=0.995)
        rate = optimizer._learning_rate
        found = [float(rate(step)) for step in (0, 50, 100, 1000)]
        self.assertAllClose(found, [0.001, 0.0505, 0.1, 0.1], rtol=1e-5)
        self.assertEqual(optimizer.beta_2, 0.995)

    def test_without_a_warm_up_the_rate_is_one_number(self):
        optimizer = adam(0.1, 2.0)
        self.assertAlmostEqual(float(optimizer.learning_rate), 0.1, places=6)
        self.assertEqual(optimizer.global_clipnorm, 2.0)


if __name__ == "__main__":
    tf.test.main()
