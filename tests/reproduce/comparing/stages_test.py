import dataclasses
import types
from unittest import mock

import numpy as np
from absl.testing import absltest

from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.neurons import find_neurons
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

    def test_gates_are_learned_if_asked_for(self):
        run = Run(CONFIG, "test")
        stages.plan(run)
        self.assertNotIn("seed0/gates_control", run.stages)
        run = Run(dataclasses.replace(CONFIG, gates=True), "test")
        stages.plan(run)
        for what in ("gates_control", "gates_0", "gates_9"):
            self.assertIn(f"seed3/{what}", run.stages)


class FindGatesTest(absltest.TestCase):
    def test_classes_are_compared_at_one_penalty(self):
        subject = stages.subject_of(CONFIG, 0)
        network, calls = subject.build(), []

        def find(model, data, **settings):
            calls.append((set(data[1].tolist()), settings["alpha"]))
            flags = {"conv1": np.ones(32, bool)}
            return NeuronSelection(flags, {"alpha": 0.5})

        stage = types.SimpleNamespace(config=CONFIG, derive_seed=lambda _: 0)
        with mock.patch.object(find_neurons, "find_neurons", find):
            first = stages.find_gates(stage, subject, network, None, None)
            stages.find_gates(stage, subject, network, (1, 2), first)
        self.assertEqual(calls, [({*range(10)}, "auto"), ({1, 2}, 0.5)])


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
