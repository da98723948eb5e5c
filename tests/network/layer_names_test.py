import keras
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.network import activations, layer_names, model_weights

PATHS = ["stem", "body", "body/conv", "body/head", "head", "head/dense"]


class FindTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("a_path_one_layer", "body/head", ["body/head"]),
        ("a_name_all_that_have_it", "head", ["body/head", "head"]),
        ("a_nested_name", "conv", ["body/conv"]),
        ("several_in_order", ["head/dense", "stem"], ["stem", "head/dense"]),
    )
    def test_means_by(self, names, expected):
        found = layer_names.find(iter(PATHS), names)
        self.assertEqual(found, expected)

    # Cut at its front or its end, in another case, empty.
    @parameterized.parameters("ody/conv", "body/", "Head", "", "conv/x")
    def test_refuses_an_unknown_name(self, name):
        message = rf"`only` names '{name}', .* Known: \['stem', 'body', .*"
        with self.assertRaisesRegex(ValueError, message):
            layer_names.find(PATHS, ["stem", name], "only")

    def test_layers_around_a_weight_come_outermost_first(self):
        found = layer_names.around("trunk/body/conv/kernel")
        self.assertEqual(found, ["trunk", "trunk/body", "trunk/body/conv"])
        self.assertEmpty(layer_names.around("scale"))  # the model's own


class Block(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(3, name="first")
        self.norm = keras.layers.LayerNormalization(name="norm")

    def build(self, input_shape):
        self.first.build(input_shape)
        self.norm.build((input_shape[0], 3))

    def call(self, inputs):
        return self.norm(self.first(inputs))


class OneRuleTest(parameterized.TestCase, tf.test.TestCase):
    def model(self):
        inner = keras.Sequential(
            [keras.Input((3,)), Block(name="block")], name="inner"
        )
        inputs = keras.Input((3,))
        hidden = Block(name="block")(inner(inputs))
        outputs = keras.layers.Dense(2, name="last")(hidden)
        return keras.Model(inputs, outputs, name="outer")

    @parameterized.parameters(
        "first", "block", "block/first", "inner", "inner/block", "last"
    )
    def test_a_name_means_the_same_layers_for_weights_and_neurons(self, name):
        model = self.model()
        kernels = model_weights.select_roles(
            model_weights.model_weights(model), "kernel"
        )
        owners = [
            layer_names.around(path)[-1]
            for path in model_weights.select_layers(kernels, name)
        ]
        self.assertNotEmpty(owners)
        self.assertEqual([*activations.neuron_layers(model, name)], owners)

    def test_an_unknown_name_is_refused_in_the_same_words(self):
        model = self.model()
        messages = []
        for choose, where in (
            (model_weights.select_layers, model_weights.model_weights(model)),
            (activations.choose_layers, model),
        ):
            with self.assertRaises(ValueError) as raised:
                choose(where, "nope")
            messages.append(str(raised.exception).partition("Known")[0])
        self.assertEqual(
            messages,
            ["`layers` names 'nope', which is no layer to choose. "] * 2,
        )


if __name__ == "__main__":
    tf.test.main()
