import numpy as np
from absl.testing import absltest

from reproduce.comparing import stages
from reproduce.running.run import Run

CONFIG = stages.Config(dataset="digits", seeds=(0, 3), t_high=0.2)


class PlanTest(absltest.TestCase):
    def test_every_class_has_a_mask_and_every_seed_a_comparison(self):
        run = Run(CONFIG, "test")
        self.assertLen(stages.plan(run), 2)
        for seed in (0, 3):
            for what in ("network", "mask_control", "mask_9", "comparison"):
                self.assertIn(f"seed{seed}/{what}", run.stages)
        left = run.steps_left()["cnn_nodropout: masks"]
        self.assertEqual(left, 2 * 11 * CONFIG.mask_steps)


class FindAllNeuronsTest(absltest.TestCase):
    def test_finds_neurons_of_the_layers_by_both_rules(self):
        subject = stages.subject_of(CONFIG, 0)
        network, data = subject.build(), subject.data
        found = stages.find_all_neurons(CONFIG, network, data, ["conv1"])
        self.assertEqual([*found], [*stages.METHODS])
        for method in stages.METHODS:
            self.assertEqual((*found[method],), data.class_names)
            for chosen in found[method].values():
                self.assertEqual([*chosen.values], ["conv1"])
        kept = [s.keep_fraction for s in found["threshold"].values()]
        np.testing.assert_allclose(kept, 10 / 32)


if __name__ == "__main__":
    absltest.main()
