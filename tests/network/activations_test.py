import concurrent.futures
import warnings

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.network import activations, keras_private
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
    def make_call(self, watch, how):
        self.addCleanup(tf.config.run_functions_eagerly, False)
        tf.config.run_functions_eagerly(how == "all eager")
        return tf.function(watch) if how == "compiled" else watch

    def test_a_call_that_the_user_has_set_stays(self):
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)]
        )
        hidden, seen = model.layers[0], []
        usual = hidden.call

        def hook(inputs, **kwargs):
            seen.append(inputs)
            return usual(inputs, **kwargs)

        hidden.call = hook
        activations.trace(model)
        self.assertIs(hidden.call, hook)
        self.assertLen(seen, 1)
        self.assertNotIn("call", vars(model.layers[1]))

    def test_threads_record_their_own_calls(self):
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)]
        )
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = [*pool.map(activations.trace, [model] * 12)]
        for one in found:
            self.assertEqual(
                [layer for layer, *_ in one.calls][-2:], model.layers
            )
        self.assertNotIn("call", vars(model.layers[0]))

    @parameterized.parameters("compiled", "eager", "all eager")
    def test_returns_what_each_layer_puts_out(self, how):
        model = small_models.cnn()
        inputs = np.random.default_rng(0).normal(size=(5, 6, 6, 2))
        watch = activations.ActivationModel(model, outputs=True)
        call = self.make_call(watch, how)
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
        found = activations.ActivationModel(model, outputs=True)(x)
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
            activations.ActivationModel(mine, outputs=True)(x)

    @parameterized.parameters("compiled", "eager", "all eager")
    def test_a_loop_is_out_of_reach_run_eagerly_or_not(self, how):
        model = keras.Sequential(
            [
                keras.Input((3, 4)),
                layers.RNN(Cell(), name="loop"),
                layers.Dense(2, name="output"),
            ]
        )
        watch = activations.ActivationModel(model, outputs=True)
        call = self.make_call(watch, how)
        with self.assertRaisesRegex(ValueError, "inner' .* within a loop"):
            call(tf.ones((2, 3, 4)))

    def test_calls_of_several_shapes_are_refused(self):
        inputs, shared = keras.Input((6, 6, 2)), layers.Conv2D(2, 3, name="c")
        model = keras.Model(inputs, shared(shared(inputs)))
        watch = activations.ActivationModel(model, outputs=True)
        with self.assertRaisesRegex(ValueError, "'c' .* several shapes"):
            watch(np.ones((1, 6, 6, 2)))

    def test_calls_of_a_shared_layer_lie_side_by_side(self):
        inputs = keras.Input((4,))
        shared = layers.Dense(4, name="shared")
        model = keras.Model(inputs, shared(shared(inputs)))
        x = np.random.default_rng(0).normal(size=(5, 4))
        found = activations.ActivationModel(model, outputs=True)(x)["shared"]
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
        found = activations.ActivationModel(model, outputs=True)(IMAGES)
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
            activations.ActivationModel(m, outputs=True)(rows)
            for m in (one, two)
        )
        self.assertAllEqual([*found], ["hidden", "output"])
        self.assertAllClose(found, expected)

    def test_is_found_in_subclassed_models_layers_and_operations(self):
        model = Network()
        model(IMAGES)
        found = activations.ActivationModel(model, outputs=True)(IMAGES)
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
        found = activations.ActivationModel(model, outputs=True)(
            IMAGES.reshape(5, -1)
        )
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
        found = activations.ActivationModel(model, outputs=True)(IMAGES)
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
        found = activations.ActivationModel(model, outputs=True)(rows)
        self.assertAllClose(found["d"], model.layers[0](rows))

    def test_follows_each_call_of_a_shared_layer_or_none(self):
        inputs, shared = keras.Input((4,)), layers.Dense(4, name="shared")
        relu = layers.ReLU()
        first = relu(shared(inputs))
        rows = np.random.default_rng(0).normal(size=(5, 4))
        for last, clear in ((relu, True), (lambda x: x, False)):
            model = keras.Model(inputs, last(shared(first)))
            found = activations.ActivationModel(model, outputs=True)(rows)[
                "shared"
            ]
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


class WithoutLayers(layers.Layer):
    """Dense, then a bare operation, which loses the Keras mask."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.dense = layers.Dense(4, name="dense")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, inputs):
        return keras.ops.relu(self.dense(inputs))


TOKENS = np.array([[1, 2, 0, 0], [3, 1, 2, 0], [0, 0, 0, 0]], "int32")


def of_padded_text():
    shared = layers.Dense(4, "tanh", name="shared")
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(5, 4, mask_zero=True),
            layers.Dense(4, name="linear"),
            layers.LayerNormalization(),
            layers.ReLU(),
            WithoutLayers(name="bare"),
            layers.TimeDistributed(layers.Dense(4, name="timed"), name="td"),
            layers.ELU(),
            keras.Sequential([shared, shared, shared], name="inner"),
            SelfAttention(name="attention"),
            layers.Conv1D(4, 1, name="conv"),
        ]
    )


class SelfAttention(layers.Layer):
    """Its attention takes the mask off what it reads."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.read = layers.Dense(4, name="read")
        self.inner = layers.MultiHeadAttention(2, 2)

    def build(self, shape):
        self.read.build(shape)
        self.inner.build(shape, shape)

    def call(self, inputs):
        read = self.read(inputs)
        return self.inner(read, read)


class KerasMaskTest(tf.test.TestCase):
    def test_is_passed_on_with_activations(self):
        model = of_padded_text()
        watch = activations.ActivationModel(model, outputs=True)

        @tf.function(autograph=False)
        def call(tokens):
            found = watch(tokens)
            return found, {
                path: keras_private.get_keras_mask(x)
                for path, x in found.items()
            }

        eager = watch(TOKENS)
        found, masks = call(TOKENS)
        self.assertEqual(
            [*found],
            [
                *("linear", "bare/dense", "td/timed", "inner/shared"),
                *("attention/read", "conv"),
            ],
        )
        self.assertIsNone(masks.pop("conv"))  # Keras destroys it there
        for path, keras_mask in masks.items():
            expected = TOKENS != 0
            if path == "inner/shared":  # called three times
                self.assertEqual(found[path].shape, (3, 4, 3, 4))
                expected = np.repeat(expected[..., None], 3, -1)
            self.assertAllEqual(keras_mask, expected, msg=path)
            own = keras_private.get_keras_mask(eager[path])
            self.assertAllEqual(own, expected, msg=path)
            self.assertAllClose(eager[path], found[path])
        # Of the linear layers it is what the activation after them returns.
        self.assertEqual(np.min(found["linear"]), 0.0)
        self.assertGreater(np.min(found["td/timed"]), -1.0)

    def test_hides_positions_from_means(self):
        values = np.array([[[1.0], [np.nan]], [[4.0], [2.0]], [[1.0], [1.0]]])
        keras_mask = np.array([[True, False], [True, True], [False, False]])
        for hidden in (keras_mask, keras_mask.astype("float32")):
            found = activations.unit_means([tf.constant(values)], [hidden])
            self.assertAllEqual(found, [[1.0], [3.0], [0.0]])
            self.assertEqual(found.dtype, tf.float64)
        # Of several calls, all positions that count are alike.
        found = activations.unit_means(
            [tf.constant(values), tf.ones((3, 1), tf.float64)],
            [keras_mask, None],
        )
        self.assertAllClose(found, [[1.0], [7 / 3], [1.0]])


class PrecisionTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("float16", "bfloat16")
    def test_means_over_many_positions_are_exact(self, dtype):
        values = np.full((1, 224 * 224, 2), 1.5)
        found = activations.unit_means([tf.constant(values, dtype)], [None])
        self.assertEqual(found.dtype, tf.float32)
        self.assertAllClose(found, [[1.5, 1.5]])

    def test_float64_stays_float64_and_float32_is_no_less(self):
        model = keras.Sequential(
            [
                keras.Input((3,), dtype="float64"),
                layers.Dense(2, name="d", dtype="float64"),
            ]
        )
        inputs = np.random.default_rng(0).normal(size=(4, 3))
        found = activations.ActivationModel(model, outputs=True)(inputs)["d"]
        self.assertEqual(found.dtype, tf.float64)
        kernel = model.get_weights()[0]
        self.assertAllClose(found, inputs @ kernel, 1e-14, 1e-14)
        policy = keras.config.dtype_policy()
        self.addCleanup(keras.config.set_dtype_policy, policy)
        keras.config.set_dtype_policy("mixed_float16")
        watch = activations.ActivationModel(
            model, outputs=True
        )  # of another policy
        self.assertAllEqual(watch(inputs)["d"], found)


def channels_first(kind, *args, **kwargs):
    return lambda: kind(
        *args, data_format="channels_first", name="odd", **kwargs
    )


class ChannelsFirstTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("conv", channels_first(layers.Conv2D, 4, 1)),
        ("transposed", channels_first(layers.Conv2DTranspose, 4, 1)),
        ("depthwise", channels_first(layers.DepthwiseConv2D, 1)),
        ("separable", channels_first(layers.SeparableConv2D, 4, 1)),
        ("pooling", channels_first(layers.MaxPooling2D)),
        ("upsampling", channels_first(layers.UpSampling2D)),
        ("normalization", lambda: layers.BatchNormalization(1, name="odd")),
        ("of_layers", lambda: layers.LayerNormalization(1, name="odd")),
        (
            "recurrent",
            channels_first(layers.ConvLSTM1D, 4, 1, return_sequences=True),
        ),
        (
            "wrapped",
            lambda: layers.TimeDistributed(
                channels_first(layers.Conv1D, 4, 1)(), name="odd"
            ),
        ),
    )
    def test_is_refused_by_path_and_what_follows(self, make):
        inner = keras.Sequential([make(), layers.ReLU(name="relu")])
        inner.name = "inner"
        model = keras.Sequential(
            [
                keras.Input((3, 6, 8)),
                inner,
                layers.Dropout(0.5, name="drop"),
                layers.Flatten(data_format="channels_first", name="flat"),
                layers.Dense(4, name="hidden"),
                layers.Dense(2, name="last"),
            ]
        )
        call = tf.function(
            lambda x, layer: activations.activations_in_graph(
                model, activations.choose_layers(model, layer), x, False
            )[1],
            autograph=False,
        )
        spec = tf.TensorSpec((None, 3, 6, 8))
        for path in ("inner/odd", "inner/relu", "drop"):
            message = f"'{path}' has its channels first"
            with self.assertRaisesRegex(ValueError, message):
                call.get_concrete_function(spec, path)
        for path in ("flat", "hidden", "last"):
            call.get_concrete_function(spec, path)

    def test_is_followed_through_bare_operations(self):
        x = keras.Input((3, 6, 8))
        conv = layers.Conv2D(4, 1, data_format="channels_first", name="conv")
        y = layers.Dropout(0.5, name="after")(keras.ops.relu(conv(x)) + 1.0)
        z = layers.Permute((2, 3, 1), name="last")(y)
        z = layers.ReLU(name="fine")(z)
        model = keras.Model(x, layers.GlobalAveragePooling2D()(z))
        watched = activations.choose_layers(model, ["after", "fine"])

        @tf.function(autograph=False)
        def call(images, path):
            return activations.activations_in_graph(
                model, {path: watched[path]}, images
            )[1]

        spec = tf.TensorSpec((None, 3, 6, 8))
        with self.assertRaisesRegex(ValueError, "'after' has its channels"):
            call.get_concrete_function(spec, "after")
        call.get_concrete_function(spec, "fine")

    def test_leaves_dense_layers_their_kernels(self):
        model = keras.Sequential(
            [
                keras.Input((3, 6, 8)),
                layers.Conv2D(4, 1, data_format="channels_first", name="conv"),
                layers.Flatten(),
                layers.Dense(2, name="last"),
            ]
        )
        self.assertEqual([*activations.kernel_paths(model)], ["conv", "last"])
        self.assertEqual([*activations.neuron_layers(model, "last")], ["last"])
        with self.assertRaisesRegex(ValueError, "'conv' has its channels"):
            activations.neuron_layers(model)


class QuantizedTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("int8", "int4", "float8")
    def test_layers_are_read_like_any(self, mode):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(6, name="hidden"),
                layers.ReLU(),
                layers.Dense(2, name="last"),
            ]
        )
        model.quantize(mode)
        rows = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
        found = activations.ActivationModel(model, outputs=True)(rows)
        hidden = model.layers[0](rows)
        self.assertAllClose(found["hidden"], tf.nn.relu(hidden))
        self.assertAllClose(found["last"], model(rows))
        kernels = activations.kernel_paths(model)
        self.assertLen(kernels, 2 if mode == "float8" else 0)
        self.assertNotIn("quantized_call", vars(model.layers[0]))

    def test_lora_layers_keep_their_kernel(self):
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(6, name="d", use_bias=False)]
        )
        layer = model.layers[0]
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(np.ones((2, 6)))
        rows = np.eye(4, dtype="float32")
        found = activations.ActivationModel(model, outputs=True)(rows)["d"]
        self.assertAllClose(found, layer.kernel, atol=1e-5)
        self.assertEqual(activations.kernel_paths(model), {"d": "d/kernel"})


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
        for name in ("mha", "depth", "einsum"):
            message = f"names '{name}', a .*; only Dense layers, convolutions"
            with self.assertRaisesRegex(ValueError, message):
                activations.neuron_layers(model, name)
        for name in ("sep", "up", "lstm"):
            self.assertEqual([*activations.neuron_layers(model, name)], [name])

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
        with self.assertRaisesRegex(
            ValueError, "names 'r', a ReLU; only Dense"
        ):
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
