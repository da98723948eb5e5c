"""Any Keras model can be masked, trained and restored, without changing it."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers, ops

from modularity_tf.masking import masked_model
from modularity_tf.network import keras_private, model_weights

ROWS, BATCH = 15, 8  # the last batch has 7 rows, in parts of 3 and 4
EVERY_KEPT = {"initial_keep_probability": 1 - 1e-7, "alpha": 0.0}  # for certain
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
    whole = keras.applications.MobileNet(
        (32, 32, 3), alpha=0.25, weights=None, include_top=False
    )
    x = whole.get_layer("conv_pw_2_relu").output  # the others are alike
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(
        whole.input, layers.Dense(3, "softmax", name="predictions")(x)
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


class Subclassed(keras.Model):
    """A model of a function `(model, inputs, training) -> outputs`."""

    def __init__(self, function, **parts):
        super().__init__(name="mine")
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def call(self, inputs, training=False):
        return self.function(self, inputs, training)


def called(model, training=False):
    """Returns a subclassed model after its first call, on ones."""
    model(np.ones((1, 4), "float32"), training=training)
    return model


# Models that use a weight twice. Their two outputs are equal if, and only if,
# both uses see one mask.


def a_layer_on_two_inputs():
    a, b = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(5)
    return keras.Model([a, b], [shared(a), shared(b)])


def a_model_called_twice():  # m * m = m for a mask m
    gate = sequential(layers.EinsumDense("ab,b->ab", 4))
    gate.set_weights([np.ones(4)])
    inputs = keras.Input((4,))
    once = gate(inputs)
    return keras.Model(inputs, [once, gate(once)])


def a_layer_at_every_step():
    inputs = keras.Input((3, 4))
    steps = layers.TimeDistributed(layers.Dense(5))(inputs)
    return keras.Model(inputs, [steps[:, 0], steps[:, 2]])


def a_recurrent_kernel(unroll):
    # The first input stays in the state but for what the mask removes.
    inputs = keras.Input((4, 6))
    first = layers.Lambda(lambda x: x * np.eye(4)[:1].T.astype("float32"))
    states = layers.SimpleRNN(
        6,
        activation=None,
        kernel_initializer="identity",
        recurrent_initializer="identity",
        return_sequences=True,
        unroll=unroll,
    )(first(inputs))
    return keras.Model(inputs, [states[:, 1], states[:, 3]])


def an_embedding_tied_to_the_output():
    inputs = keras.Input((), dtype="int32")
    embed = layers.ReversibleEmbedding(5, 4)
    code = embed(inputs)
    scores = embed(code, reverse=True)[:, 1:2]  # of the token itself
    return keras.Model(
        inputs, [layers.Lambda(lambda x: ops.sum(x**2, -1, True))(code), scores]
    )


def as_if_trained(model, seed=0):
    """Gives biases and normalizations the values that training would."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = weight.numpy()
        if "seed" not in weight.path and np.ptp(value) == 0:
            weight.assign(value + rng.uniform(-0.5, 0.5, value.shape))
    for layer in keras_private.all_layers(model):
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(inputs_of(model, seed=4), training=True)  # sets the statistics


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
# To compile a step takes longer than two steps.
COMPILED = ("_sequential", "_nested", "_subclassed", "_lstm")


class AnyModelTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(*MODELS)
    def test_is_masked_trained_and_restored(self, make_model, unreached=()):
        keras.utils.set_random_seed(0)
        model = make_model()
        as_if_trained(model)
        inputs = inputs_of(model)
        targets = targets_of(model, inputs)
        expected = model(inputs, training=False)
        before = stateful_weights(model)
        tolerance = 2e-3 if "16" in self.id() else 1e-5

        masked = masked_model.MaskedModel(
            model,
            num_samples=2,
            alpha=0.0,
            initial_keep_probability=0.8,
            roles=EVERY_ROLE,
            seed=0,
        )
        self.assertLen(masked.mask_logits, len(model.trainable_variables))
        logits = {p: v.numpy() for p, v in masked.mask_logits.items()}
        masked.compile(
            keras.optimizers.SGD(1.0),
            loss="mse",
            run_eagerly=not self.id().endswith(COMPILED),
        )
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

    def test_eager_and_compiled_steps_are_the_same(self):
        def trained(run_eagerly):
            keras.utils.set_random_seed(0)
            model = branches_and_a_shared_layer()
            masked = masked_model.MaskedModel(model, roles="all", seed=0)
            masked.compile(loss="mse", run_eagerly=run_eagerly)
            inputs = inputs_of(model)
            targets = targets_of(model, inputs)
            masked.fit(inputs, targets, 8, shuffle=False, verbose=0)
            return [v.numpy() for v in masked.mask_logits.values()]

        self.assertAllClose(trained(True), trained(False), atol=1e-4)

    def test_embeddings_are_masked_if_named(self):
        model = with_inputs_and_outputs_by_name()
        for roles in model_weights.ROLE_PRESETS:
            masked = masked_model.MaskedModel(model, roles=roles)
            self.assertNotIn("embed/embeddings", masked.mask_logits)
        masked = masked_model.MaskedModel(model, roles=["embedding"])
        self.assertEqual(list(masked.mask_logits), ["embed/embeddings"])
        with tf.GradientTape() as tape:
            kinds = masked(inputs_of(model), training=True)["kind"]
            loss = ops.sum(kinds[:, 0])
        gradient = tape.gradient(loss, masked.trainable_variables)[0]
        # Tokens 1 to 4 occur, and token 0 does not.
        self.assertAllEqual(np.any(gradient, axis=1), [False] + 4 * [True])

    def test_losses_and_sample_weights_are_those_of_each_output(self):
        model = with_inputs_and_outputs_by_name()
        inputs = inputs_of(model)
        rng = np.random.default_rng(0)
        targets = {
            "kind": rng.integers(0, 3, ROWS),
            "size": rng.normal(size=(ROWS, 1)),
        }
        weights = {name: rng.uniform(size=ROWS) for name in targets}
        outputs = keras.tree.map_structure(np.array, model(inputs))
        likelihood = outputs["kind"][np.arange(ROWS), targets["kind"]]
        kind = np.mean(weights["kind"] * -np.log(likelihood))
        error = np.square(outputs["size"] - targets["size"])[:, 0]
        size = np.mean(weights["size"] * error)

        masked = masked_model.MaskedModel(model, **EVERY_KEPT)
        masked.compile(
            keras.optimizers.SGD(0.0),
            loss={"kind": "sparse_categorical_crossentropy", "size": "mse"},
            loss_weights={"kind": 1.0, "size": 0.5},
        )
        data = {"x": inputs, "y": targets, "sample_weight": weights}
        logs = masked.fit(**data, batch_size=ROWS, verbose=0).history
        scores = masked.evaluate(**data, verbose=0, return_dict=True)
        for result in ({k: v[0] for k, v in logs.items()}, scores):
            self.assertAllClose(result["loss"], kind + size / 2, rtol=1e-4)
            self.assertAllClose(result["kind_loss"], kind, rtol=1e-4)
            self.assertAllClose(result["size_loss"], size, rtol=1e-4)

    @parameterized.named_parameters(
        ("a_layer_on_two_inputs", a_layer_on_two_inputs),
        ("a_model_called_twice", a_model_called_twice),
        ("a_layer_at_every_step", a_layer_at_every_step),
        ("a_recurrent_kernel", lambda: a_recurrent_kernel(False)),
        ("a_recurrent_kernel_unrolled", lambda: a_recurrent_kernel(True)),
        ("an_embedding_tied_to_the_output", an_embedding_tied_to_the_output),
    )
    def test_one_sample_serves_every_use_in_a_call(self, make_model):
        keras.utils.set_random_seed(0)
        model = make_model()
        ones = keras.tree.map_structure(np.ones_like, inputs_of(model, 8))
        masked = masked_model.MaskedModel(
            model, initial_keep_probability=0.5, roles=EVERY_ROLE, seed=0
        )
        for call in (masked, tf.function(masked)):
            one, other = (np.array(x) for x in call(ones, training=True))
            self.assertAllClose(one, other, atol=1e-5)
            # Two rows a part: equal rows in a part, other ones elsewhere.
            self.assertAllClose(one[::2], one[1::2])
            self.assertGreater(len(np.unique(one.round(4), axis=0)), 1)

    @parameterized.parameters(True, False)
    def test_padding_changes_nothing(self, training):
        model = sequential(
            layers.Embedding(5, 3, mask_zero=True),
            layers.LSTM(2),
            layers.Dense(2),
            shape=(None,),
            dtype="int32",
        )
        masked = masked_model.MaskedModel(model, roles=EVERY_ROLE)
        words = np.tile([[1, 2, 3]], (8, 1))
        outputs = []
        for padding in (0, 2):
            masked.reset(seed=0)  # the same masks
            padded = np.pad(words, ((0, 0), (0, padding)))
            outputs.append(masked(padded, training=training))
        self.assertAllClose(outputs[0], outputs[1], atol=1e-6)

    @parameterized.parameters(True, False)
    def test_padding_has_no_part_in_the_loss(self, run_eagerly):
        model = sequential(
            layers.Embedding(5, 3, mask_zero=True),
            layers.Dense(1),
            shape=(3,),
            dtype="int32",
        )
        words = np.array([[1, 2, 0], [3, 0, 0], [4, 1, 2], [2, 0, 0]])
        targets = np.random.default_rng(0).normal(size=(4, 3, 1))
        errors = np.square(model(words) - targets)[:, :, 0]
        masked = masked_model.MaskedModel(model, num_samples=2, **EVERY_KEPT)
        masked.compile(loss="mse", run_eagerly=run_eagerly)
        expected = np.mean(errors[words > 0])
        self.assertAllClose(masked.test_on_batch(words, targets), expected)
        self.assertAllClose(masked.train_on_batch(words, targets), expected)

    def test_losses_that_the_model_adds_do_not_count(self):
        model = sequential(
            layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l2")
        )
        inputs = inputs_of(model)
        targets = targets_of(model, inputs)
        expected = np.mean(np.square(model(inputs) - targets))
        for run_eagerly in (True, False):
            masked = masked_model.MaskedModel(model, **EVERY_KEPT)
            masked.compile(loss="mse", run_eagerly=run_eagerly)
            self.assertAllClose(masked.test_on_batch(inputs, targets), expected)
            self.assertAllClose(
                masked.train_on_batch(inputs, targets), expected
            )

    def test_the_global_policy_may_be_mixed_float16(self):
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        keras.config.set_dtype_policy("mixed_float16")
        model = sequential(
            layers.Dense(5, activation="tanh"), layers.Dense(2, dtype="float32")
        )
        inputs = inputs_of(model)
        targets = targets_of(model, inputs)
        masked = masked_model.MaskedModel(model, roles="all", seed=0)
        masked.compile(loss="mse")
        self.assertIsInstance(
            masked.optimizer, keras.optimizers.LossScaleOptimizer
        )
        logits = [v.numpy() for v in masked.mask_logits.values()]
        masked.fit(inputs, targets, batch_size=BATCH, verbose=0)
        for old, new in zip(logits, masked.mask_logits.values(), strict=True):
            self.assertEqual(new.dtype, "float32")
            self.assertNotAllClose(old, new)
        # The last layer is not rounded to 16 bits.
        np.testing.assert_array_equal(masked(inputs), model(inputs))
        masked.reset(seed=0)
        self.assertAllClose(list(masked.mask_logits.values()), logits)

    @parameterized.parameters("int32", "bool", "complex64")
    def test_refuses_by_name_a_weight_that_is_no_float(self, dtype):
        count = keras.Variable(
            np.ones((2, 2), dtype), dtype=dtype, name="count"
        )
        model = called(
            Subclassed(
                lambda self, x, _: self.dense(x),
                dense=layers.Dense(2, name="dense"),
                count=count,
            )
        )
        with self.assertRaisesRegex(ValueError, f"'count' .* {dtype}"):
            masked_model.MaskedModel(model)
        masked_model.MaskedModel(model, layers="dense")

    def test_names_the_layers_without_weights_yet(self):
        model = Subclassed(
            lambda self, x, _: self.dense(x),
            dense=layers.Dense(2, name="dense"),
        )
        model.built = True
        with self.assertRaisesRegex(ValueError, r"yet: \['dense'\]"):
            masked_model.MaskedModel(model)

    def test_names_the_weights_that_are_made_too_late(self):
        def call(self, x, training):
            return self.dense(x) if training else self.other(self.dense(x))

        model = called(
            Subclassed(
                call,
                dense=layers.Dense(2, name="dense"),
                other=layers.Dense(2, name="other"),
            ),
            training=True,
        )
        masked = masked_model.MaskedModel(model)
        with self.assertRaisesRegex(ValueError, "other/kernel.* too late"):
            masked(np.ones((4, 4), "float32"), training=True)

    @parameterized.parameters(True, False)
    def test_warns_by_name_of_weights_that_keras_does_not_track(self, eager):
        stray = tf.Variable(2.0, name="stray")
        model = called(
            Subclassed(
                lambda self, x, _: self.dense(x) * stray,
                dense=layers.Dense(2, name="dense"),
            )
        )
        masked = masked_model.MaskedModel(model)
        masked.compile(loss="mse", run_eagerly=eager)
        ones = np.ones((4, 4), "float32")
        with self.assertWarnsRegex(UserWarning, r"no mask: \['stray:0'\]"):
            masked.train_on_batch(ones, ones[:, :2])

    def test_refuses_an_output_without_a_batch_axis(self):
        model = called(
            Subclassed(
                lambda self, x, _: ops.sum(self.dense(x)),
                dense=layers.Dense(2, name="dense"),
            )
        )
        masked = masked_model.MaskedModel(model)
        with self.assertRaisesRegex(ValueError, "batch as its first axis"):
            masked(np.ones((4, 4), "float32"), training=True)

    def test_a_layer_that_is_never_called_is_no_obstacle(self):
        model = called(
            Subclassed(
                lambda self, x, _: self.dense(x),
                dense=layers.Dense(2, name="dense"),
                spare=layers.Dense(2, name="spare"),
            )
        )
        masked = masked_model.MaskedModel(model, **EVERY_KEPT)
        self.assertEqual(list(masked.mask_logits), ["dense/kernel"])
        ones = np.ones((4, 4), "float32")
        self.assertAllClose(masked(ones, training=True), model(ones))


if __name__ == "__main__":
    tf.test.main()
