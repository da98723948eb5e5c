import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.network import (
    activations,
    functional_call,
    model_weights,
)
from modularity_tf.network import surgery as network_surgery


def cnn():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3, activation="relu", name="conv1"),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(),
            layers.Conv2D(4, 2, name="conv2"),
            layers.Activation("relu"),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(5, activation="relu", name="hidden"),
            layers.Dense(2, name="output"),
        ],
        name="cnn",
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" not in weight.path:
            shape = weight.shape
            weight.assign(np.abs(rng.normal(size=shape)) * 0.3 + 0.05)
    return model


def nested():
    inner = keras.Sequential(
        [keras.Input((3,)), layers.Dense(5, "relu", name="d")], name="inner"
    )
    inputs = keras.Input((4,))
    x = inner(layers.Dense(3, "relu", name="first")(inputs))
    return keras.Model(inputs, layers.Dense(2, name="last")(x), name="nested")


def chosen(model, seed=0):
    """Returns about half of the neurons of every layer."""
    rng = np.random.default_rng(seed)
    return NeuronSelection(
        {
            path: rng.permutation(layer.kernel.shape[-1]) % 2 == 0
            for path, layer in activations.neuron_layers(model).items()
        }
    )


def forced(on, off):
    """Returns a selection of neurons to force on, and others off."""
    return NeuronSelection(on.values, off=off.values)


def outputs_of_layers(model):
    """Returns the activations of every layer for some images, as arrays."""
    found = activations.ActivationModel(model)(IMAGES)
    return {path: np.array(values) for path, values in found.items()}


IMAGES = np.random.default_rng(1).uniform(size=(6, 8, 8, 1)).astype("float32")


class BuildSubnetworkTest(parameterized.TestCase, tf.test.TestCase):
    def test_by_thresholding_the_unimportant_are_silent(self):
        model = cnn()
        selection = chosen(model)
        before = model.get_weights()
        sub = selection.apply(model)
        found = outputs_of_layers(sub)
        for path in ("conv1", "conv2", "hidden"):
            kept = selection.values[path]
            self.assertAllEqual(
                found[path][..., ~kept], 0 * found[path][..., ~kept]
            )
        # The first layer sees the same inputs: those kept are as they were.
        original = outputs_of_layers(model)["conv1"]
        kept = selection.values["conv1"]
        self.assertAllClose(found["conv1"][..., kept], original[..., kept])
        # Nor does what normalizes them make anything of the others.
        normalized = sub.get_layer("norm")(sub.get_layer("conv1")(IMAGES))
        found = np.array(normalized)[..., ~selection.values["conv1"]]
        self.assertAllEqual(found, 0 * found)
        for old, new in zip(
            model.get_layer("output").get_weights(),
            sub.get_layer("output").get_weights(),
            strict=True,
        ):
            self.assertAllEqual(old, new)
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_by_masking_forced_neurons_put_out_1_or_0(self):
        model = cnn()
        on = chosen(model)
        off = ~on & chosen(model, 1)
        sub = forced(on, off).force(model)
        found = outputs_of_layers(sub)
        for path in ("conv1", "conv2", "hidden"):
            values = found[path]
            self.assertAllEqual(np.unique(values[..., on.values[path]]), [1.0])
            self.assertAllEqual(np.unique(values[..., off.values[path]]), [0.0])
            free = ~(on.values[path] | off.values[path])
            if path == "conv1":
                original = outputs_of_layers(model)[path]
                self.assertAllClose(values[..., free], original[..., free])

    def test_nothing_chosen_is_the_model(self):
        model = cnn()
        nothing = chosen(model) & ~chosen(model)
        sub = forced(nothing, nothing).force(model)
        self.assertAllClose(sub(IMAGES), model(IMAGES))

    def test_without_a_bias_nothing_can_be_forced_on(self):
        model = keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(2, use_bias=False, name="a"),
                layers.Dense(2, name="b"),
            ]
        )
        on = NeuronSelection({"a": np.array([True, False])})
        with self.assertRaisesRegex(ValueError, "'a' has no bias"):
            forced(on, on & ~on).force(model)

    def test_refuses_a_selection_of_another_model(self):
        with self.assertRaisesRegex(ValueError, "does not fit"):
            chosen(nested()).apply(cnn())


class SurgeryTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.product(make=[cnn, nested], incoming=[False, True])
    def test_weights_stay_as_in_the_models_that_are_made(self, make, incoming):
        model, selection = make(), chosen(make())
        surgery = network_surgery.Surgery(model, selection.values, incoming)
        weights = model_weights.model_weights(model)
        x = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:]))
        call = functional_call.FunctionalCall(model)
        for kept, made in (
            (surgery.alone, selection.apply(model)),
            (surgery.without, selection.remove_from(model, incoming=incoming)),
        ):
            values = {
                path: tf.where(flags, weights[path].variable.value, 0)
                for path, flags in kept(selection.values).items()
            }
            self.assertAllClose(call(values, np.float32(x)), made(x))

    def test_knows_which_layers_lose_neurons(self):
        model = cnn()
        surgery = network_surgery.Surgery(model, chosen(model).values)
        self.assertEqual(surgery.hidden, ["conv1", "conv2", "hidden"])
        self.assertEqual(
            [each.path for each in surgery.units("conv1").weights],
            ["conv1/kernel", "conv1/bias", "norm/gamma", "norm/beta"],
        )

    def test_refuses_what_a_model_could_not_be_made_of(self):
        model, other = cnn(), nested()
        with self.assertRaisesRegex(ValueError, "does not fit"):
            network_surgery.Surgery(model, chosen(other).values)


class OtherUnitsTest(parameterized.TestCase, tf.test.TestCase):
    """Units of a recurrent layer, and attention heads."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keras.utils.set_random_seed(0)
        inputs = keras.Input((5, 3))
        x = layers.LSTM(4, return_sequences=True, name="lstm")(inputs)
        x = layers.MultiHeadAttention(2, 3, name="attend")(x, x)
        x = layers.Flatten()(x)
        cls.model = keras.Model(inputs, layers.Dense(2, name="last")(x))
        cls.x = np.random.default_rng(0).normal(size=(6, 5, 3))
        cls.chosen = NeuronSelection(
            {
                "lstm": np.array([True, False, True, False]),
                "attend": np.array([True, False]),
            }
        )

    @parameterized.parameters(False, True)
    def test_without_them_it_is_as_with_the_others_alone(self, incoming):
        without = self.chosen.remove_from(self.model, incoming=incoming)
        others = (~self.chosen).apply(self.model)
        self.assertAllClose(without(self.x), others(self.x), atol=1e-6)
        self.assertNotAllClose(without(self.x), self.model(self.x), atol=1e-4)

    def test_all_of_them_are_the_model(self):
        every = self.chosen | ~self.chosen
        self.assertAllClose(every.apply(self.model)(self.x), self.model(self.x))

    def test_refuses_what_is_known_of_neurons_alone(self):
        with self.assertRaisesRegex(ValueError, "'lstm' has 4 units"):
            NeuronSelection({"lstm": np.ones(3, bool)}).apply(self.model)
        with self.assertRaisesRegex(ValueError, "no layer 'flatten"):
            NeuronSelection({"flatten": np.ones(3, bool)}).apply(self.model)
        with self.assertRaisesRegex(ValueError, "'lstm' can't be forced"):
            forced(self.chosen, ~self.chosen).force(self.model)
        with self.assertRaisesRegex(ValueError, "lead to units of 'lstm'"):
            network_surgery.weights_of(self.model, self.chosen.values)


class AblateTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("conv1", "conv2", "hidden")
    def test_the_next_layer_does_not_hear_the_removed(self, path):
        # As if the removed units were constant zero after all that follows
        # them: normalization, pooling, flattening.
        model = cnn()
        flags = chosen(model).values[path]
        ablated = NeuronSelection({path: flags}).remove_from(model)
        names = [layer.name for layer in model.layers]
        following = {"conv1": "conv2", "conv2": "hidden", "hidden": "output"}
        x = IMAGES
        for name in names[: names.index(following[path])]:
            x = np.array(model.get_layer(name)(x))
        if path == "conv2":
            x = x.reshape(len(x), -1, 4)
            x[..., flags] = 0
            x = x.reshape(len(x), -1)
        else:
            x[..., flags] = 0
        for name in names[names.index(following[path]) :]:
            x = model.get_layer(name)(x)
        self.assertAllClose(ablated(IMAGES), x, atol=1e-4, rtol=1e-4)
        self.assertNotAllClose(ablated(IMAGES), model(IMAGES), atol=1e-3)

    def test_biases_of_the_removed_are_zero_and_the_output_layer_stays(self):
        model = cnn()
        selection = chosen(model)
        ablated = selection.remove_from(model)
        for path in ("conv1", "conv2", "hidden"):
            flags = selection.values[path]
            bias = ablated.get_layer(path).bias.numpy()
            self.assertAllEqual(bias[flags], np.zeros(flags.sum()))
            self.assertAllEqual(
                bias[~flags], model.get_layer(path).bias.numpy()[~flags]
            )
        self.assertAllEqual(
            ablated.get_layer("output").bias.numpy(),
            model.get_layer("output").bias.numpy(),
        )

    def test_follows_units_into_and_out_of_nested_models(self):
        model = nested()
        self.assertEqual(network_surgery.output_layers(model), ["last"])
        everything = NeuronSelection({"inner/d": np.ones(5, bool)})
        ablated = everything.remove_from(model)
        bias = model.get_layer("last").bias
        x = np.random.default_rng(0).normal(size=(3, 4))
        self.assertAllClose(ablated(x), np.tile(bias, (3, 1)))

    @parameterized.named_parameters(
        ("layer_norm", layers.LayerNormalization, 4),
        ("group_norm", lambda **k: layers.GroupNormalization(2, **k), 4),
        ("rms_norm", layers.RMSNormalization, 4),
        ("attention", layers.Attention, 4),
        ("heads", lambda **k: layers.Reshape((2, 2), **k), 2),
    )
    def test_says_where_a_way_can_t_be_followed(self, mix, width):
        inputs = keras.Input((5, 4))
        x = layers.Dense(4, "relu", name="first")(inputs)
        if width == 2:
            x = layers.Lambda(lambda x: x[:, 0])(x)
        mixer = mix(name="mixer")
        x = mixer([x, x] if isinstance(mixer, layers.Attention) else x)
        model = keras.Model(inputs, layers.Dense(2, name="last")(x))
        flags = NeuronSelection({"first": np.array([1, 0, 0, 1], bool)})
        message = f"'first' can't be followed.* 'mixer' .{type(mixer).__name__}"
        with self.assertRaisesRegex(ValueError, message):
            flags.remove_from(model)
        ablated = flags.remove_from(model, incoming=True)
        z = np.ones((2, 5, 4), "float32")
        found = activations.ActivationModel(ablated)(z)["first"]
        self.assertAllEqual(found[..., 0], np.zeros((2, 5)))

    def test_refuses_units_that_another_call_reads_elsewhere(self):
        inputs = keras.Input((6, 6, 3))
        first = layers.Conv2D(3, 1, use_bias=False, name="first")
        x = layers.GlobalAveragePooling2D()(first(first(inputs)))
        model = keras.Model(inputs, layers.Dense(2, name="output")(x))
        removed = NeuronSelection({"first": np.array([True, False, False])})
        with self.assertRaisesRegex(ValueError, "weights of 'first' can't be"):
            removed.remove_from(model)
        removed.remove_from(model, incoming=True)

    @parameterized.named_parameters(
        ("softmax", layers.Softmax), ("scale", lambda: layers.Rescaling(2.0))
    )
    def test_knows_the_output_layer_before(self, layer):
        model = keras.Sequential(
            [keras.Input((3,)), layers.Dense(2, name="output"), layer()]
        )
        self.assertEqual(network_surgery.output_layers(model), ["output"])

    def test_refuses_outputs_of_unknown_layers(self):
        inputs = keras.Input((3,))
        normalized = layers.LayerNormalization()(layers.Dense(2)(inputs))
        model = keras.Model(inputs, normalized, name="normal")
        with self.assertRaisesRegex(ValueError, r"outputs \[0\] of 'normal'"):
            network_surgery.output_layers(model)

    @parameterized.parameters(1, 2, 4)
    def test_a_grouped_kernel_weighs_the_channels_of_its_group(self, groups):
        model = keras.Sequential(
            [
                keras.Input((4, 4, 2)),
                layers.Conv2D(4, 1, name="first"),
                layers.ReLU(),
                layers.Conv2D(8, 1, groups=groups, name="grouped"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(2, name="output"),
            ]
        )
        flags = np.array([True, False, False, True])
        ablated = NeuronSelection({"first": flags}).remove_from(model)
        images = np.random.default_rng(0).normal(size=(2, 4, 4, 2))
        x = np.array(model.layers[1](model.layers[0](images)))
        x[..., flags] = 0
        for layer in model.layers[2:]:
            x = layer(x)
        self.assertAllClose(ablated(images), x, atol=1e-6)

    def test_follows_units_through_casts_between_precisions(self):
        model = keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(4, "relu", dtype="mixed_float16", name="half"),
                layers.Dense(3, dtype="float32", name="whole"),
                layers.Dense(2, dtype="mixed_float16", name="output"),
            ]
        )
        everything = NeuronSelection({"half": np.ones(4, bool)})
        ablated = everything.remove_from(model)
        kernel = ablated.get_layer("whole").kernel.numpy()
        self.assertAllEqual(kernel, np.zeros((4, 3)))

    def test_incoming_weights_need_no_known_output_layer(self):
        inputs = keras.Input((3,))
        a, b = (layers.Dense(2, name=name)(inputs) for name in "ab")
        normalize = layers.LayerNormalization()
        outputs = normalize(layers.Add()([a, b]))
        model = keras.Model(inputs, outputs, name="sum")
        everything = NeuronSelection({"a": np.ones(2, bool)})
        with self.assertRaisesRegex(ValueError, "of 'a' can't be followed"):
            everything.remove_from(model)
        with self.assertWarnsRegex(UserWarning, r"\[0\] of 'sum': .* \['a'\]"):
            ablated = everything.remove_from(model, incoming=True)
        x = np.random.default_rng(0).normal(size=(4, 3))
        self.assertAllClose(ablated(x), normalize(model.get_layer("b")(x)))


class Subclassed(keras.Model):
    """A model that never sees a `keras.Input`."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization()
        self.hidden = layers.Dense(units, name="hidden")
        self.out = layers.Dense(2, name="out")

    def call(self, inputs):
        hidden = keras.ops.relu(self.norm(self.hidden(inputs)))
        return keras.ops.softmax(self.out(hidden))


class OfInts(Subclassed):
    def call(self, inputs):
        return super().call(tf.one_hot(inputs, 3))


class WithoutArguments(Subclassed):
    def __init__(self):
        super().__init__()


class OfTwo(WithoutArguments):
    def call(self, inputs):
        return super().call(inputs["a"] + inputs["b"])


class OfTwoArguments(Subclassed):
    def call(self, a, b):
        return super().call(a + b)


class NotCloned(Subclassed):
    def __init__(self, function):
        super().__init__()
        self.function = function


class Clonable(NotCloned):
    def get_config(self):
        return {"function": None}

    def build(self, shape):
        for layer, size in ((self.hidden, 3), (self.norm, 4), (self.out, 4)):
            layer.build((None, size))


class SubclassedModelTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("that_was_called", Subclassed, "rows"),
        ("without_arguments", WithoutArguments, "rows"),
        ("of_a_dict", OfTwo, "dict"),
        ("with_a_config", lambda: Clonable(print), "rows"),
    )
    def test_is_taken_apart_as_others_are(self, make, kind):
        rows = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
        inputs = {"rows": rows, "dict": {"a": rows, "b": rows}}[kind]
        model = make()
        before = model(inputs)
        flags = np.array([True, False, True, False])
        chosen = NeuronSelection({"hidden": flags, "out": np.ones(2, bool)})
        without = chosen.remove_from(model)
        kernel = without.out.kernel.numpy()
        self.assertAllEqual(kernel[flags], np.zeros((2, 2)))
        self.assertAllEqual(kernel[~flags], model.out.kernel.numpy()[~flags])
        for changed, off in (
            (chosen.apply(model), ~flags),
            (chosen.remove_from(model, incoming=True), flags),
        ):
            kernel = changed.hidden.kernel.numpy()
            self.assertAllEqual(kernel[:, off], np.zeros((3, 2)))
            self.assertAllEqual(
                kernel[:, ~off], model.hidden.kernel.numpy()[:, ~off]
            )
            self.assertAllEqual(
                changed.out.kernel.numpy(), model.out.kernel.numpy()
            )
        self.assertAllClose(model(inputs), before)

    def test_within_another_model_keeps_its_path(self):
        inputs = keras.Input((3,))
        inner = Subclassed(name="inner")
        model = keras.Model(inputs, inner(inputs))
        chosen = NeuronSelection({"inner/hidden": np.arange(4) < 2})
        changed = chosen.remove_from(model)
        kernel = changed.layers[-1].out.kernel.numpy()
        self.assertAllEqual(kernel[:2], np.zeros((2, 2)))

    @parameterized.named_parameters(
        ("of_ints", OfInts, [((), "int32")]),
        ("of_two_arguments", OfTwoArguments, [((3,), "float32")] * 2),
    )
    def test_its_refusal_says_what_helps(self, make, kinds):
        inner = make(name="inner")
        inner(*(np.zeros((2, *shape), dtype) for shape, dtype in kinds))
        flags = np.arange(4) < 2
        for incoming in (False, True):
            with self.assertRaisesRegex(ValueError, "into a functional model"):
                NeuronSelection({"hidden": flags}).remove_from(
                    inner, incoming=incoming
                )
        inputs = [keras.Input(shape, dtype=dtype) for shape, dtype in kinds]
        model = keras.Model(inputs, inner(*inputs))
        chosen = NeuronSelection({"inner/hidden": flags})
        kernel = chosen.remove_from(model).layers[-1].out.kernel
        self.assertAllEqual(kernel[:2], np.zeros((2, 2)))
        self.assertNotAllEqual(kernel[2:], np.zeros((2, 2)))

    def test_says_how_to_make_it_cloned(self):
        model = NotCloned(print)
        model(np.ones((2, 3)))
        chosen = NeuronSelection({"hidden": np.ones(4, bool)})
        with self.assertRaisesRegex(ValueError, "a `get_config` with all"):
            chosen.remove_from(model)


if __name__ == "__main__":
    tf.test.main()
