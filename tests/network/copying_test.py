import random

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers, ops

from modularity_tf.findings import weight_mask
from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.masking import masked_model
from modularity_tf.network import copying, example_inputs, model_weights

RNG = np.random.default_rng(0)
FAR = RNG.normal(5, 3, (50, 4)).astype("float32")


def dense(*before, shape=(4,), dtype="float32", **kwargs):
    """Returns some layers, then `Dense(3)`, as a model."""
    return keras.Sequential(
        [
            keras.Input(shape, dtype=dtype),
            *before,
            layers.Dense(3, name="out", **kwargs),
        ]
    )


def adapted(layer, data=FAR):
    layer.adapt(data)
    return layer


def normalized():
    return dense(adapted(layers.Normalization()))


def normalized_within():
    inner = keras.Sequential(
        [keras.Input((4,)), adapted(layers.Normalization())], name="inner"
    )
    return dense(inner, layers.Dense(4, "relu", name="hidden"))


def discretized():
    bins = adapted(layers.Discretization(num_bins=4))
    return dense(bins, layers.Embedding(5, 2), layers.Flatten())


def looking_up(mode):
    words = np.array([["a", "b"], ["c", "a"]])
    lookup = adapted(layers.StringLookup(output_mode=mode), words)
    after = [layers.Embedding(4, 2), layers.Flatten()] * (mode == "int")
    return dense(lookup, *after, shape=(3,), dtype="string")


def integers():
    lookup = adapted(layers.IntegerLookup(), np.array([[10, 20], [30, 10]]))
    embed = layers.Embedding(4, 2)
    return dense(lookup, embed, layers.Flatten(), shape=(3,), dtype="int64")


def text(mode):
    lines = np.array(["the cat sat", "a dog ran the"])
    length = 5 if mode == "int" else None
    vectors = layers.TextVectorization(
        output_mode=mode, output_sequence_length=length
    )
    mean = [layers.Embedding(9, 2, mask_zero=True)]
    mean += [layers.GlobalAveragePooling1D()]
    after = mean * (mode == "int")
    return dense(adapted(vectors, lines), *after, shape=(), dtype="string")


def features():
    space = keras.utils.FeatureSpace(
        {
            "size": "float_normalized",
            "kind": "string_categorical",
            "count": "integer_categorical",
            "age": "float_discretized",
        },
        crosses=[("kind", "count")],
    )
    rows = {
        "size": FAR[:20, 0],
        "kind": np.array(["x", "y"] * 10),
        "count": np.arange(20) % 3,
        "age": np.arange(20.0),
    }
    space.adapt(tf.data.Dataset.from_tensor_slices(rows))
    encoded = space.get_encoded_features()
    outputs = layers.Dense(3, name="out")(encoded)
    return keras.Model(space.get_inputs(), outputs)


class Cooled(keras.Model):
    """A functional model with a `call` of its own."""

    def call(self, inputs):
        return super().call(inputs) / getattr(self, "temperature", 1.0)


def cooled():
    inputs = keras.Input((4,))
    model = Cooled(inputs, layers.Dense(3, name="out")(inputs))
    model.temperature = 3.0
    return model


class Squared(keras.Sequential):
    def call(self, inputs):
        return super().call(inputs) ** 2


class Scale(layers.Layer):
    """A layer whose config does not know of its scale."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale, self._shift = 1.0, 0.0

    def call(self, inputs):
        return inputs * self.scale + self._shift


def scaled():
    scale = Scale()
    model = dense(scale)
    scale.scale, scale._shift = np.array([2.0, 1.0, 3.0, 0.5]), 4.0
    return model


def of_lambdas():
    shift = 3.0
    return dense(
        layers.Lambda(lambda x: ops.sin(x) + shift),
        layers.Dense(4, activation=lambda x: x**2),
        activation=lambda x: ops.abs(x) + shift,
    )


class Dropped(layers.Layer):
    """Drops in inference, too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.drop = layers.Dropout(0.5)

    def call(self, inputs):
        return self.drop(inputs, training=True)


class Noisy(layers.Layer):
    def call(self, inputs):
        return inputs + keras.random.normal(ops.shape(inputs))


class Whole(keras.Model):
    """A subclassed model with `get_config`, without `build`."""

    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(units, "relu", name="hidden")
        self.out = layers.Dense(3, name="out")

    def call(self, inputs):
        return self.out(self.hidden(inputs))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def subclassed():
    model = Whole(5)
    model(np.ones((1, 4), "float32"))
    return model


def adapters():
    model = dense(layers.Dense(4, name="hidden"))
    hidden = model.get_layer("hidden")
    hidden.enable_lora(2)
    hidden.lora_kernel_b.assign(RNG.normal(size=(2, 4)))
    return model


def quantized(mode):
    model = dense(layers.Dense(4, name="hidden"))
    model.layers[0].quantize(mode)
    return model


MODELS = (
    ("normalization", normalized),
    ("normalization_within", normalized_within),
    ("discretization", discretized),
    ("words", lambda: looking_up("int")),
    ("words_tf_idf", lambda: looking_up("tf_idf")),
    ("integers", integers),
    ("text", lambda: text("int")),
    ("text_tf_idf", lambda: text("tf_idf")),
    ("features", features),
    ("functional_with_a_call", cooled),
    (
        "sequential_with_a_call",
        lambda: Squared([keras.Input((4,)), layers.Dense(3, name="out")]),
    ),
    ("attributes", scaled),
    ("lambdas", of_lambdas),
    ("dropout_left_on", lambda: dense(Dropped())),
    ("unseeded_noise", lambda: dense(Noisy())),
    ("subclassed", subclassed),
    ("lora", adapters),
    ("int8", lambda: quantized("int8")),
    ("int4", lambda: quantized("int4")),
    ("float8", lambda: quantized("float8")),
)


def drawn(model):
    """Returns inputs for a model, other ones than those of the check."""
    return example_inputs.draw(model, seed=5)


def outputs(model, inputs):
    return copying._outputs(model, inputs)[0]


def trained(model):
    """Gives a model other weights than its initializers would."""
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    return model


class CopiedTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(*MODELS)
    def test_a_copy_computes_the_same_and_is_another(self, make):
        model = trained(make())
        inputs = drawn(model)
        before = outputs(model, inputs)
        copy = copying.copied(model)
        self.assertAllClose(outputs(copy, inputs), before, rtol=1e-5)
        self.assertFalse(copy.compiled)
        # What happens to the copy does not happen to the model, nor back.
        for variable in copy.trainable_variables:
            variable.assign(np.zeros(variable.shape))
        self.assertAllClose(outputs(model, inputs), before, rtol=1e-6)

    @parameterized.named_parameters(*MODELS)
    def test_the_same_holds_under_a_mask(self, make):
        model = trained(make())
        inputs = drawn(model)
        variable = model.get_layer("out").kernel
        kept = RNG.random(variable.shape) < 0.5
        mask = weight_mask.WeightMask({"out/kernel": kept})
        applied, removed = mask.apply(model), mask.remove_from(model)
        whole = variable.numpy()
        for copy, flags in ((applied, kept), (removed, ~kept)):
            variable.assign(whole * flags)
            expected = outputs(model, inputs)
            variable.assign(whole)
            self.assertAllClose(outputs(copy, inputs), expected, rtol=1e-5)

    def test_neuron_masks_and_twins_keep_what_was_adapted(self):
        model = trained(normalized_within())
        everything = NeuronSelection({"hidden": np.ones(4, bool)})
        none = ~everything
        kept = NeuronSelection(none.values, off=none.values)
        expected = model(FAR)
        for copy in (
            everything.apply(model),
            (~everything).remove_from(model),
            kept.force(model),
        ):
            self.assertAllClose(copy(FAR), expected, rtol=1e-5)
        twin = masked_model.MaskedModel(model).untrained_twin().model
        inner = [each.get_layer("inner") for each in (model, twin)]
        self.assertAllClose(*(each(FAR) for each in inner))
        self.assertNotAllClose(twin(FAR), expected)

    def test_the_seed_draws_the_fresh_weights(self):
        model = dense(layers.ReLU())
        state = random.getstate()
        one, same, other = (
            copying.untrained(model, seed=seed).get_weights()[0]
            for seed in (0, 0, 1)
        )
        self.assertEqual(random.getstate(), state)
        self.assertAllEqual(one, same)
        self.assertNotAllEqual(one, other)

    def test_weights_that_are_not_trained_are_fresh_in_a_twin(self):
        model = dense(layers.BatchNormalization(momentum=0.0))
        model(FAR, training=True)
        self.assertNotAllClose(model.layers[0].moving_mean, np.zeros(4))
        twin = copying.untrained(model)
        self.assertAllClose(twin.layers[0].moving_mean, np.zeros(4))


class RefusedTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("no_array", "x", r"examples, .* the shape \(\)"),
        ("a_dataset", tf.data.Dataset.range(3), "arrays.*got _RangeDataset"),
        ("no_example", np.zeros((0, 4), "float32"), r"shape \(0, 4\)"),
        ("another_shape", np.zeros((3, 7), "float32"), "expected.*value 4"),
    )
    def test_inputs_that_a_model_does_not_take_are_named(self, inputs, said):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        with self.assertRaisesRegex(ValueError, f"`inputs`.*{said}"):
            copying.copied(model, inputs)

    def test_names_the_layer_that_computes_something_else(self):
        class Holding(layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.shift = ops.ones(())

            def call(self, inputs):
                return inputs + self.shift

        holding = Holding(name="holding")
        inner = keras.Sequential([keras.Input((4,)), holding], name="inner")
        model = dense(inner)
        holding.shift = ops.ones(()) * 5
        message = "'inner/holding' .Holding. of the copy .* else, by"
        with self.assertRaisesRegex(ValueError, message):
            copying.copied(model)

    def test_names_weights_that_a_layer_holds_a_copy_of(self):
        class Transposed(layers.Layer):
            def build(self, shape):
                self.kernel = self.add_weight((shape[-1], 3), name="kernel")
                self.load_own_variables(None)

            def load_own_variables(self, store):
                if store is not None:
                    super().load_own_variables(store)
                self.turned = self.kernel.numpy().T

            def call(self, inputs):
                return ops.matmul(inputs, self.turned.T)

        model = dense(Transposed(name="turned"))
        # The copy is right, a mask would do nothing.
        self.assertAllClose(copying.copied(model)(FAR), model(FAR))
        none = np.zeros((4, 3), bool)
        mask = weight_mask.WeightMask({"turned/kernel": none})
        with self.assertRaisesRegex(ValueError, r"notices .*'turned/kernel'"):
            mask.apply(model)

    def test_a_layer_that_is_not_called_is_no_obstacle(self):
        model = Whole()
        model.spare = layers.Dense(2, name="spare")
        model.spare.build((None, 4))
        model(FAR)
        with self.assertRaisesRegex(ValueError, "has 4 weights, not 6"):
            copying.copied(model)  # its `__init__` makes no such layer

    def test_a_model_whose_inputs_are_unknown_is_compared_on_examples(self):
        class Counted(Whole):
            def call(self, inputs):
                return super().call(tf.one_hot(inputs, 4))

        model, words = Counted(), np.arange(4)
        model(words)
        with self.assertRaisesRegex(ValueError, "Give `inputs`"):
            copying.copied(model)
        copy = copying.copied(model, inputs=words)
        self.assertAllClose(copy(words), model(words))

    def test_functions_keep_their_names(self):
        model = of_lambdas()
        copying.copied(model)
        self.assertEqual(model.layers[-1].activation.__name__, "<lambda>")

    def test_a_weight_without_a_gradient_may_be_noticed(self):
        inputs = keras.Input((4,))
        hidden = layers.Dense(5, "relu", name="hidden")(inputs)
        frozen = layers.Lambda(tf.stop_gradient)(hidden)
        model = keras.Model(
            inputs, ops.argmax(layers.Dense(3, name="out")(frozen), axis=-1)
        )
        removed = NeuronSelection({"hidden": np.arange(5) < 1})
        kernel = removed.remove_from(model).get_layer("out").kernel.numpy()
        self.assertAllEqual(kernel[0], np.zeros(3))

    def test_a_dropout_may_be_turned_off_or_on(self):
        for before, after in ((0.5, 0.0), (0.0, 0.5)):
            model = dense(layers.Dropout(before))
            model.layers[0].rate = after
            self.assertAllClose(copying.copied(model)(FAR), model(FAR))
            self.assertLen(copying.untrained(model).weights, 2)


class ResizedTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        keras.utils.set_random_seed(0)
        self.model = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(5, "relu", name="hidden"),
                layers.Dense(3, use_bias=False, name="out"),
            ],
            name="net",
        )
        hidden, out = self.model.layers
        hidden.bias.assign([0.0, 2.0, 0.0, 0.0, 0.0])
        hidden.kernel.assign(hidden.kernel * (np.arange(5) != 1))
        self.configs = {
            id(hidden): {**hidden.get_config(), "units": 4},
            id(out): {**out.get_config(), "use_bias": True},
        }
        self.values = {
            id(hidden.kernel): np.delete(hidden.kernel.numpy(), 1, 1),
            id(hidden.bias): np.zeros(4, "float32"),
            id(out.kernel): np.delete(out.kernel.numpy(), 1, 0),
        }
        self.biases = {id(out): 2.0 * out.kernel.numpy()[1]}
        self.inputs = RNG.normal(size=(3, 4)).astype("float32")

    def resized(self):
        return copying.resized(
            self.model, self.configs, self.values, self.biases, [self.inputs]
        )

    def test_layers_have_other_sizes_and_outputs_are_the_same(self):
        made = self.resized()
        self.assertEqual(made.get_layer("hidden").units, 4)
        self.assertAllClose(made(self.inputs), self.model(self.inputs))
        self.assertIs(type(made), keras.Sequential)
        self.assertEqual(self.model.get_layer("hidden").units, 5)

    def test_a_small_output_may_differ_by_the_rounding_of_the_usual_one(self):
        out = self.model.get_layer("out")
        out.kernel.assign(out.kernel * (np.arange(5) != 1)[:, None])
        self.inputs = RNG.normal(size=(9, 4)).astype("float32")
        self.inputs[0] = 0.0  # and so is the output
        self.biases[id(out)] = np.full(3, 1e-7, "float32")
        self.resized()
        self.biases[id(out)] = np.full(3, 1e-2, "float32")
        with self.assertRaisesRegex(ValueError, "something else"):
            self.resized()

    def test_a_model_that_can_not_be_called_then_is_refused_in_a_line(self):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(5, name="hidden"),
                layers.Lambda(lambda x: keras.ops.reshape(x, (-1, 5))),
            ]
        )
        hidden = model.get_layer("hidden")
        kernel, bias = hidden.get_weights()
        with self.assertRaisesRegex(ValueError, "can't be called then") as e:
            copying.resized(
                model,
                {id(hidden): {**hidden.get_config(), "units": 4}},
                {id(hidden.kernel): kernel[:, 1:], id(hidden.bias): bias[1:]},
                {},
                [np.ones((3, 4), "float32")],
            )
        self.assertNotIn("\n", str(e.exception))

    def test_what_computes_something_else_is_refused(self):
        self.biases = {}
        with self.assertRaisesRegex(ValueError, "'net'.*something else.*by"):
            self.resized()

    def test_a_weight_of_another_shape_is_named(self):
        out = self.model.get_layer("out")
        del self.values[id(out.kernel)]
        with self.assertRaisesRegex(ValueError, r"'kernel' of 'out'.*\(4, 3\)"):
            self.resized()

    def test_a_layer_that_keras_can_not_make_is_named(self):
        out = self.model.get_layer("out")
        self.configs[id(out)] = {"units": -1}
        with self.assertRaisesRegex(ValueError, "gets to 'out', and Keras"):
            self.resized()

    def test_a_config_is_without_the_shapes_of_before(self):
        inner = keras.saving.serialize_keras_object(self.model.layers[0])
        self.assertIn("build_config", inner)
        found = copying.unbuilt({"layers": [inner], "n": (1, 2)})
        self.assertNotIn("build_config", found["layers"][0])
        self.assertEqual(found["n"], (1, 2))


class PathsTest(tf.test.TestCase):
    def test_the_copy_has_the_paths_of_the_model(self):
        model = normalized_within()
        paths = [[*model_weights.model_weights(model)]]
        paths.append([*model_weights.model_weights(copying.copied(model))])
        self.assertEqual(*paths)


if __name__ == "__main__":
    tf.test.main()
