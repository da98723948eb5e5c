import tempfile

import numpy as np
import tensorflow as tf

from modularity_tf.findings import overlap
from modularity_tf.findings.neuron_selection import NeuronSelection
from tests import small_models


class NeuronSelectionTest(tf.test.TestCase):
    def test_has_the_set_algebra_and_the_metrics_of_every_set(self):
        a = NeuronSelection({"x": np.array([1, 1, 0, 0], bool)})
        b = NeuronSelection({"x": np.array([1, 0, 1, 0], bool)})
        self.assertIsInstance(a & b, NeuronSelection)
        self.assertAllClose(a.sharing(b), 0.5)
        self.assertAllClose(a.iou(b), 1 / 3)
        found = overlap.between(a.values, b.values)
        self.assertAllClose(found.excess, 0.0)

    def test_is_saved_and_loaded(self):
        model = small_models.cnn()
        chosen = NeuronSelection({"conv": np.array([1, 0, 1], bool)}, {"c": 3})
        folder = self.enterContext(tempfile.TemporaryDirectory())
        chosen.save(f"{folder}/s.npz")
        loaded = NeuronSelection.load(f"{folder}/s.npz", model)
        self.assertEqual(loaded, chosen)
        self.assertEqual(loaded.provenance, {"c": 3})
        with self.assertRaisesRegex(ValueError, "no layer 'conv'"):
            NeuronSelection.load(f"{folder}/s.npz", small_models.nested())

    def test_refuses_neurons_that_are_in_it_and_off(self):
        on, off = ({"a": np.eye(3)[i] > 0} for i in (0, 1))
        NeuronSelection(on, off=off)
        with self.assertRaisesRegex(ValueError, r"some of \['a'\]"):
            NeuronSelection(on, off={"a": np.ones(3, bool)})
        for bad in ({"b": off["a"]}, {"a": off["a"][:2]}, {"a": np.eye(3)[1]}):
            with self.assertRaisesRegex(ValueError, "`off` must be a dict of"):
                NeuronSelection(on, off=bad)

    def test_without_off_nothing_can_be_forced(self):
        chosen = NeuronSelection({"conv": np.ones(3, bool)})
        with self.assertRaisesRegex(ValueError, "does not tell which neurons"):
            chosen.force(small_models.cnn())

    def test_refuses_another_number_of_units(self):
        chosen = NeuronSelection({"conv": np.ones(5, bool)})
        with self.assertRaisesRegex(ValueError, "'conv' has 3 units"):
            chosen.check_fits(small_models.cnn())
