import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.network import activations, model_weights, shrinking


def chain(*stack, shape=(4,)):
    return keras.Sequential([keras.Input(shape), *stack], name="chain")


def conv(filters, size=3, name="conv", **kwargs):
    return layers.Conv2D(filters, size, name=name, **kwargs)


def dense(units, name="hidden", activation="relu", **kwargs):
    return layers.Dense(units, activation, name=name, **kwargs)


def out():
    return layers.Dense(2, name="out")


def settled(model, seed=0):
    """Gives biases and statistics values that training would."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "float" in variable.dtype:
            low = 0.5 if "variance" in variable.path else -0.5
            variable.assign(rng.uniform(low, 1.0, variable.shape))
    return model


def without_weights(model, units):
    """Returns the model without kernels and biases of units, in place."""
    weights = model_weights.model_weights(model)
    for path, numbers in units.items():
        for name in ("kernel", "bias"):
            if f"{path}/{name}" in weights:
                variable = weights[f"{path}/{name}"].variable
                value = variable.numpy()
                value[..., numbers] = 0.0
                variable.assign(value)
    return model


def flags(model, units):
    """Returns numbers of units as bool arrays by path."""
    found = activations.neuron_layers(model, outputs=True)
    return {
        path: np.isin(np.arange(found[path].kernel.shape[-1]), numbers)
        for path, numbers in units.items()
    }


def reason_of(found, path):
    """Returns the only reason why units of a layer stay."""
    (reason,) = found.stays[path]
    return reason


def inputs_of(model, rows=5):
    rng = np.random.default_rng(3)
    return [
        rng.normal(size=(rows, *x.shape[1:])).astype("float32")
        for x in model.inputs
    ]


class ShrinkingTestCase(parameterized.TestCase, tf.test.TestCase):
    def shrunk(self, model, units, expected, **kwargs):
        """Shrinks a model and checks outputs and numbers of units.

        Args:
            model: Model whose weights are set.
            units: Dict from path to the numbers of units that go, or `None`.
            expected: Dict from path to the number of units that stay.
        """
        if units is not None:
            model = without_weights(model, units)
            units = flags(model, units)
        found = shrinking.shrink(model, units, **kwargs)
        told = {path: found.units[path][1] for path in expected}
        self.assertEqual(told, expected)
        inputs = inputs_of(model)
        one, other = (
            keras.tree.flatten(each(inputs if len(inputs) > 1 else inputs[0]))
            for each in (model, found.model)
        )
        for x, y in zip(one, other, strict=True):
            self.assertAllClose(x, y, atol=1e-5, rtol=1e-5)
        self.assertIs(type(found.model), type(model))
        return found


class ShrinkTest(ShrinkingTestCase):
    def test_units_leave_with_the_rows_that_read_them(self):
        model = settled(chain(dense(5), dense(4, "second"), out()))
        found = self.shrunk(
            model, {"hidden": [0, 3], "second": [1]}, {"hidden": 3, "second": 3}
        )
        kernel = model.get_layer("second").kernel.numpy()
        expected = np.delete(np.delete(kernel, [0, 3], 0), 1, 1)
        second = found.model.get_layer("second")
        self.assertAllClose(second.kernel, expected)
        self.assertEqual(second.units, 3)
        self.assertEmpty(found.stays)

    def test_a_constant_is_folded_into_the_next_bias(self):
        for use_bias in (True, False):
            model = settled(
                chain(
                    dense(3, activation="sigmoid"),
                    layers.Dense(4, use_bias=use_bias, name="out"),
                )
            )
            found = self.shrunk(model, {"hidden": [1]}, {"hidden": 2})
            kernel = model.get_layer("out").kernel.numpy()
            bias = model.get_layer("out").bias.numpy() if use_bias else 0.0
            self.assertAllClose(
                found.model.get_layer("out").bias, bias + 0.5 * kernel[1]
            )

    @parameterized.parameters(layers.GRU, layers.LSTM, layers.SimpleRNN)
    def test_a_constant_is_folded_into_a_recurrent_layer(self, kind):
        model = settled(
            chain(
                dense(4, activation="sigmoid"),
                kind(3, use_bias=False, name="reads"),
                out(),
                shape=(5, 2),
            )
        )
        found = self.shrunk(model, {"hidden": [1, 2]}, {"hidden": 2})
        self.assertTrue(found.model.get_layer("reads").use_bias)

    def test_a_network_of_convolutions_becomes_smaller(self):
        model = settled(
            chain(
                conv(4, use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.MaxPooling2D(2),
                layers.SpatialDropout2D(0.3),
                conv(3, 2, "second", activation="elu"),
                layers.Flatten(),
                dense(5),
                out(),
                shape=(9, 9, 2),
            )
        )
        found = self.shrunk(
            model,
            {"conv": [0, 2], "second": [1], "hidden": [4]},
            {"conv": 2, "second": 2, "hidden": 4},
        )
        self.assertEqual(
            found.model.get_layer("hidden").kernel.shape, (2 * 2 * 2, 4)
        )

    def test_one_constant_stands_for_others_where_a_convolution_pads(self):
        model = settled(
            chain(
                conv(5, activation="sigmoid", padding="same"),
                conv(3, name="second", padding="same"),
                out(),
                shape=(4, 4, 2),
            )
        )
        found = self.shrunk(model, {"conv": [0, 1, 4]}, {"conv": 3})
        ((reason, count),) = found.stays["conv"].items()
        self.assertEqual(count, 1)
        self.assertRegex(reason, "constant.* 'second' pads")

    def test_no_unit_stands_for_a_single_one_that_is_zero(self):
        model = settled(
            chain(
                conv(5, activation="relu", padding="same"),
                conv(3, name="second", padding="same"),
                out(),
                shape=(4, 4, 2),
            )
        )
        found = self.shrunk(model, {"conv": [0, 1, 4]}, {"conv": 2})
        self.assertEmpty(found.stays)

    def test_a_constant_before_zero_padding_stays(self):
        model = settled(
            chain(
                conv(4, activation="sigmoid"),
                layers.ZeroPadding2D(),
                conv(3, name="second"),
                out(),
                shape=(5, 5, 1),
            )
        )
        found = self.shrunk(model, {"conv": [2]}, {"conv": 4})
        self.assertRegex(
            reason_of(found, "conv"), "second.*not the same everywhere"
        )

    def test_units_of_a_sum_go_where_both_do(self):
        inputs = keras.Input((6, 6, 2))
        x = conv(4, activation="relu")(inputs)
        y = conv(4, name="inside", padding="same")(x)
        y = layers.BatchNormalization(center=False)(y)
        x = layers.ReLU()(layers.Add()([x, y]))
        x = layers.GlobalAveragePooling2D()(x)
        model = settled(keras.Model(inputs, out()(x)))
        model.layers[3].moving_mean.assign(np.zeros(4))
        found = self.shrunk(
            model,
            {"conv": [0, 1], "inside": [1, 2]},
            {"conv": 3, "inside": 3},
        )
        self.assertRegex(reason_of(found, "inside"), "share their places")

    def test_channels_that_a_shortcut_adds_stay(self):
        inputs = keras.Input((4, 4, 2))
        x = conv(3, activation="relu", padding="same")(inputs)
        y = conv(5, name="wider", activation="relu", padding="same")(x)
        wider = keras.ops.pad(x, [(0, 0)] * 3 + [(1, 1)])  # as in ResNet-20
        x = layers.GlobalAveragePooling2D()(layers.Add()([wider, y]))
        model = settled(keras.Model(inputs, out()(x)))
        found = self.shrunk(
            model, {"conv": [1], "wider": [0, 2]}, {"conv": 2, "wider": 4}
        )
        self.assertRegex(reason_of(found, "wider"), "inputs, or with mixed")

    def test_a_gate_goes_with_the_channel_that_it_scales(self):
        inputs = keras.Input((4, 4, 2))
        x = conv(4, 2, activation="relu")(inputs)
        gate = layers.GlobalAveragePooling2D()(x)
        gate = dense(3, "squeeze")(gate)
        gate = dense(4, "excite", "sigmoid")(gate)
        gate = layers.Reshape((1, 1, 4))(gate)
        x = layers.Flatten()(layers.Multiply()([x, gate]))
        model = settled(keras.Model(inputs, out()(x)))
        self.shrunk(model, {"conv": [1]}, {"conv": 3, "excite": 3})

    def test_concatenated_units_go_one_by_one(self):
        inputs = keras.Input((4, 4, 2))
        x = conv(3, 2, activation="relu")(inputs)
        y = conv(2, name="grow", padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(layers.Concatenate()([x, y]))
        x = layers.DepthwiseConv2D(2, depth_multiplier=2, activation="relu")(x)
        x = layers.GlobalMaxPooling2D()(x)
        model = settled(keras.Model(inputs, out()(x)))
        found = self.shrunk(
            model, {"conv": [2], "grow": [0]}, {"conv": 2, "grow": 1}
        )
        self.assertEqual(found.model.get_layer("out").kernel.shape, (6, 2))

    @parameterized.named_parameters(
        ("lstm", layers.LSTM),
        ("gru", layers.GRU),
        ("gru_of_old", lambda *a, **k: layers.GRU(*a, reset_after=False, **k)),
        ("simple", layers.SimpleRNN),
    )
    def test_recurrent_layers_read_less_and_lose_units(self, kind):
        model = settled(
            chain(
                dense(4, activation="sigmoid"),
                kind(5, return_sequences=True, name="first"),
                kind(4, name="last"),
                out(),
                shape=(3, 2),
            )
        )
        without_weights(model, {"hidden": [0]})
        for name, unit in (("first", 2), ("last", 3)):
            for variable in model.get_layer(name).weights:
                value = variable.numpy()
                units = model.get_layer(name).units
                value[..., unit::units] = 0.0
                variable.assign(value)
        self.shrunk(model, None, {"hidden": 3, "first": 4, "last": 3})

    def test_both_directions_lose_the_same_units(self):
        model = settled(
            chain(
                layers.Bidirectional(
                    layers.LSTM(4, return_sequences=True), name="both"
                ),
                layers.TimeDistributed(dense(3, "each"), name="wrapper"),
                layers.Flatten(),
                out(),
                shape=(3, 2),
            )
        )
        both = model.get_layer("both")
        for layer, units in (
            (both.forward_layer, [0, 1, 2]),
            (both.backward_layer, [1, 2, 3]),
        ):
            for variable in layer.weights:
                value = variable.numpy().reshape(*variable.shape[:-1], 4, 4)
                value[..., units] = 0.0
                variable.assign(value.reshape(variable.shape))
        without_weights(model, {"wrapper/each": [2]})
        found = self.shrunk(model, None, {"wrapper/each": 2})
        self.assertEqual(found.model.get_layer("both").forward_layer.units, 2)
        self.assertEqual(found.model.get_layer("both").backward_layer.units, 2)

    def test_attention_heads_go_that_add_a_constant_or_nothing(self):
        inputs = keras.Input((3, 4))
        x = dense(5)(inputs)
        x = layers.MultiHeadAttention(4, 3, value_dim=2, name="attend")(x, x)
        model = settled(keras.Model(inputs, out()(layers.Flatten()(x))))
        attend = model.get_layer("attend")
        value = attend.value_dense.kernel.numpy()
        value[:, 0] = 0.0  # its bias stays
        attend.value_dense.kernel.assign(value)
        kernel = attend.output_dense.kernel.numpy()
        kernel[2] = 0.0
        attend.output_dense.kernel.assign(kernel)
        without_weights(model, {"hidden": [1]})
        found = self.shrunk(model, None, {"hidden": 4, "attend": 2})
        self.assertEqual(found.model.get_layer("attend").num_heads, 2)
        whole = shrinking.shrink(model, flags(model, {"hidden": [1]}))
        self.assertEqual(whole.units["attend"], (4, 4))
        one = shrinking.shrink(model, {"attend": np.arange(4) < 2})
        self.assertEqual(one.units["attend"], (4, 3))

    def test_units_that_nothing_reads_go_with_all_before_them(self):
        model = settled(chain(dense(4), dense(3, "second"), out()))
        kernel = model.get_layer("out").kernel
        kernel.assign(kernel.numpy() * np.array([[1.0], [0.0], [1.0]]))
        second = model.get_layer("second").kernel
        second.assign(
            second.numpy() * (np.arange(3) == 1) ** np.eye(4)[0][:, None]
        )
        self.shrunk(model, None, {"hidden": 3, "second": 2})

    def test_a_unit_that_reads_only_constants_is_one(self):
        model = settled(
            chain(dense(4, activation="tanh"), dense(3, "second"), out())
        )
        kernel = model.get_layer("second").kernel
        value = kernel.numpy()
        value[1:, 2] = 0.0  # reads unit 0 alone
        kernel.assign(value)
        without_weights(model, {"hidden": [0]})
        self.shrunk(model, None, {"hidden": 3, "second": 2})

    def test_layers_that_are_called_twice_lose_what_both_calls_can(self):
        a, b = keras.Input((4,)), keras.Input((4,))
        shared = dense(3, "shared")
        left, right = dense(4, "left")(a), dense(4, "right")(b)
        both = layers.Concatenate()([shared(left), shared(right)])
        model = settled(keras.Model([a, b], out()(both)))
        found = self.shrunk(
            model,
            {"left": [0, 1], "right": [1, 2], "shared": [0]},
            {"left": 3, "right": 3, "shared": 2},
        )
        self.assertEqual(sum(found.stays["left"].values()), 1)

    def test_models_inside_are_made_smaller_too(self):
        inner = keras.Sequential(
            [keras.Input((4,)), dense(5, "d"), dense(3, "e")], name="inner"
        )
        inputs = keras.Input((4,))
        model = settled(
            keras.Model(inputs, out()(inner(dense(4, "first")(inputs))))
        )
        found = self.shrunk(
            model,
            {"first": [3], "inner/d": [0, 1], "inner/e": [2]},
            {"first": 3, "inner/d": 3, "inner/e": 2},
        )
        self.assertIsInstance(found.model.get_layer("inner"), keras.Sequential)

    def test_separable_and_transposed_convolutions_lose_filters(self):
        model = settled(
            chain(
                conv(3, 2, "first", activation="relu"),
                layers.SeparableConv2D(4, 2, depth_multiplier=4, name="apart"),
                layers.Conv2DTranspose(3, 2, name="across", use_bias=False),
                layers.Flatten(),
                out(),
                shape=(4, 4, 4),
            )
        )
        without_weights(model, {"first": [2]})
        apart, across = model.get_layer("apart"), model.get_layer("across")
        apart.pointwise_kernel.assign(
            apart.pointwise_kernel * (np.arange(4) != 1)
        )
        apart.bias.assign(apart.bias * (np.arange(4) != 1))
        across.kernel.assign(across.kernel * (np.arange(3) != 0)[:, None])
        found = self.shrunk(model, None, {"first": 2, "apart": 3, "across": 2})
        self.assertEqual(
            found.model.get_layer("apart").pointwise_kernel.shape, (1, 1, 8, 3)
        )

    def test_units_of_a_layer_that_keeps_them_are_told(self):
        model = settled(
            chain(layers.EinsumDense("ab,bc->ac", 3, name="einsum"), out())
        )
        found = shrinking.shrink(model, {"einsum": np.arange(3) < 1})
        self.assertRegex(reason_of(found, "einsum"), "no unit is taken out")

    def model_of_any_size(self, shape, build):
        inputs = keras.Input(shape)
        return settled(keras.Model(inputs, out()(build(inputs))))

    @parameterized.named_parameters(
        (
            "a_sum_over_steps",
            (None, 5),
            lambda x: keras.ops.sum(dense(4, activation="sigmoid")(x), axis=1),
        ),
        (
            "zeros_around_an_image",
            (None, None, 3),
            lambda x: layers.GlobalAveragePooling2D()(
                layers.ZeroPadding2D()(
                    conv(4, name="hidden", activation="sigmoid")(x)
                )
            ),
        ),
    )
    def test_a_constant_that_depends_on_the_size_stays(self, shape, build):
        model = without_weights(
            self.model_of_any_size(shape, build), {"hidden": [1]}
        )
        for inputs in (None, np.ones((2, *[8] * (len(shape) - 1), shape[-1]))):
            found = shrinking.shrink(
                model, flags(model, {"hidden": [1]}), inputs=inputs
            )
            self.assertEqual(found.units["hidden"], (4, 4))
            self.assertRegex(reason_of(found, "hidden"), "not the same")

    def test_a_constant_of_any_size_is_folded(self):
        model = without_weights(
            self.model_of_any_size(
                (None, 5),
                lambda x: keras.ops.mean(dense(4, activation="sigmoid")(x), 1),
            ),
            {"hidden": [1]},
        )
        found = shrinking.shrink(model, flags(model, {"hidden": [1]}))
        self.assertEqual(found.units["hidden"], (4, 3))

    @parameterized.named_parameters(("relu", 3), ("sigmoid", 4))
    def test_a_constant_that_an_input_of_any_size_scales_is_none(self, left):
        kind = "relu" if left == 3 else "sigmoid"
        inputs, by = keras.Input((6, 5)), keras.Input((None,))
        x = dense(4, activation=kind)(inputs) * keras.ops.expand_dims(by, -1)
        model = keras.Model([inputs, by], out()(layers.Flatten()(x)))
        model = without_weights(settled(model), {"hidden": [1]})
        given = [np.ones((2, 6, 5), "float32"), np.ones((2, 6), "float32")]
        found = shrinking.shrink(
            model, flags(model, {"hidden": [1]}), inputs=given
        )
        self.assertEqual(found.units["hidden"], (4, left))
        given[1][:, 3:] = 0.0
        self.assertAllClose(model(given), found.model(given), atol=1e-5)

    def test_zeros_go_before_a_mean_without_padding(self):
        inputs = keras.Input((None,), dtype="int32")
        x = layers.Embedding(7, 3, mask_zero=True)(inputs)
        x = layers.GlobalAveragePooling1D()(dense(4)(x))
        model = without_weights(
            settled(keras.Model(inputs, out()(x))), {"hidden": [1]}
        )
        found = shrinking.shrink(model, flags(model, {"hidden": [1]}))
        self.assertEqual(found.units["hidden"], (4, 3))

    def test_units_stay_by_which_steps_are_masked(self):
        model = settled(
            chain(
                dense(4, use_bias=False),
                layers.Masking(name="mask"),
                dense(3, "second", "sigmoid"),
                layers.LSTM(3, name="lstm"),
                out(),
                shape=(6, 5),
            )
        )
        found = self.shrunk(model, {"hidden": [0]}, {"hidden": 4})
        self.assertRegex(reason_of(found, "hidden"), "'mask'.*takes its mask")

    def test_units_of_first_states_stay(self):
        first, inputs = keras.Input((5,)), keras.Input((3, 5))
        state = dense(4, "state", "tanh")(first)
        x = layers.GRU(4, name="gru")(dense(3)(inputs), initial_state=state)
        model = settled(keras.Model([first, inputs], out()(x)))
        for variable in model.get_layer("gru").weights:
            variable.assign(variable * np.tile([1.0, 0.0, 1.0, 1.0], 3))
        without_weights(model, {"hidden": [1]})
        self.shrunk(model, None, {"hidden": 2, "state": 4, "gru": 4})
        found = shrinking.shrink(
            model, {"state": np.arange(4) < 1, "gru": np.arange(4) < 1}
        )
        self.assertRegex(reason_of(found, "state"), "'gru'.*first state")
        self.assertRegex(reason_of(found, "gru"), "with a first state")

    @parameterized.named_parameters(
        ("lstm", lambda: layers.LSTM(4, name="lstm"), "wrapper/lstm"),
        (
            "both",
            lambda: layers.Bidirectional(
                layers.GRU(4, name="gru"), name="both"
            ),
            "wrapper/both/forward_gru",
        ),
        (
            "model",
            lambda: chain(layers.LSTM(4, name="lstm"), shape=(4, 3)),
            "wrapper/chain/lstm",
        ),
    )
    def test_units_within_a_loop_stay(self, make, path):
        model = chain(
            dense(3),
            layers.TimeDistributed(make(), name="wrapper"),
            layers.Flatten(),
            out(),
            shape=(2, 4, 5),
        )
        self.shrunk(settled(model), None, {path: 4})
        found = shrinking.shrink(model, {path: np.arange(4) < 1})
        self.assertRegex(reason_of(found, path), "inside of 'wrapper'")

    def test_normalization_in_a_wrapper_loses_units(self):
        model = chain(
            dense(4),
            layers.TimeDistributed(layers.BatchNormalization(), name="norm"),
            layers.Flatten(),
            out(),
            shape=(3, 5),
        )
        norm = settled(model).get_layer("norm").layer
        for variable in (norm.beta, norm.moving_mean):
            variable.assign(variable * 0.0)
        self.shrunk(model, {"hidden": [1]}, {"hidden": 3})

    @parameterized.named_parameters(
        ("batch", layers.BatchNormalization),
        ("layer", layers.LayerNormalization),
    )
    def test_normalization_of_another_axis_keeps_its_weights(self, kind):
        model = chain(
            dense(4),
            kind(axis=1, center=False),
            layers.Flatten(),
            out(),
            shape=(4, 5),
        )
        for variable in settled(model).variables:
            if "moving_mean" in variable.path:
                variable.assign(variable * 0.0)
        self.shrunk(model, {"hidden": [1]}, {"hidden": 3})

    def test_attention_may_put_out_several_axes(self):
        inputs = keras.Input((3, 4))
        x = layers.MultiHeadAttention(3, 2, output_shape=(2, 5), name="attend")(
            *[dense(4)(inputs)] * 2
        )
        model = settled(keras.Model(inputs, out()(layers.Flatten()(x))))
        value = model.get_layer("attend").value_dense.kernel
        value.assign(value * np.array([1.0, 0.0, 1.0])[:, None])
        without_weights(model, {"hidden": [1]})
        self.shrunk(model, None, {"hidden": 3, "attend": 2})

    def test_heads_stay_whose_scores_are_an_output(self):
        for is_output in (True, False):
            inputs = keras.Input((3, 4))
            x, scores = layers.MultiHeadAttention(3, 2, name="attend")(
                inputs, inputs, return_attention_scores=True
            )
            x = out()(layers.Flatten()(x))
            model = keras.Model(inputs, [x, scores] if is_output else x)
            settled(model)
            value = model.get_layer("attend").value_dense.kernel
            value.assign(value * np.array([1.0, 0.0, 1.0])[:, None])
            found = self.shrunk(model, None, {"attend": 3 if is_output else 2})
            if is_output:
                self.assertRegex(reason_of(found, "attend"), "scores")

    def test_an_activation_may_be_a_layer(self):
        for activation in (layers.LeakyReLU(), layers.PReLU()):
            model = settled(chain(dense(4, activation=activation), out()))
            self.shrunk(model, {"hidden": [1]}, {"hidden": 3})

    def test_inputs_of_nan_are_refused(self):
        model = chain(dense(3), out())
        with self.assertRaisesRegex(ValueError, "`inputs` must be finite"):
            shrinking.shrink(model, inputs=np.full((2, 4), np.nan, "float32"))

    def test_sparse_inputs_stay_sparse(self):
        inputs = keras.Input((4,), sparse=True)
        model = settled(keras.Model(inputs, out()(dense(3)(inputs))))
        found = shrinking.shrink(model, flags(model, {"hidden": [1]}))
        self.assertTrue(found.model.inputs[0].sparse)

    def test_one_channel_of_a_sequence_is_no_unit(self):
        inputs = keras.Input((4, 5))
        x = dense(4)(inputs)
        for taken in (x[:, :, 0], x[..., 0]):
            model = settled(keras.Model(inputs, out()(taken)))
            self.shrunk(model, {"hidden": [0]}, {"hidden": 4})
        model = settled(keras.Model(inputs, out()(x[:, 0])))
        self.shrunk(model, {"hidden": [1]}, {"hidden": 3})

    def test_mixed_units_stay(self):
        model = settled(
            chain(dense(4), layers.LayerNormalization(name="norm"), out())
        )
        found = self.shrunk(model, {"hidden": [2]}, {"hidden": 4})
        self.assertRegex(reason_of(found, "hidden"), "they reach 'norm'")

    def test_sizes_are_rounded_up_to_a_multiple(self):
        inputs = keras.Input((6, 6, 2))
        x = conv(12, activation="relu")(inputs)
        x = layers.Add()([x, conv(12, 1, "inside", activation="relu")(x)])
        x = conv(6, name="last", activation="relu")(x)
        model = settled(
            keras.Model(inputs, out()(layers.GlobalMaxPooling2D()(x)))
        )
        found = self.shrunk(
            model,
            {"conv": range(7), "inside": range(7), "last": [0, 1, 2]},
            {"conv": 8, "inside": 8, "last": 4},
            round_to=4,
        )
        self.assertEqual(found.stays["last"], {"`round_to` asks for them": 1})
        whole = self.shrunk(model, {"last": [1]}, {"last": 6}, round_to=8)
        self.assertEqual(whole.units["last"], (6, 6))

    def test_a_layer_without_a_unit_left_is_refused(self):
        model = settled(chain(dense(3), out()))
        with self.assertRaisesRegex(ValueError, "'hidden'.*no unit left"):
            self.shrunk(model, {"hidden": [0, 1, 2]}, {})

    def test_subclassed_models_are_refused_by_name(self):
        class Mine(keras.Model):
            def call(self, inputs):
                return inputs

        model = Mine(name="mine")
        model.build((None, 4))
        with self.assertRaisesRegex(ValueError, "Mine 'mine' can't be shrunk"):
            shrinking.shrink(model)

    def test_the_output_layer_keeps_its_units(self):
        model = settled(chain(dense(3), out()))
        found = self.shrunk(model, {"out": [0]}, {"out": 2})
        self.assertRegex(reason_of(found, "out"), "outputs of the model")

    def test_the_model_stays_as_it_was(self):
        model = settled(chain(dense(4), out()))
        before = model.get_weights()
        selection = NeuronSelection({"hidden": np.arange(4) < 2})
        selection.shrink(model)
        self.assertAllEqual(before[0], model.get_weights()[0])


if __name__ == "__main__":
    tf.test.main()
