import os
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.network import model_weights
from tests import small_models


def sequential_model(name="outer"):
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(2, name="head"),
        ],
        name=name,
    )


def functional_model(name="outer"):
    inputs = keras.Input((4,))
    hidden = layers.Dense(3, name="hidden")(inputs)
    hidden = layers.BatchNormalization(name="norm")(hidden)
    outputs = layers.Dense(2, name="head")(hidden)
    return keras.Model(inputs, outputs, name=name)


@keras.saving.register_keras_serializable(package="model_weights_test")
class SubclassedModel(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(3, name="hidden")
        self.others = [
            layers.BatchNormalization(name="norm"),
            layers.Dense(2, name="head"),
        ]

    def build(self, input_shape):
        self.first.build(input_shape)
        for layer in self.others:
            layer.build((input_shape[0], 3))

    def call(self, inputs, training=False):
        norm, head = self.others
        return head(norm(self.first(inputs), training=training))


def subclassed_model(name="outer"):
    model = SubclassedModel(name=name)
    model.build((None, 4))
    return model


def nested_model(name="outer"):
    inputs = keras.Input((4,))
    outputs = layers.Dense(2, name="top")(sequential_model("trunk")(inputs))
    return keras.Model(inputs, outputs, name=name)


FLAT = [
    "hidden/kernel",
    "hidden/bias",
    "norm/gamma",
    "norm/beta",
    "head/kernel",
    "head/bias",
]
NESTED = [*(f"trunk/{path}" for path in FLAT), "top/kernel", "top/bias"]
MODELS = (
    ("sequential", sequential_model, FLAT),
    ("functional", functional_model, FLAT),
    ("subclassed", subclassed_model, FLAT),
    ("nested", nested_model, NESTED),
)
LSTM_ROLES = {
    "kernel": "kernel",
    "recurrent_kernel": "recurrent_kernel",
    "bias": "bias",
}
DENSE_ROLES = {"kernel": "kernel", "bias": "bias"}


def under(prefix, roles):
    return {f"{prefix}/{path}": role for path, role in roles.items()}


class OneWeight(layers.Layer):
    """A layer of a user, whose weight goes by its name alone."""

    def __init__(self, weight_name):
        super().__init__()
        self.weight_name = weight_name

    def build(self, input_shape):
        self.weight = self.add_weight(input_shape[1:], name=self.weight_name)

    def call(self, inputs):
        return inputs + self.weight


class ModelWeightsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("dense", lambda: layers.Dense(2), (3,), DENSE_ROLES),
        (
            "no_bias",
            lambda: layers.Dense(2, use_bias=False),
            (3,),
            {"kernel": "kernel"},
        ),
        ("conv", lambda: layers.Conv2D(2, 3), (5, 5, 1), DENSE_ROLES),
        (
            "separable_conv",
            lambda: layers.SeparableConv2D(2, 3),
            (5, 5, 1),
            {
                "depthwise_kernel": "kernel",
                "pointwise_kernel": "kernel",
                "bias": "bias",
            },
        ),
        (
            "batch_norm",
            lambda: layers.BatchNormalization(),
            (3,),
            {"gamma": "norm_scale", "beta": "norm_offset"},
        ),
        (
            "layer_norm_over_two_axes",
            lambda: layers.LayerNormalization(axis=(1, 2)),
            (3, 2),
            {"gamma": "norm_scale", "beta": "norm_offset"},
        ),
        (
            "rms_norm",
            lambda: layers.RMSNormalization(),
            (3,),
            {"scale": "norm_scale"},
        ),
        (
            "embedding",
            lambda: layers.Embedding(7, 2),
            (3,),
            {"embeddings": "embedding"},
        ),
        (
            "lstm",
            lambda: layers.LSTM(2),
            (3, 1),
            under("lstm_cell", LSTM_ROLES),
        ),
        (
            # Its bias has two axes, one row for the recurrent part.
            "gru",
            lambda: layers.GRU(2),
            (3, 1),
            under("gru_cell", LSTM_ROLES),
        ),
        (
            "bidirectional",
            lambda: layers.Bidirectional(layers.LSTM(2, name="lstm")),
            (3, 1),
            {
                **under("forward_lstm/lstm_cell", LSTM_ROLES),
                **under("backward_lstm/lstm_cell", LSTM_ROLES),
            },
        ),
        ("stateless", lambda: layers.Dropout(0.5, seed=0), (3,), {}),
        (
            "slopes_of_an_image",
            lambda: layers.PReLU(),
            (5, 5, 1),
            {"alpha": "norm_scale"},
        ),
        (
            "slopes_of_a_vector",
            lambda: layers.PReLU(),
            (3,),
            {"alpha": "norm_scale"},
        ),
        (
            "an_output_of_its_own",
            lambda: layers.ReversibleEmbedding(7, 2, tie_weights=False),
            (3,),
            {"embeddings": "embedding", "reverse_embeddings": "kernel"},
        ),
        *(
            (name, lambda name=name: OneWeight(name), (3, 4), {name: role})
            for name, role in (
                ("position_embedding", "embedding"),
                ("pos_embedding", "embedding"),
                ("pos_embed", "embedding"),
                ("positional_encoding", "embedding"),
                ("class_token", "embedding"),
                ("relative_position_bias_table", "bias"),
                ("mixing", "kernel"),
            )
        ),
    )
    def test_names_and_roles_are_those_of_the_layer(
        self, make_layer, shape, expected
    ):
        layer = make_layer()
        layer.name = "layer"
        model = keras.Sequential([keras.Input(shape), layer])
        weights = model_weights.model_weights(model)
        self.assertEqual(
            {path: weight.role for path, weight in weights.items()},
            under("layer", expected),
        )

    def test_attention_biases_are_biases_whatever_their_shape(self):
        inputs = keras.Input((3, 4))
        attention = layers.MultiHeadAttention(2, 3, name="attention")
        model = keras.Model(inputs, attention(inputs, inputs))
        weights = model_weights.model_weights(model)
        expected = {}
        for part in ("query", "key", "value", "attention_output"):
            expected.update(under(f"attention/{part}", DENSE_ROLES))
        self.assertEqual({p: w.role for p, w in weights.items()}, expected)

    @parameterized.named_parameters(*MODELS)
    def test_paths_are_layer_names_without_the_model_s_own(
        self, make_model, expected
    ):
        for name in ("outer", "another"):
            weights = model_weights.model_weights(make_model(name))
            self.assertEqual(list(weights), expected)
            self.assertEqual([w.path for w in weights.values()], expected)

    def test_the_variables_are_the_model_s_own(self):
        model = sequential_model()
        weights = model_weights.model_weights(model)
        for path, weight in weights.items():
            layer, name = path.split("/")
            owner = model.get_layer(layer)
            self.assertIs(weight.variable, getattr(owner, name), path)

    def test_a_weight_of_the_model_itself_has_no_layer_in_its_path(self):
        model = SubclassedModel()
        scale = model.add_weight(shape=(2,), name="scale")
        model.build((None, 4))
        weights = model_weights.model_weights(model)
        self.assertEqual(list(weights), ["scale", *FLAT])
        self.assertIs(weights["scale"].variable, scale)

    @parameterized.named_parameters(*MODELS)
    def test_survive_saving_and_loading(self, make_model, expected):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = os.path.join(folder, "model.keras")
        model = make_model()
        model.save(file)
        loaded = keras.saving.load_model(file)
        weights = model_weights.model_weights(loaded)
        self.assertEqual(list(weights), expected)
        before = model_weights.model_weights(model)
        for path, weight in weights.items():
            self.assertEqual(weight.role, before[path].role)
            self.assertAllEqual(
                weight.variable.numpy(), before[path].variable.numpy()
            )

    @parameterized.named_parameters(*MODELS)
    def test_frozen_layers_are_included(self, make_model, expected):
        model = make_model()
        model.trainable = False
        self.assertEqual(list(model_weights.model_weights(model)), expected)

    def test_layers_frozen_before_they_are_built_are_included(self):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(3, trainable=False, name="hidden"),
                layers.BatchNormalization(trainable=False, name="norm"),
            ]
        )
        weights = model_weights.model_weights(model)
        self.assertEqual(list(weights), FLAT[:4])

    def test_statistics_and_seeds_are_not_weights(self):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Normalization(),
                layers.BatchNormalization(center=False, name="norm"),
                layers.Dropout(0.5, seed=0),
            ]
        )
        # mean, variance and count; gamma and two moving ones; a seed
        self.assertLen(model.variables, 7)
        weights = model_weights.model_weights(model)
        self.assertEqual(list(weights), ["norm/gamma"])

    def test_a_shared_layer_appears_once_where_it_is_first(self):
        shared = layers.Dense(4, name="shared")
        trunk = keras.Sequential([keras.Input((4,)), shared], name="trunk")
        inputs = keras.Input((4,))
        model = keras.Model(inputs, shared(trunk(shared(shared(inputs)))))
        weights = model_weights.model_weights(model)
        self.assertEqual(list(weights), ["shared/kernel", "shared/bias"])

    def test_refuses_two_weights_of_one_path(self):
        model = SubclassedModel()
        model.extra = layers.Dense(2, name="head")
        model.extra.build((None, 2))
        model.build((None, 4))
        with self.assertRaisesRegex(ValueError, "path 'head/kernel'.*names"):
            model_weights.model_weights(model)

    def test_refuses_a_model_without_weights_yet(self):
        model = keras.Sequential([layers.Dense(2)], name="lazy")
        with self.assertRaisesRegex(ValueError, "must be built, but 'lazy'"):
            model_weights.model_weights(model)
        model(np.zeros((1, 3)))
        self.assertLen(model_weights.model_weights(model), 2)

    @parameterized.parameters("model", None, 3)
    def test_refuses_what_is_no_model(self, value):
        message = f"`model` must be a keras.Model, got {value!r}"
        with self.assertRaisesRegex(ValueError, message):
            model_weights.model_weights(value)


class SelectLayersTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("name", "top", NESTED[-2:]),
        ("names", ["hidden", "top"], [*NESTED[:2], *NESTED[-2:]]),
        ("path", ("trunk/norm",), NESTED[2:4]),
        ("submodel", {"trunk"}, NESTED[:6]),
        ("submodel_and_part", ["head", "trunk"], NESTED[:6]),
        ("iterator", iter(["top", "hidden"]), [*NESTED[:2], *NESTED[-2:]]),
    )
    def test_a_layer_goes_by_its_name_or_path(self, names, expected):
        weights = model_weights.model_weights(nested_model())
        chosen = model_weights.select_layers(weights, names)
        self.assertEqual(list(chosen), expected)

    # The start of a name, a weight, a path cut at its front, another case.
    @parameterized.parameters("hid", "top/kernel", "runk/norm", "Top", "outer")
    def test_refuses_an_unknown_layer(self, name):
        weights = model_weights.model_weights(nested_model())
        message = f"`layers` names '{name}'.*Known: .*'trunk', 'trunk/hidden'"
        with self.assertRaisesRegex(ValueError, message):
            model_weights.select_layers(weights, ["top", name])

    @parameterized.parameters((3,), ([],), ([None],), ([["top"]],))
    def test_refuses_what_is_no_name(self, names):
        with self.assertRaisesRegex(ValueError, "`layers` must be a name or"):
            model_weights.select_layers({}, names)


class SelectRolesTest(parameterized.TestCase):
    def weights(self):
        inputs = keras.Input((3,))
        hidden = layers.Embedding(5, 2, name="embedding")(inputs)
        hidden = layers.SimpleRNN(2, name="rnn")(hidden)
        hidden = layers.LayerNormalization(name="norm")(hidden)
        model = keras.Model(inputs, layers.Dense(2, name="head")(hidden))
        return model_weights.model_weights(model)

    KERNELS = ["rnn/simple_rnn_cell/kernel", "head/kernel"]
    RECURRENT = ["rnn/simple_rnn_cell/recurrent_kernel"]
    BIASES = ["rnn/simple_rnn_cell/bias", "head/bias"]
    NORM = ["norm/gamma", "norm/beta"]
    EMBEDDING = ["embedding/embeddings"]

    @parameterized.named_parameters(
        ("kernels", "kernels", KERNELS + RECURRENT),
        ("all", "all", KERNELS + RECURRENT + BIASES + NORM),
        ("transformer", "transformer", KERNELS + NORM),
        ("role", "bias", BIASES),
        ("roles", ["norm_scale", "embedding"], NORM[:1] + EMBEDDING),
        ("offset", {"norm_offset"}, NORM[1:]),
        ("iterator", iter(["kernel"]), KERNELS),
        ("every_role", model_weights.ROLES, None),
    )
    def test_choice(self, roles, expected):
        weights = self.weights()
        chosen = model_weights.select_roles(weights, roles)
        expected = weights if expected is None else expected
        order = [path for path in weights if path in expected]
        self.assertEqual(list(chosen), order)

    @parameterized.named_parameters(
        ("name_of_a_weight", "gamma", "gamma"),
        ("one_of_several", ["kernel", "Bias"], "Bias"),
        ("preset_among_roles", ["bias", "kernels"], "kernels"),
    )
    def test_refuses_an_unknown_role(self, roles, name):
        message = f"`roles` names '{name}'; known are .*'norm_scale'.*'kernels'"
        with self.assertRaisesRegex(ValueError, message):
            model_weights.select_roles({}, roles)

    @parameterized.parameters((3,), ([],), ([None],), ({"kernel": 1}.items(),))
    def test_refuses_what_is_no_name(self, roles):
        with self.assertRaisesRegex(ValueError, "`roles` must be a name or"):
            model_weights.select_roles({}, roles)


class FingerprintTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(FLAT)
    def test_changes_with_the_last_bit_of_any_weight(self, path):
        model = sequential_model()
        before = model_weights.fingerprint(model)
        variable = model_weights.model_weights(model)[path].variable
        value = variable.numpy()
        other = value.copy()
        other.flat[-1] = np.nextafter(value.flat[-1], np.float32(9))
        variable.assign(other)
        self.assertNotEqual(model_weights.fingerprint(model), before)
        variable.assign(value)
        self.assertEqual(model_weights.fingerprint(model), before)

    def test_changes_with_names_and_shapes(self):
        def zeros(shape, name="layer"):
            layer = layers.Dense(
                shape[1], use_bias=False, kernel_initializer="zeros", name=name
            )
            return keras.Sequential([keras.Input(shape[:1]), layer])

        models = zeros((2, 3)), zeros((3, 2)), zeros((2, 3), "another")
        self.assertLen({model_weights.fingerprint(m) for m in models}, 3)

    @parameterized.named_parameters(*MODELS)
    def test_changes_with_nothing_else(self, make_model, _):
        model = make_model()
        before = model_weights.fingerprint(model)
        model.compile("sgd", "mse")
        model.evaluate(np.ones((2, 4)), np.ones((2, 2)), verbose=0)
        model.optimizer.build(model.trainable_variables)
        model.trainable = False
        self.assertEqual(model_weights.fingerprint(model), before)
        twin = make_model("another")
        self.assertNotEqual(model_weights.fingerprint(twin), before)
        twin.set_weights(model.get_weights())
        self.assertEqual(model_weights.fingerprint(twin), before)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = os.path.join(folder, "model.keras")
        model.save(file)
        loaded = keras.saving.load_model(file)
        self.assertEqual(model_weights.fingerprint(loaded), before)


@keras.saving.register_keras_serializable("model_weights_test")
class Unnamed(keras.Model):
    """A model whose layers and weight are not named by the user."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = self.add_weight(shape=(2, 2))
        self.stack = [keras.layers.Dense(3), keras.layers.Dense(2)]

    def call(self, inputs):
        return self.stack[1](self.stack[0](inputs)) @ self.scale


class StableNamesTest(parameterized.TestCase):
    EXPECTED = ("variable", "dense/kernel", "dense/bias", "dense_1/kernel")

    def test_unnamed_layers_are_numbered_from_their_model(self):
        keras.layers.Dense(2), keras.layers.Dense(2)  # Keras counts on
        model = Unnamed()
        model(np.ones((1, 4)))
        self.assertNotEqual(model.stack[0].name, "dense")
        paths = list(model_weights.model_weights(model))
        self.assertEqual(paths, [*self.EXPECTED, "dense_1/bias"])

    def test_a_loaded_model_has_the_same_paths_and_fingerprint(self):
        model = Unnamed()
        model(np.ones((1, 4)))
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = os.path.join(folder, "m.keras")
        model.save(file)
        loaded = keras.saving.load_model(file)
        self.assertNotEqual(loaded.stack[0].name, model.stack[0].name)
        self.assertEqual(
            list(model_weights.model_weights(loaded)),
            list(model_weights.model_weights(model)),
        )
        self.assertEqual(
            model_weights.fingerprint(loaded), model_weights.fingerprint(model)
        )


class LoraAndQuantizedTest(parameterized.TestCase, tf.test.TestCase):
    def test_adapters_of_lora_have_a_role_of_their_own(self):
        roles = {
            path: weight.role
            for path, weight in model_weights.model_weights(
                small_models.adapted()
            ).items()
        }
        expected = {}
        for layer in ("conv", "dense", "last"):
            expected[f"{layer}/kernel"] = "kernel"
            expected[f"{layer}/bias"] = "bias"
            expected[f"{layer}/lora_kernel_a"] = "adapter"
            expected[f"{layer}/lora_kernel_b"] = "adapter"
        self.assertEqual(roles, expected)
        words = layers.Embedding(5, 3, lora_rank=2, name="words")
        model = keras.Sequential([keras.Input((2,), dtype="int32"), words])
        found = model_weights.model_weights(model)
        self.assertEqual(
            [weight.role for weight in found.values()],
            ["embedding", "adapter", "adapter"],
        )

    def test_scales_of_float8_are_no_weights(self):
        found = model_weights.model_weights(small_models.adapted("float8"))
        plain = [
            f"{x}/{y}"
            for x in ("conv", "dense", "last")
            for y in ("kernel", "bias")
        ]
        self.assertEqual([*found], plain)


class NoModelTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("none", None, "got None"),
        ("a_path", "a.keras", "'a.keras'; .*keras.saving.load_model"),
        ("another_path", pathlib.Path("a"), "'a'.*keras.saving.load_model"),
        ("a_class", keras.Sequential, "the class Sequential; make"),
        ("an_array", np.ones((9, 9)), "an object of ndarray"),
    )
    def test_is_told_in_one_line(self, model, message):
        with self.assertRaisesRegex(ValueError, message) as raised:
            model_weights.model_weights(model)
        self.assertStartsWith(
            str(raised.exception), "`model` must be a keras.Model, got "
        )
        self.assertNotIn("\n", str(raised.exception))

    def test_a_model_of_keras_2_is_told_as_such(self):
        import tf_keras

        class Own(tf_keras.Model):
            pass

        for model in (tf_keras.Sequential(), Own()):
            with self.assertRaisesRegex(ValueError, "of tf_keras, Keras 2"):
                model_weights.model_weights(model)


if __name__ == "__main__":
    tf.test.main()
