import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.parts import keras_private


def dropped(attribute, function):
    return (
        f"Keras {keras.__version__} has dropped or changed `{attribute}`, "
        f"which `keras_private.{function}` uses; it was checked with Keras "
        f"{keras_private.CHECKED_WITH}."
    )


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(3, name="first")
        self.second = layers.Dense(3, name="second")
        self.scale = self.add_weight(shape=(3,), name="scale")

    def call(self, inputs):
        return self.scale * self.second(self.first(inputs))


class KerasPrivateTest(parameterized.TestCase, tf.test.TestCase):
    def test_a_layer_has_its_own_weights_frozen_or_not(self):
        block = Block()
        block(np.ones((1, 2)))
        block.trainable = False
        message = dropped("Layer._trainable_variables", "own_weights")
        self.assertTrue(hasattr(block, "_trainable_variables"), message)
        own = keras_private.own_weights(block)
        self.assertEqual([w.name for w in own], ["scale"], message)

    def test_a_layer_has_the_layers_inside_it(self):
        message = dropped("Layer._layers", "children")
        model = keras.Sequential([keras.Input((2,)), Block(), Block()])
        self.assertTrue(hasattr(model, "_layers"), message)
        blocks = [
            x for x in keras_private.children(model) if isinstance(x, Block)
        ]
        self.assertEqual(blocks, model.layers, message)
        names = [x.name for x in keras_private.children(blocks[0])]
        self.assertEqual(names, ["first", "second"], message)

    def test_all_layers_come_once_and_in_order(self):
        inputs = keras.Input((3,))
        block, after = Block(name="block"), layers.ReLU(name="after")
        inner = keras.Sequential([keras.Input((3,)), block], name="inner")
        model = keras.Model(inputs, after(block(inner(inputs))), name="outer")
        found = keras_private.all_layers(model)
        names = [x.name for x in found if not isinstance(x, layers.InputLayer)]
        inside = ["block", "first", "second"]
        self.assertEqual(names, ["outer", "inner", *inside, "after"])

    @parameterized.named_parameters(
        ("dense", layers.Dense(2), (1, 3)),
        ("conv1d", layers.Conv1D(2, 1), (1, 3, 3)),
        ("conv2d", layers.Conv2D(2, 1), (1, 3, 3, 3)),
        ("conv3d", layers.Conv3D(2, 1), (1, 3, 3, 3, 3)),
    )
    def test_the_kernel_is_a_variable(self, layer, shape):
        message = dropped("Dense._kernel, BaseConv._kernel", "kernel")
        self.assertIsNone(keras_private.kernel(layer))
        layer.build(shape)
        kernel = keras_private.kernel(layer)
        self.assertIsInstance(kernel, keras.Variable, message)
        self.assertIs(kernel, layer.kernel, message)

    def test_the_inputs_have_the_structure_that_the_model_takes(self):
        message = dropped("Function._inputs_struct", "input_structure")
        inputs = {n: keras.Input((i,), name=n) for n, i in (("b", 2), ("a", 3))}
        model = keras.Model(inputs, layers.Concatenate()([*inputs.values()]))
        self.assertTrue(hasattr(model, "_inputs_struct"), message)
        found = keras_private.input_structure(model)
        self.assertEqual(
            {name: x.shape for name, x in found.items()},
            {"a": (None, 3), "b": (None, 2)},
            message,
        )
        single = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
        found = keras_private.input_structure(single)
        self.assertEqual(found.shape, (None, 2), message)

    def test_the_mask_of_a_tensor_is_what_keras_layers_read_and_write(self):
        message = dropped("_keras_mask", "get_keras_mask, set_keras_mask")
        steps = tf.constant([[[1.0], [0.0]]])
        written = keras_private.get_keras_mask(layers.Masking()(steps))
        self.assertIsNotNone(written, message)
        self.assertAllEqual(written, [[True, False]])
        self.assertIsNone(keras_private.get_keras_mask(steps))
        keras_private.set_keras_mask(steps, tf.constant([[False, True]]))
        read = layers.GlobalAveragePooling1D()(steps)
        self.assertAllClose(read, [[0.0]], msg=message)

    def test_an_optimizer_knows_the_place_of_a_variable(self):
        message = dropped("Optimizer._get_variable_index", "variable_index")
        variables = [keras.Variable([0.0]), keras.Variable([1.0])]
        optimizer = keras.optimizers.SGD()
        optimizer.build(variables)
        self.assertTrue(hasattr(optimizer, "_get_variable_index"), message)
        for i, variable in enumerate(variables):
            place = keras_private.variable_index(optimizer, variable)
            self.assertEqual(place, i, message)


if __name__ == "__main__":
    tf.test.main()
