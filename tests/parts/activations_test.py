import warnings

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.parts import activations
from tests import small_models


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.used = layers.Dense(3, name="used")
        self.spare = layers.Dense(2, name="spare")
        self.spare.build((None, 4))

    def call(self, inputs):
        return self.used(inputs)


class ActivationModelTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(True, False)
    def test_returns_what_each_layer_puts_out(self, compiled):
        model = small_models.cnn()
        inputs = np.random.default_rng(0).normal(size=(5, 6, 6, 2))
        watch = activations.ActivationModel(model)
        call = tf.function(watch) if compiled else watch
        found = call(tf.constant(inputs, "float32"))
        self.assertEqual(list(found), ["conv", "hidden", "output"])
        x = inputs
        for layer in model.layers:
            x = layer(x)
            if layer.name in found:
                self.assertAllClose(found[layer.name], x, atol=1e-5)
        self.assertNotIn("call", vars(model.layers[0]))  # as it was

    def test_reaches_layers_of_nested_and_subclassed_models(self):
        model, x = small_models.nested(), np.ones((2, 4), "float32")
        found = activations.ActivationModel(model)(x)
        hidden = model.get_layer("first")(x)
        self.assertAllClose(found["first"], hidden)
        self.assertAllClose(found["inner/d"], model.get_layer("inner")(hidden))
        mine = Subclassed()
        outputs = mine(x)
        found = activations.ActivationModel(mine, "used")(x)
        self.assertAllClose(found["used"], outputs)

    def test_says_by_name_what_is_out_of_reach(self):
        mine = Subclassed()
        x = tf.ones((2, 4))
        mine(x)
        with self.assertRaisesRegex(ValueError, "'spare' of 'mine'"):
            activations.ActivationModel(mine)(x)

    @parameterized.parameters(True, False)
    def test_a_loop_is_out_of_reach_run_eagerly_or_not(self, compiled):
        model = keras.Sequential(
            [
                keras.Input((3, 4)),
                layers.RNN(Cell(), name="loop"),
                layers.Dense(2, name="output"),
            ]
        )
        watch = activations.ActivationModel(model)
        call = tf.function(watch) if compiled else watch
        with self.assertRaisesRegex(ValueError, "inner' .* within a loop"):
            call(tf.ones((2, 3, 4)))

    def test_calls_of_several_shapes_are_refused(self):
        inputs, shared = keras.Input((6, 6, 2)), layers.Conv2D(2, 3, name="c")
        model = keras.Model(inputs, shared(shared(inputs)))
        watch = activations.ActivationModel(model)
        with self.assertRaisesRegex(ValueError, "'c' .* several shapes"):
            watch(np.ones((1, 6, 6, 2)))

    def test_calls_of_a_shared_layer_lie_side_by_side(self):
        inputs = keras.Input((4,))
        shared = layers.Dense(4, name="shared")
        model = keras.Model(inputs, shared(shared(inputs)))
        x = np.random.default_rng(0).normal(size=(5, 4))
        found = activations.ActivationModel(model)(x)["shared"]
        self.assertEqual(found.shape, (5, 2, 4))
        self.assertAllClose(found[:, 0], shared(x))
        self.assertAllClose(found[:, 1], model(x))

    def test_refuses_unknown_layers(self):
        with self.assertRaisesRegex(ValueError, "'nope'"):
            activations.ActivationModel(small_models.cnn(), "nope")


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(3, 3, name="conv")
        self.norm = layers.BatchNormalization(name="norm")
        self.relu = layers.ReLU(name="relu")

    def call(self, inputs):
        return self.relu(self.norm(self.conv(inputs)))


class Network(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block(name="block")
        self.flatten = layers.Flatten()
        self.hidden = layers.Dense(4, name="hidden")
        self.smooth = layers.Dense(4, name="smooth")

    def call(self, inputs):
        x = self.flatten(self.block(inputs))
        return self.smooth(keras.ops.relu(self.hidden(x)))


IMAGES = np.random.default_rng(0).normal(size=(5, 6, 6, 2)).astype("float32")


class ActivationAfterTest(parameterized.TestCase, tf.test.TestCase):
    """Attributed to a linear layer is what the activation after it returns."""

    @parameterized.named_parameters(
        ("relu", [layers.ReLU]),
        ("leaky", [layers.LeakyReLU]),
        ("elu", [layers.ELU]),
        ("prelu", [layers.PReLU]),
        ("softmax", [layers.Softmax]),
        ("gelu", [lambda: layers.Activation("gelu")]),
        ("normalized", [layers.BatchNormalization, layers.ReLU]),
        ("layer_normalized", [layers.LayerNormalization, layers.ReLU]),
        (
            "normalized_and_dropped",
            [
                layers.BatchNormalization,
                lambda: layers.Dropout(0.5),
                lambda: layers.Activation("tanh"),
            ],
        ),
        ("pooled", [layers.MaxPooling2D, layers.ReLU]),
        (
            "linear_twice",
            [lambda: layers.Activation("linear"), layers.ReLU],
        ),
        ("first_of_two", [layers.ReLU], [layers.ELU]),
    )
    def test_is_followed(self, chain, rest=()):
        chain = [make() for make in chain]
        model = keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                layers.Conv2D(3, 3, name="conv"),
                *chain,
                *[make() for make in rest],
                layers.GlobalAveragePooling2D(),
                layers.Dense(2, name="output"),
            ]
        )
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.beta.assign([0.3, -0.2, 0.1])
        found = activations.ActivationModel(model)(IMAGES)
        expected = keras.Sequential(model.layers[: 1 + len(chain)])(IMAGES)
        self.assertAllClose(found["conv"], expected)
        self.assertAllClose(found["output"], model(IMAGES))

    def test_layer_or_argument_is_the_same(self):
        def model(*hidden):
            return keras.Sequential(
                [keras.Input((72,)), *hidden, layers.Dense(2, name="output")]
            )

        one = model(layers.Dense(4, "relu", name="hidden"))
        two = model(layers.Dense(4, name="hidden"), layers.ReLU(name="relu"))
        two.set_weights(one.get_weights())
        rows = IMAGES.reshape(5, -1)
        expected, found = (
            activations.ActivationModel(m)(rows) for m in (one, two)
        )
        self.assertAllEqual([*found], ["hidden", "output"])
        self.assertAllClose(found, expected)

    def test_is_found_in_subclassed_models_layers_and_operations(self):
        model = Network()
        model(IMAGES)
        found = activations.ActivationModel(model)(IMAGES)
        block = model.block(IMAGES)
        self.assertAllClose(found["block/conv"], block)
        hidden = model.hidden(model.flatten(block))
        self.assertAllClose(found["hidden"], tf.nn.relu(hidden))
        self.assertAllClose(found["smooth"], model(IMAGES))

    def test_is_found_across_nested_models_and_precisions(self):
        inner = keras.Sequential(
            [keras.Input((4,)), layers.ReLU(dtype="float32")], name="inner"
        )
        model = keras.Sequential(
            [
                keras.Input((72,)),
                layers.Dense(4, name="hidden", dtype="mixed_float16"),
                inner,
                layers.Dense(2, name="output"),
            ]
        )
        found = activations.ActivationModel(model)(IMAGES.reshape(5, -1))
        self.assertEqual(found["hidden"].dtype, tf.float32)
        self.assertEqual(np.min(found["hidden"]), 0.0)

    @parameterized.named_parameters(
        ("a_residual_branch", lambda x, y: layers.ReLU()(layers.Add()([x, y]))),
        ("two_takers", lambda x, y: layers.ReLU()(y) + layers.ELU()(y)),
        ("an_operation_too", lambda x, y: layers.ReLU()(y) + 2 * y),
        ("two_operations", lambda x, y: keras.ops.relu(y) + keras.ops.tanh(y)),
        ("an_output_too", lambda x, y: [layers.ReLU()(y), y]),
        ("no_activation", lambda x, y: layers.MaxPooling2D()(y)),
        ("normalized_only", lambda x, y: layers.BatchNormalization()(y) + x),
    )
    def test_is_the_layers_own_output_with(self, after):
        inputs = keras.Input((6, 6, 2))
        conv = layers.Conv2D(2, 3, padding="same", name="conv")
        model = keras.Model(inputs, after(inputs, conv(inputs)))
        found = activations.ActivationModel(model)(IMAGES)
        self.assertAllClose(found["conv"], conv(IMAGES), atol=1e-5)

    def test_is_the_layers_own_output_if_it_has_an_activation(self):
        model = keras.Sequential(
            [
                keras.Input((72,)),
                layers.Dense(4, "tanh", name="d"),
                layers.ELU(),
            ]
        )
        rows = IMAGES.reshape(5, -1)
        found = activations.ActivationModel(model)(rows)
        self.assertAllClose(found["d"], model.layers[0](rows))

    def test_follows_each_call_of_a_shared_layer_or_none(self):
        inputs, shared = keras.Input((4,)), layers.Dense(4, name="shared")
        relu = layers.ReLU()
        first = relu(shared(inputs))
        rows = np.random.default_rng(0).normal(size=(5, 4))
        for last, clear in ((relu, True), (lambda x: x, False)):
            model = keras.Model(inputs, last(shared(first)))
            found = activations.ActivationModel(model)(rows)["shared"]
            self.assertEqual(np.min(found) == 0, clear)

    @parameterized.named_parameters(
        ("in_a_layer", "relu", ["block/conv"]),
        ("beside_others", ["relu", "smooth"], ["block/conv", "smooth"]),
    )
    def test_its_name_means_the_layer_before(self, names, expected):
        model = Network()
        model(IMAGES)
        found = activations.neuron_layers(model, names)
        self.assertEqual([*found], expected)
        self.assertEqual(
            [*activations.ActivationModel(model, names)(IMAGES)], expected
        )

    def test_its_name_means_each_layer_that_it_activates(self):
        relu, inputs = layers.ReLU(name="relu"), keras.Input((3,))
        a, b = (relu(layers.Dense(4, name=name)(inputs)) for name in "ab")
        c = layers.Dense(2, name="c")(a + b)
        model = keras.Model(inputs, c)
        self.assertEqual(
            [*activations.neuron_layers(model, "relu")], ["a", "b"]
        )


class OtherUnitsTest(tf.test.TestCase):
    def test_are_named_by_layer_and_kind(self):
        inputs = keras.Input((5, 3))
        x = layers.MultiHeadAttention(1, 2, name="mha")(inputs, inputs)
        x = layers.SeparableConv1D(3, 1, name="sep")(x)
        x = layers.DepthwiseConv1D(1, name="depth")(x)
        x = layers.Conv1DTranspose(3, 1, name="up")(x)
        x = layers.EinsumDense("abc,cd->abd", (5, 3), name="einsum")(x)
        x = layers.LSTM(3, name="lstm")(layers.Conv1D(3, 1, name="conv")(x))
        model = keras.Model(inputs, layers.Dense(2, name="output")(x), name="m")
        with self.assertWarns(UserWarning) as caught:
            activations.warn_of_other_units(model, stacklevel=1)
        self.assertIn(
            "'m' has units that are not looked at, in layers other than Conv1D "
            "to Conv3D and Dense: 'mha' (MultiHeadAttention), 'sep' "
            "(SeparableConv1D), 'depth' (DepthwiseConv1D), 'up' "
            "(Conv1DTranspose), 'einsum' (EinsumDense), 'lstm' (LSTM). Name",
            str(caught.warning),
        )
        self.assertEqual(caught.filename, __file__)
        for name in ("mha", "sep", "lstm"):
            message = f"names '{name}', a .*; only Conv1D to Conv3D and Dense"
            with self.assertRaisesRegex(ValueError, message):
                activations.neuron_layers(model, name)

    def test_are_none_in_embeddings_and_normalization(self):
        model = keras.Sequential(
            [
                keras.Input((5,)),
                layers.Embedding(9, 4),
                layers.LayerNormalization(),
                layers.BatchNormalization(),
                layers.PReLU(),
                layers.Flatten(),
                layers.Dense(2),
            ]
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            activations.warn_of_other_units(model)


class ChooseLayersTest(parameterized.TestCase, tf.test.TestCase):
    def model(self):
        inner = keras.Sequential(
            [keras.Input((3,)), layers.Dense(3, name="a"), layers.ReLU()],
            name="inner",
        )
        x = keras.Input((3,))
        y = layers.Dense(3, name="a")(inner(layers.ReLU(name="r")(x)))
        return keras.Model(x, layers.Dense(2, name="last")(y), name="outer")

    @parameterized.named_parameters(
        ("none_all_conv_and_dense", None, ["inner/a", "a", "last"]),
        ("a_name_one_layer_of_any_kind", "r", ["r"]),
        ("a_shared_name_all_that_have_it", ["a"], ["inner/a", "a"]),
        ("a_path_that_layer", ["inner/a"], ["inner/a"]),
        ("a_model_the_conv_and_dense_layers_in_it", ["inner"], ["inner/a"]),
        ("several_in_the_order_of_the_model", ["last", "r"], ["r", "last"]),
    )
    def test_means_by(self, names, expected):
        found = activations.choose_layers(self.model(), names)
        self.assertEqual([*found], expected)

    @parameterized.named_parameters(
        ("unknown", "nope", "'nope', which is no layer .* Known: .*'inner/a'"),
        ("empty", [], "must be a name or names, got"),
        ("a_number", 3, "must be a name or names, got 3"),
        ("numbers", [3], "must be a name or names, got"),
    )
    def test_refuses(self, names, message):
        with self.assertRaisesRegex(ValueError, message):
            activations.choose_layers(self.model(), names)

    def test_an_rnn_and_a_wrapper_stay_one_layer(self):
        wrapper = layers.TimeDistributed(layers.Dense(2), name="wrapper")
        model = keras.Sequential(
            [keras.Input((3, 4)), wrapper, layers.RNN(Cell(), name="loop")]
        )
        found = activations.choose_layers(model, ["loop", "wrapper"])
        self.assertEqual([*found], ["wrapper", "loop"])

    def test_neurons_are_in_conv_and_dense_layers_alone(self):
        with self.assertRaisesRegex(ValueError, "names 'r', a ReLU; only Conv"):
            activations.neuron_layers(self.model(), ["a", "r"])


class Cell(layers.Layer):
    state_size = output_size = 2

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(2, name="inner")

    def build(self, input_shape):
        self.inner.build((None, 4))

    def call(self, inputs, states):
        return self.inner(inputs) + states[0], states
