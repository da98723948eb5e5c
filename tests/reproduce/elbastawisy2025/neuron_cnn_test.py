import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.network import activations
from reproduce.elbastawisy2025 import neuron_cnn


class NeuronCnnTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(
        (
            neuron_cnn.mnist,
            (28, 28, 1),
            "conv0 conv1 conv4 conv5 dense9 output11",
        ),
        (
            neuron_cnn.cifar10,
            (32, 32, 3),
            "conv0 conv2 conv6 conv8 conv12 conv14 dense19 output22",
        ),
    )
    def test_layers_are_named_by_their_place(self, build, shape, expected):
        model = build(shape, 10)
        self.assertEqual(model.output_shape, (None, 10))
        found = activations.neuron_layers(model, outputs=True)
        self.assertEqual([*found], expected.split())
        stack = [
            layer
            for layer in model.layers
            if not isinstance(layer, keras.layers.Rescaling)
        ]
        for place, layer in enumerate(stack):
            self.assertEndsWith(layer.name, str(place))

    def test_the_seed_decides(self):
        one, same, other = (
            neuron_cnn.mnist((8, 8, 1), 3, seed=s).get_weights()[0]
            for s in (1, 1, 2)
        )
        self.assertAllEqual(one, same)
        self.assertGreater(np.abs(one - other).max(), 0.01)


if __name__ == "__main__":
    tf.test.main()
