"""Any Keras model can be masked, trained and restored, without changing it."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers, ops

from modularity_tf import masked_model, model_weights

ROWS, BATCH = 15, 8  # the last batch has 7 rows, in parts of 3 and 4
EVERY_KEPT = {"keep_probability": 1 - 1e-7, "alpha": 0.0}  # for certain
EVERY_ROLE = model_weights.ROLES


def sequential(*stack, shape=(4,), dtype="float32"):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *stack])


def branches_and_a_shared_layer():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(3, activation="tanh", name="shared")
    left, right = shared(a), shared(b)
    joined = layers.Concatenate()([left, layers.Multiply()([left, right])])
    skip = layers.Dense(2, name="skip")(right)
    return keras.Model(
        [a, b], layers.Add()([layers.Dense(2, name="head")(joined), skip])
    )


def nested_in_two_levels():
    inner = sequential(layers.Dense(3, activation="tanh", name="d"), shape=(2,))
    inner.name = "inner"
    inputs = keras.Input((4,))
    hidden = inner(layers.Dense(2, name="d")(inputs))
    middle = keras.Model(inputs, layers.Dense(4, name="e")(hidden), name="mid")
    inputs = keras.Input((4,))  # the middle model is called twice
    return keras.Model(
        inputs, layers.Dense(2, name="d")(middle(middle(inputs)))
    )


def with_inputs_and_outputs_by_name():
    image = keras.Input((5, 5, 1), name="image")
    words = keras.Input((3,), dtype="int32", name="words")
    seen = layers.Flatten()(layers.Conv2D(2, 3, name="conv")(image))
    read = layers.Flatten()(layers.Embedding(5, 2, name="embed")(words))
    both = layers.Concatenate()([seen, read])
    outputs = {
        "kind": layers.Dense(3, activation="softmax", name="kind")(both),
        "size": layers.Dense(1, name="size")(both),
    }
    return keras.Model({"image": image, "words": words}, outputs)


def self_attention():
    inputs = keras.Input((3, 4))
    attend = layers.MultiHeadAttention(2, 3, name="attend")
    return keras.Model(inputs, attend(inputs, inputs))


def small_mobilenet():
    return keras.applications.MobileNet(
        (32, 32, 3), alpha=0.25, weights=None, classes=3
    )


class Mixer(layers.Layer):
    """A user's layer: weights named at will, a layer in a dict, a scalar."""

    def build(self, input_shape):
        width = input_shape[-1]
        self.table = self.add_weight((width, 3), name="W^(1)")
        self.gain = self.add_weight((), name="gain of it all")
        self.cube = self.add_weight((2, 3, 2), name="3")
        self.parts = {"out": layers.Dense(2, name="out")}
        self.parts["out"].build((None, 2))

    def call(self, inputs):
        hidden = ops.tanh(inputs @ self.table) * self.gain
        return self.parts["out"](ops.einsum("bi,kij->bj", hidden, self.cube))


class UserModel(keras.Model):
    """A subclassed model without `get_config`, `build` or an `Input`."""

    def __init__(self):
        super().__init__()
        self.steps = [Mixer(name="first"), Mixer(name="second")]
        self.shift = keras.Variable(np.ones(2, "float32"), name="shift")

    def call(self, inputs):
        for step in self.steps:
            inputs = step(inputs)
        return inputs + self.shift


def user_model():
    model = UserModel()
    model(np.ones((1, 4), "float32"))
    return model


def as_if_trained(model, inputs, seed=0):
    """Gives biases and normalizations the values that training would."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = weight.numpy()
        if "seed" not in weight.path and np.ptp(value) == 0:
            weight.assign(value + rng.uniform(-0.5, 0.5, value.shape))
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(inputs, training=True)  # sets the statistics of the batch


def inputs_of(model, rows=ROWS, seed=1):
    """Returns random rows for every input of a model, in its own structure."""
    rng = np.random.default_rng(seed)

    def draw(spec):
        shape = (rows, *spec.shape[1:])
        if "int" in spec.dtype:
            return rng.integers(1, 5, shape)
        return rng.normal(size=shape).astype("float32")

    if isinstance(model, UserModel):
        return draw(keras.Input((4,)))
    if isinstance(model, keras.Sequential):
        return draw(model.inputs[0])
    return keras.tree.map_structure(draw, model.input)


def targets_of(model, inputs, seed=2):
    """Returns random targets in the structure of the model's outputs."""
    rng = np.random.default_rng(seed)
    return keras.tree.map_structure(
        lambda y: rng.normal(size=y.shape).astype("float32"), model(inputs)
    )


def stateful_weights(model):
    return [weight.numpy() for weight in model.weights]


def with_weights_times(mask, model, inputs):
    """Returns the outputs of a model whose weights are masked by hand."""
    weights = model_weights.model_weights(model)
    before = stateful_weights(model)
    for path, value in mask.values.items():
        variable = weights[path].variable
        variable.assign(variable.numpy() * value)
    outputs = keras.tree.map_structure(
        ops.convert_to_numpy, model(inputs, training=False)
    )
    for weight, value in zip(model.weights, before, strict=True):
        weight.assign(value)
    return outputs


IMAGE, SIGNAL, STEPS = (5, 5, 2), (6, 2), (3, 4)
MODELS = (
    (
        "sequential",
        lambda: sequential(
            layers.Dense(5, activation="gelu"),
            layers.Dropout(0.5),
            layers.Dense(2),
        ),
    ),
    ("functional", branches_and_a_shared_layer),
    ("nested", nested_in_two_levels),
    ("subclassed", user_model),
    ("named_inputs_and_outputs", with_inputs_and_outputs_by_name),
    ("dense", lambda: sequential(layers.Dense(3))),
    (
        "einsum_dense",
        lambda: sequential(
            layers.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d"),
            shape=STEPS,
        ),
    ),
    ("conv1d", lambda: sequential(layers.Conv1D(3, 2), shape=SIGNAL)),
    ("conv2d", lambda: sequential(layers.Conv2D(3, 2), shape=IMAGE)),
    (
        "conv2d_transpose",
        lambda: sequential(layers.Conv2DTranspose(3, 2), shape=IMAGE),
    ),
    (
        "depthwise_conv2d",
        lambda: sequential(
            layers.DepthwiseConv2D(2, depth_multiplier=2), shape=IMAGE
        ),
    ),
    (
        "separable_conv2d",
        lambda: sequential(layers.SeparableConv2D(3, 2), shape=IMAGE),
    ),
    (
        "batch_norm",
        lambda: sequential(layers.BatchNormalization(), shape=IMAGE),
    ),
    (
        "layer_norm",
        lambda: sequential(layers.LayerNormalization(), shape=STEPS),
    ),
    (
        "group_norm",
        lambda: sequential(layers.GroupNormalization(2), shape=STEPS),
    ),
    (
        "embedding",
        lambda: sequential(layers.Embedding(5, 3), shape=(4,), dtype="int32"),
    ),
    ("lstm", lambda: sequential(layers.LSTM(2), shape=STEPS)),
    ("gru", lambda: sequential(layers.GRU(2), shape=STEPS)),
    ("simple_rnn", lambda: sequential(layers.SimpleRNN(2), shape=STEPS)),
    (
        "bidirectional",
        lambda: sequential(
            layers.Bidirectional(layers.SimpleRNN(2)),
            shape=STEPS,
        ),
    ),
    (
        "time_distributed",
        lambda: sequential(
            layers.TimeDistributed(layers.Conv1D(2, 2)), shape=(3, 4, 2)
        ),
    ),
    # Softmax does not see what every key has in common.
    ("attention", self_attention, ["attend/key/bias"]),
    (
        "mixed_float16",
        lambda: sequential(
            layers.Dense(5, "tanh", dtype="mixed_float16"),
            layers.LayerNormalization(dtype="mixed_float16"),
            layers.Dense(2, dtype="float32"),
        ),
    ),
    ("mobilenet", small_mobilenet),
)


class AnyModelTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(*MODELS)
    def test_is_masked_trained_and_restored(self, make_model, unreached=()):
        keras.utils.set_random_seed(0)
        model = make_model()
        inputs = inputs_of(model)
        as_if_trained(model, inputs)
        targets = targets_of(model, inputs)
        expected = model(inputs, training=False)
        before = stateful_weights(model)
        tolerance = 2e-3 if "16" in self.id() else 1e-5

        masked = masked_model.MaskedModel(
            model,
            num_samples=2,
            alpha=0.0,
            keep_probability=0.8,
            roles=EVERY_ROLE,
            seed=0,
        )
        self.assertLen(masked.mask_logits, len(model.trainable_variables))
        logits = {p: v.numpy() for p, v in masked.mask_logits.items()}
        masked.compile(keras.optimizers.SGD(1.0), loss="mse")
        masked.fit(inputs, targets, batch_size=BATCH, shuffle=False, verbose=0)
        self.assertEqual(int(masked.sampler_state[1]), 2)  # two steps

        # Training moved every logit, and no weight.
        for path, variable in masked.mask_logits.items():
            moved = np.max(np.abs(variable.numpy() - logits[path]))
            if path in unreached:
                self.assertLess(moved, 1e-6, path)
            else:
                self.assertGreater(moved, 1e-5, path)
        for old, new in zip(before, stateful_weights(model), strict=True):
            np.testing.assert_array_equal(old, new)

        # In inference the weights are multiplied by the thresholded mask.
        rng = np.random.default_rng(3)
        for variable in masked.mask_logits.values():
            variable.assign(rng.normal(0.3, 1.0, variable.shape))
        mask = masked.weight_mask()
        outputs = masked(inputs)
        self.assertAllClose(
            outputs, with_weights_times(mask, model, inputs), atol=tolerance
        )
        self.assertNotAllClose(outputs, expected, atol=tolerance)
        if not isinstance(model, UserModel):
            self.assertAllClose(
                outputs, mask.apply(model)(inputs), atol=tolerance
            )

        # All ones is the model.
        for variable in masked.mask_logits.values():
            variable.assign(np.ones(variable.shape))
        self.assertAllClose(masked(inputs), expected, atol=1e-6)


if __name__ == "__main__":
    tf.test.main()
