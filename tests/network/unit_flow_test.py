import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf import NeuronSelection, WeightMask
from modularity_tf.network import activations, unit_flow

RNG = np.random.default_rng(0)
FLAGS = np.array([True, False, False, True])
TEXT, IMAGE = (5, 3), (6, 6, 3)


def model_of(build, shape, first):
    """Returns `first`, then what `build` makes of it, then four classes."""
    inputs = keras.Input(shape)
    outputs = build(first(inputs))
    while len(outputs.shape) > 2:
        outputs = keras.ops.mean(outputs, axis=1)
    model = keras.Model(inputs, layers.Dense(2, name="last")(outputs))
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    return model


def heads(x):
    return layers.MultiHeadAttention(2, 3)(x, x)


def squeezed(x):
    """A squeeze-and-excitation block."""
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Dense(2, "relu", name="squeeze")(gate)
    gate = layers.Dense(4, "sigmoid", name="excite")(gate)
    return layers.Multiply()([x, gate])


def joined(x):
    other = layers.Conv2D(2, 1, name="other")(x)
    x = layers.Concatenate()([x, other])
    return layers.Conv2D(3, 2)(layers.ReLU()(x))


def thinned(x):
    x = layers.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False)(x)
    return layers.Conv2D(3, 1)(layers.LeakyReLU()(x))


def reshaped(x):
    x = layers.ZeroPadding2D()(layers.UpSampling2D()(x))
    x = layers.AveragePooling2D(2)(layers.Cropping2D(1)(x))
    x = layers.Reshape((-1, 4))(x)
    return layers.Flatten()(layers.RepeatVector(2)(x[:, 20]))


def stacked(x):
    cells = [layers.LSTMCell(3), layers.GRUCell(2)]
    return layers.RNN(cells)(x)


SEQUENCES = (
    ("lstm", layers.LSTM(3)),
    ("gru", layers.GRU(3)),
    ("simple_rnn", layers.SimpleRNN(3)),
    ("stacked_cells", stacked),
    ("bidirectional", layers.Bidirectional(layers.LSTM(3))),
    ("time_distributed", layers.TimeDistributed(layers.Dense(3))),
    ("conv1d", layers.Conv1D(3, 2)),
    ("separable_conv1d", layers.SeparableConv1D(3, 2)),
    ("conv1d_transpose", layers.Conv1DTranspose(3, 2)),
    ("einsum_dense", layers.EinsumDense("abc,cd->abd", (None, 3))),
    ("attention", heads),
    ("gelu", lambda x: layers.Dense(3)(keras.activations.gelu(x))),
    ("token", lambda x: x[:, 0]),
    ("dense_lora", layers.Dense(3, name="lora")),
    (
        "einsum_lora",
        layers.EinsumDense("abc,dc->abd", (None, 3), name="lora"),
    ),
)
IMAGES = (
    ("separable_conv2d", layers.SeparableConv2D(3, 2)),
    ("conv2d_transpose", layers.Conv2DTranspose(3, 2)),
    ("conv3d", lambda x: layers.Conv3D(3, 1)(layers.Reshape((3, 2, 6, 4))(x))),
    ("grouped", layers.Conv2D(4, 2, groups=2)),
    ("squeezed", squeezed),
    ("joined", joined),
    ("thinned", thinned),
    ("reshaped", reshaped),
    ("flattened", layers.Flatten()),
    ("recurrent", lambda x: layers.ConvLSTM1D(3, 2)(x)),
)


def silenced(model, path, flags, inputs):
    """Returns the outputs of a model while some units put out 0."""
    layer = activations.neuron_layers(model)[path]
    activation = layer.activation
    layer.activation = lambda x: activation(x) * (~flags).astype("float32")
    outputs = model(inputs)
    layer.activation = activation
    return outputs


class FlowTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        *((name, build, TEXT) for name, build in SEQUENCES),
        *((name, build, IMAGE) for name, build in IMAGES),
    )
    def test_without_units_a_model_is_as_if_they_put_out_nothing(
        self, build, shape
    ):
        first = layers.Conv2D(4, 1, activation="relu", name="first")
        if shape == TEXT:
            first = layers.Dense(4, "relu", name="first")
        model = model_of(build, shape, first)
        if getattr(build, "name", "") == "lora":
            build.enable_lora(2)
            for each in (build.lora_kernel_a, build.lora_kernel_b):
                each.assign(RNG.normal(size=each.shape))
        inputs = RNG.normal(size=(3, *shape)).astype("float32")
        removed = NeuronSelection({"first": FLAGS})
        expected = silenced(model, "first", FLAGS, inputs)
        self.assertNotAllClose(expected, model(inputs), atol=1e-3)
        found = removed.remove_from(model)(inputs)
        self.assertAllClose(found, expected, rtol=1e-4, atol=1e-4)
        # The weights that are named are those that are gone.
        weights = WeightMask.of_neurons(removed, model, incoming=False)
        self.assertGreater(weights.keep_fraction, 0.0)

    def test_a_channel_of_a_residual_stream_goes_from_all_that_read_it(self):
        inputs = keras.Input(IMAGE)
        stream = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
        for name in "ab":
            x = layers.BatchNormalization()(stream)
            x = layers.ReLU()(x)
            x = layers.Conv2D(3, 3, padding="same", name=f"{name}1")(x)
            x = layers.BatchNormalization()(x)
            x = layers.ReLU()(x)
            x = layers.Conv2D(4, 3, padding="same", name=f"{name}2")(x)
            stream = layers.Add()([stream, x])
        x = layers.GlobalAveragePooling2D()(layers.ReLU()(stream))
        model = keras.Model(inputs, layers.Dense(2, name="last")(x))
        removed = NeuronSelection({"a2": FLAGS})
        weights = WeightMask.of_neurons(removed, model, incoming=False)
        kept = {path: value for path, value in weights.values.items()}
        for path, rows in (("b1", FLAGS), ("last", FLAGS), ("a1", False)):
            rows = np.broadcast_to(rows, (4,))
            by_row = kept[f"{path}/kernel"].swapaxes(-2, 0).reshape(4, -1)
            self.assertAllEqual(by_row.all(axis=1), rows)
            self.assertAllEqual(by_row.any(axis=1), rows)
        without = removed.remove_from(model)
        for path, rows in (("b1", FLAGS), ("last", FLAGS)):
            kernel = without.get_layer(path).kernel.numpy()
            self.assertAllEqual(kernel[..., rows, :], 0 * kernel[..., rows, :])
        # What writes there is no longer heard, whatever it writes.
        images = RNG.normal(size=(2, *IMAGE)).astype("float32")
        before = without(images)
        kernel = without.get_layer("a2").kernel.numpy()
        kernel[..., FLAGS] = 7.0
        without.get_layer("a2").kernel.assign(kernel)
        self.assertAllClose(without(images), before)

    def test_a_layer_that_is_read_nowhere_else_by_a_shared_one(self):
        a, b = keras.Input((3,)), keras.Input((3,))
        first = layers.Dense(4, "relu", name="first")
        shared = layers.Dense(3, "relu", name="shared")
        both = [shared(first(x)) for x in (a, b)]
        out = layers.Dense(2, name="last")(layers.Concatenate()(both))
        model = keras.Model([a, b], out)
        inputs = [RNG.normal(size=(3, 3)).astype("float32") for _ in "ab"]
        for path, flags in (("first", FLAGS), ("shared", FLAGS[:3])):
            removed = NeuronSelection({path: flags})
            self.assertAllClose(
                removed.remove_from(model)(inputs),
                silenced(model, path, flags, inputs),
                atol=1e-5,
            )

    def test_outputs_that_no_conv_or_dense_layer_makes_are_not_lost(self):
        model = keras.Sequential(
            [
                keras.Input(TEXT),
                layers.Dense(4, "relu", name="first"),
                layers.LSTM(2),
            ]
        )
        flow = unit_flow.follow(model, activations.trace(model))
        self.assertEqual((flow.outputs, flow.lost), ([], {}))
        inputs = RNG.normal(size=(3, *TEXT)).astype("float32")
        removed = NeuronSelection({"first": FLAGS})
        self.assertAllClose(
            removed.remove_from(model)(inputs),
            silenced(model, "first", FLAGS, inputs),
            atol=1e-5,
        )

    def test_neurons_that_are_outputs_and_read_stay_and_this_is_told(self):
        inputs = keras.Input((3,))
        hidden = layers.Dense(4, "relu", name="first")(inputs)
        model = keras.Model(
            inputs, [hidden, layers.Dense(2, name="last")(hidden)]
        )
        removed = NeuronSelection({"first": FLAGS})
        for change in (removed.remove_from, removed.apply):
            with self.assertWarnsRegex(UserWarning, r"of \['first'\] stay"):
                change(model)

    def test_others_are_followed_if_asked_for(self):
        inputs = keras.Input((5, 3))
        x = layers.LSTM(4, return_sequences=True, name="lstm")(inputs)
        x = layers.Add(name="sum")([x, layers.Dense(4, name="dense")(inputs)])
        norm = layers.LayerNormalization(name="norm")(x)
        model = keras.Model(inputs, layers.Dense(2, name="out")(norm))
        traced = activations.trace(model)
        by_name = {layer.name: out.name for layer, _, out in traced.calls}
        for others in (False, True):
            flow = unit_flow.follow(model, traced, others)
            paths = [path for path, _ in flow.known[by_name["sum"]].pairs]
            self.assertEqual(paths, ["lstm", "dense"] if others else ["dense"])
            self.assertIn("'norm'", flow.mixed["dense"])
        mixed = flow.known[by_name["norm"]]
        self.assertContainsSubset({"lstm", "dense"}, mixed.sources)
        self.assertNotEmpty(mixed.sources - {"lstm", "dense"})  # what mixes
        reading = next(x for x in flow.readings if x.path == "dense/kernel")
        self.assertEqual(reading.axis, -2)
        self.assertEqual(reading.tensors, [traced.inputs[0].name])

    def test_an_operation_that_mixes_is_named_not_the_layer_after_it(self):
        inputs = keras.Input((3,))
        hidden = layers.Dense(4, "relu", name="first")(inputs)
        rolled = keras.ops.roll(hidden, 1, axis=-1)
        model = keras.Model(inputs, layers.Dense(2, name="last")(rolled))
        with self.assertRaisesRegex(ValueError, "reach the operation"):
            NeuronSelection({"first": FLAGS}).remove_from(model)

    def test_padding_and_a_saturated_softmax_hide_nothing(self):
        model = keras.Sequential(
            [
                keras.Input((5,), dtype="int32"),
                layers.Embedding(9, 4, mask_zero=True),
                layers.Dense(4, "relu", name="first"),
                layers.LSTM(3),
                layers.Dense(
                    2, "softmax", name="last", kernel_initializer="ones"
                ),
            ]
        )
        last = model.get_layer("last")
        last.kernel.assign(last.kernel * [[400.0, -400.0]])
        words = RNG.integers(1, 9, (6, 5))
        everything = NeuronSelection({"first": np.ones(4, bool)})
        expected = silenced(model, "first", np.ones(4, bool), words)
        self.assertAllClose(everything.remove_from(model)(words), expected)
        # And a way that can't be followed is not taken for one without units.
        mixed = keras.Sequential(
            [
                keras.Input((5,), dtype="int32"),
                *model.layers[:2],
                layers.LayerNormalization(name="mixer"),
                *model.layers[2:],
            ]
        )
        with self.assertRaisesRegex(ValueError, "'first' can't be followed"):
            everything.remove_from(mixed)


if __name__ == "__main__":
    tf.test.main()
