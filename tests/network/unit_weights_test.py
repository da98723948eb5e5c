import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.network import functional_call, unit_weights
from tests import small_models


def features(shape, *stack):
    """Returns a model of some layers, and a Dense layer that reads them."""
    inputs = keras.Input(shape)
    x = inputs
    for layer in stack:
        x = layer(x)
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return settled(keras.Model(inputs, layers.Dense(2, name="reader")(x)))


def settled(model):
    """Returns a model with random weights, and statistics as of training."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in weight.dtype:
            low = 0.5 if "variance" in weight.path else -1.0
            weight.assign(rng.uniform(low, 1.5, weight.shape))
    return model


def normalized_and_depthwise():
    return features(
        (8, 8, 2),
        layers.Conv2D(4, 3, use_bias=False, name="own"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(),
        layers.DepthwiseConv2D(3, name="depth"),
        layers.ReLU(),
        layers.BatchNormalization(name="norm2"),
        layers.ReLU(),
    )


def with_lora(shape, layer):
    model = features(shape, layer)
    layer.enable_lora(2)
    return settled(model)  # the factors, too


KINDS = {
    "dense": lambda: features((3,), layers.Dense(4, "relu", name="own")),
    "conv": lambda: features(
        (6, 6, 2), layers.Conv2D(4, 3, activation="relu", name="own")
    ),
    "grouped": lambda: features(
        (6, 6, 2), layers.Conv2D(4, 3, groups=2, name="own")
    ),
    "normalized": normalized_and_depthwise,
    "transposed": lambda: features(
        (3, 3, 2), layers.Conv2DTranspose(4, 2, name="own")
    ),
    "separable": lambda: features(
        (6, 6, 2), layers.SeparableConv2D(4, 3, name="own")
    ),
    "einsum": lambda: features(
        (3, 5),
        layers.EinsumDense("abc,cd->abd", (3, 4), bias_axes="d", name="own"),
    ),
    "einsum_lora": lambda: with_lora(
        (3, 5),
        layers.EinsumDense("abc,cd->abd", (3, 4), bias_axes="d", name="own"),
    ),
    "einsum_lora_first": lambda: with_lora(
        (3, 4),
        layers.EinsumDense("abc,dc->abd", (3, 4), bias_axes="d", name="own"),
    ),
    "timed": lambda: features(
        (3, 5), layers.TimeDistributed(layers.Dense(4, name="own"))
    ),
    "lstm": lambda: features((5, 3), layers.LSTM(4, name="own")),
    "gru": lambda: features((5, 3), layers.GRU(4, name="own")),
    "gru_reset_before": lambda: features(
        (5, 3),
        layers.GRU(4, reset_after=False, return_sequences=True, name="own"),
    ),
    "simple_rnn": lambda: features((5, 3), layers.SimpleRNN(4, name="own")),
}
ENTRIES = {
    "dense": (["own/kernel", "own/bias"],) * 2,
    "normalized": (
        [
            "own/kernel",
            *("norm/gamma", "norm/beta", "depth/kernel", "depth/bias"),
            *("norm2/gamma", "norm2/beta"),
        ],
        ["norm2/gamma", "norm2/beta"],
    ),
    "separable": (["own/pointwise_kernel", "own/bias"],) * 2,
    "lstm": (
        [
            f"own/lstm_cell/{name}"
            for name in ("kernel", "recurrent_kernel", "bias")
        ],
    )
    * 2,
}
OFF = np.array([False, True, False, True])


def own_path(model):
    (path,) = (
        p for p in unit_weights.model_units(model).layers if p.endswith("own")
    )
    return path


def under(model, values, join, gates):
    """Returns what a model computes with factors on its units' weights."""
    units = unit_weights.model_units(model).layers
    call = functional_call.FunctionalCall(model)
    factors = unit_weights.spread(
        {path: units[path] for path in values}, values, join, gates=gates
    )
    weights = {
        path: call.variables[path].value * factor
        for path, factor in factors.items()
    }
    return np.array(call(weights, drawn(model)))


def drawn(model):
    rng = np.random.default_rng(1)
    return rng.normal(size=(4, *model.input_shape[1:])).astype("float32")


class UnitsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(*KINDS)
    def test_a_unit_that_is_off_puts_out_nothing(self, kind):
        model = KINDS[kind]()
        path = own_path(model)
        alone = NeuronSelection({path: ~OFF}).apply(model)
        before, after = (
            np.array(
                keras.Model(each.input, each.get_layer("reader").input)(
                    drawn(model)
                )
            ).reshape(-1, 4)
            for each in (model, alone)
        )
        self.assertAllEqual(after[:, OFF], np.zeros_like(after[:, OFF]))
        self.assertTrue(np.abs(before[:, OFF]).sum(axis=0).all())
        if not isinstance(model.get_layer(index=1), layers.RNN):
            self.assertAllClose(after[:, ~OFF], before[:, ~OFF])

    @parameterized.parameters(*KINDS)
    def test_gates_alone_do_what_all_weights_do(self, kind):
        model = KINDS[kind]()
        values = {own_path(model): ~OFF}
        alone = NeuronSelection(values).apply(model)(drawn(model))
        for gates in (False, True):
            found = under(model, values, np.logical_and, gates)
            self.assertAllClose(found, alone, atol=1e-5)
        self.assertNotAllClose(alone, model(drawn(model)), atol=1e-3)

    @parameterized.parameters("sigmoid", "softplus")
    def test_gates_close_all_of_a_unit_whose_state_is_not_zero(self, name):
        own = layers.LSTM(4, activation=name, name="own")
        model = features((5, 3), own)
        values = {own_path(model): ~OFF}
        alone = NeuronSelection(values).apply(model)(drawn(model))
        for gates in (False, True):
            found = under(model, values, np.logical_and, gates)
            self.assertAllClose(found, alone, atol=1e-5)

    @parameterized.parameters(*ENTRIES)
    def test_knows_the_weights_of_units(self, kind):
        model = KINDS[kind]()
        units = unit_weights.model_units(model).layers[own_path(model)]
        self.assertEqual(units.size, 4)
        found = [[x.path for x in each] for each in (units[1], units[2])]
        self.assertEqual(found, [*ENTRIES[kind]])

    @parameterized.parameters("dense", "conv", "normalized", "lstm", "gru")
    def test_half_open_gates_let_about_half_through(self, kind):
        # Exactly half where a unit's weights are one after the other's.
        model = KINDS[kind]()
        half = {own_path(model): np.full(4, 0.5)}
        reader = model.get_layer("reader").bias.numpy()
        whole = np.array(model(drawn(model))) - reader
        found = under(model, half, np.multiply, gates=True) - reader
        if kind in ("lstm", "gru"):
            self.assertLess(np.abs(found).mean(), np.abs(whole).mean())
        else:
            self.assertAllClose(found, whole / 2, rtol=1e-4, atol=1e-4)

    @parameterized.parameters(
        layers.MultiHeadAttention(2, 3, name="own"),
        layers.GroupQueryAttention(3, 2, 1, name="own"),
    )
    def test_heads_add_up(self, attention):
        inputs = keras.Input((5, 4))
        x = layers.Flatten()(attention(inputs, inputs))
        model = settled(keras.Model(inputs, layers.Dense(2, name="reader")(x)))

        def of_heads(*kept):
            values = {"own": np.array(kept)}
            alone = NeuronSelection(values).apply(model)
            found = under(model, values, np.logical_and, gates=True)
            self.assertAllClose(found, alone(drawn(model)), atol=1e-5)
            return found

        whole = np.array(model(drawn(model)))
        self.assertAllClose(
            of_heads(True, False) + of_heads(False, True),
            whole + of_heads(False, False),
            atol=1e-4,
            rtol=1e-4,
        )
        self.assertNotAllClose(of_heads(True, False), whole, atol=1e-3)

    def test_what_normalizes_a_sum_belongs_to_no_unit_of_it(self):
        inputs = keras.Input((3,))
        one, two = (layers.Dense(4, name=n)(inputs) for n in ("one", "two"))
        x = layers.BatchNormalization(name="of_sum")(layers.Add()([one, two]))
        both = layers.Concatenate()([layers.Dense(3, name="three")(x), x])
        x = layers.BatchNormalization(name="of_both")(both)
        model = settled(keras.Model(inputs, layers.Dense(2, name="last")(x)))
        found = unit_weights.model_units(model)
        self.assertEqual(found.outputs, ["last"])
        paths = {
            path: [each.path for each in units.weights]
            for path, units in found.layers.items()
        }
        self.assertEqual(paths["one"], ["one/kernel", "one/bias"])
        self.assertEqual(
            paths["three"],
            ["three/kernel", "three/bias", "of_both/gamma", "of_both/beta"],
        )
        gamma = found.layers["three"].weights[2]
        self.assertAllEqual(gamma.units, [0, 1, 2, -1, -1, -1, -1])

    def test_a_depthwise_convolution_has_a_channel_for_each_copy(self):
        model = features(
            (5, 5, 1),
            layers.Conv2D(2, 1, name="own"),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="depth"),
        )
        found = unit_weights.model_units(model).layers["own"].gates
        self.assertEqual(
            [each.path for each in found], ["depth/kernel", "depth/bias"]
        )
        self.assertAllEqual(found[0].units, [0, 1])
        self.assertAllEqual(found[1].units, [0, 0, 1, 1])

    def test_other_layers_are_named(self):
        model = features(
            (4, 6, 2),
            layers.ConvLSTM1D(3, 2, name="moving"),
            layers.Dense(4, name="own"),
        )
        hidden, others = unit_weights.hidden_units(model)
        self.assertEqual([*hidden], ["own"])
        self.assertEqual([*others], ["moving"])
        for name, why in (
            ("moving", "units of ConvLSTM1D"),
            ("reader", "the model's outputs"),
            ("flatten", "it has none"),
        ):
            given = name
            if name == "flatten":
                given = next(
                    x.name
                    for x in model.layers
                    if isinstance(x, layers.Flatten)
                )
            with self.assertRaisesRegex(ValueError, why):
                unit_weights.hidden_units(model, given)
        with self.assertRaisesRegex(ValueError, "'nowhere'"):
            unit_weights.hidden_units(model, "nowhere")
        linear = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
        with self.assertRaisesRegex(ValueError, "no hidden layer"):
            unit_weights.hidden_units(linear)

    def test_a_state_that_is_given_is_shut_off_by_all_columns(self):
        inputs, first = keras.Input((5, 3)), keras.Input((2,))
        x = layers.GRU(2, name="own")(inputs, initial_state=first)
        model = settled(keras.Model([inputs, first], layers.Dense(1)(x)))
        (kernel, *_) = unit_weights.model_units(model).layers["own"].gates
        self.assertAllEqual(kernel.units, [0, 1] * 3)

    def test_entries_are_gathered_by_unit(self):
        entries = unit_weights.Entries("w", 2, -1, np.array([0, 1, -1, 1]))
        flags = np.zeros((3, 4), bool)
        flags[1, 3] = flags[0, 2] = True
        self.assertAllEqual(entries.gathered(flags, 3), [False, True, False])

    def test_small_models_have_units(self):
        found, others = unit_weights.hidden_units(small_models.cnn())
        self.assertNotEmpty(found)
        self.assertEmpty(others)


if __name__ == "__main__":
    tf.test.main()
