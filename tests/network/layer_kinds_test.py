import itertools

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.findings.neuron_selection import NeuronSelection
from modularity_tf.network import activations, layer_kinds, unit_flow


class KindsTest(parameterized.TestCase, tf.test.TestCase):
    def test_every_kind_is_there_in_all_dimensions(self):
        """A list with 1-D and 2-D layers has the 3-D one, too, if Keras has."""
        for name, kinds in vars(layer_kinds).items():
            if not name.isupper() or name.endswith("OPS"):
                continue
            names = {getattr(kind, "__name__", "") for kind in kinds}
            for kind in names:
                stem, is_flat, rest = kind.partition("2D")
                others = {f"{stem}{d}D{rest}" for d in "123" if is_flat}
                there = {o for o in others if hasattr(keras.layers, o)}
                self.assertEmpty(there - names, name)

    @parameterized.named_parameters(
        ("cropping_1d", layers.Cropping1D(1), 1),
        ("cropping_2d", layers.Cropping2D(((1, 0), (0, 1))), 2),
        ("cropping_3d", layers.Cropping3D(1), 3),
        ("center_crop", layers.CenterCrop(2, 2), 2),
        ("idle", layers.SpatialDropout2D(0.5), 2),
        ("permute", layers.Permute((2, 1, 3)), 2),
        ("repeat", layers.RepeatVector(2), 0),
        ("resizing", layers.Resizing(3, 3), 2),
        ("spatial_dropout_1d", layers.SpatialDropout1D(0.5), 1),
        ("upsampling_1d", layers.UpSampling1D(2), 1),
        ("upsampling_2d", layers.UpSampling2D(2), 2),
        ("upsampling_3d", layers.UpSampling3D(2), 3),
        ("zero_padding_1d", layers.ZeroPadding1D((0, 2)), 1),
        ("zero_padding_2d", layers.ZeroPadding2D(1), 2),
        ("zero_padding_3d", layers.ZeroPadding3D(1), 3),
        ("global_average", layers.GlobalAveragePooling1D(), 1),
    )
    def test_units_are_followed_through(self, between, rank):
        """To the activation behind it, and to the layer that reads them."""
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,) * rank + (2,))
        x = layers.Dense(3, name="units")(inputs)
        x = layers.ReLU(name="relu")(between(x))
        out = layers.Dense(2, name="out")(layers.Flatten()(x))
        model = keras.Model(inputs, out)
        self.assertTrue(
            layer_kinds.keeps_units(between)
            or isinstance(between, layer_kinds.ONE_BY_ONE)
        )
        rng = np.random.default_rng(0)
        data = rng.normal(size=(4, *inputs.shape[1:])).astype("float32")
        watch = activations.ActivationModel(model)
        activated = keras.Model(inputs, x)(data)
        self.assertAllClose(watch(data)["units"], activated)
        flow = unit_flow.follow(model, activations.trace(model))
        self.assertEmpty(flow.mixed)
        (reading,) = flow.readings
        rows = reading.of({"units": np.arange(3) == 1})[:, 0]
        self.assertAllEqual(rows, np.arange(len(rows)) % 3 == 1)

    @parameterized.parameters(
        *itertools.permutations((1, 2)), *itertools.permutations((1, 2, 3))
    )
    def test_every_permute_is_followed_right_or_refused(self, *order):
        """All axes are of one size, so that no shape tells them apart."""
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,) * len(order))
        units = layers.Dense(3, name="units")(inputs)
        x = layers.Permute(order, name="turn")(units)
        pool = (layers.MaxPooling1D, layers.MaxPooling2D)[len(order) - 2]
        x = layers.ReLU(name="relu")(pool(2, 1)(x))
        out = layers.Dense(2, name="out")(layers.Flatten()(x))
        model = keras.Model(inputs, out)
        data = np.random.default_rng(0).normal(size=(4, *inputs.shape[1:]))
        stays = order[-1] == len(order)
        found = activations.ActivationModel(model)(data)["units"]
        end = model.get_layer("relu").output if stays else units
        self.assertAllClose(found, keras.Model(inputs, end)(data))
        chosen = NeuronSelection({"units": np.arange(3) == 1})
        zeroed = keras.Model(inputs, units)(data) * [1.0, 0.0, 1.0]
        expected = keras.Model(units, out)(zeroed)
        if stays:
            without = chosen.remove_from(model)
        else:
            with self.assertRaisesRegex(ValueError, "reach 'turn' .Permute."):
                chosen.remove_from(model)
            without = (~chosen).apply(model)
        self.assertAllClose(without(data), expected, atol=1e-5)
        small = (~chosen).shrink(model, inputs=data).model
        self.assertAllClose(small(data), expected, atol=1e-5)

    def test_a_permute_that_moves_the_last_axis_keeps_no_unit(self):
        self.assertFalse(layer_kinds.keeps_units(layers.Permute((2, 1))))
        self.assertFalse(layer_kinds.keeps_units(layers.Reshape((2, 2))))
        inputs = keras.Input((3, 2))
        x = layers.Permute((2, 1))(layers.Dense(4, name="units")(inputs))
        model = keras.Model(inputs, layers.Dense(2, name="out")(x))
        flow = unit_flow.follow(model, activations.trace(model))
        self.assertIn("Permute", flow.mixed["units"])


if __name__ == "__main__":
    tf.test.main()
