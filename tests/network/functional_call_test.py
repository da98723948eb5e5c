import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers, ops

from modularity_tf.network import functional_call


def two_layers():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, activation="tanh", name="a"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, name="b"),
        ],
    )


class FunctionalCallTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        keras.utils.set_random_seed(0)
        self.model = two_layers()
        self.call = functional_call.FunctionalCall(self.model)
        self.inputs = np.random.default_rng(0).normal(size=(6, 4))
        self.before = self.model.get_weights()

    def tearDown(self):
        super().tearDown()
        for old, new in zip(self.before, self.model.get_weights(), strict=True):
            self.assertAllEqual(old, new)  # whatever a test did

    def test_values_replace_weights_and_the_others_stay(self):
        kernel_a, bias_a, _, bias_b = self.before
        kernel_b = np.ones((3, 2), "float32")
        outputs = self.call({"b/kernel": tf.constant(kernel_b)}, self.inputs)
        hidden = np.tanh(self.inputs @ kernel_a + bias_a)
        self.assertAllClose(outputs, hidden @ kernel_b + bias_b, atol=1e-5)

    def test_gradients_reach_the_values(self):
        kernel = tf.ones((3, 2))
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(self.call({"b/kernel": kernel}, self.inputs))
        kernel_a, bias_a = self.before[:2]
        hidden = np.tanh(self.inputs @ kernel_a + bias_a).sum(axis=0)
        expected = np.stack([hidden, hidden], axis=1)
        self.assertAllClose(tape.gradient(loss, kernel), expected, atol=1e-5)

    def test_parts_see_values_of_their_own_in_order(self):
        biases = [tf.constant([float(k), 0.0]) for k in range(3)]
        values = [{"b/bias": bias} for bias in biases]
        parts = [self.inputs[:2], self.inputs[2:3], self.inputs[3:]]
        plain = self.model(self.inputs)[:, 0]
        compiled = tf.function(lambda: self.call.call_parts(values, parts))
        for outputs in (self.call.call_parts(values, parts), compiled()):
            shift = outputs[:, 0] - plain
            self.assertAllClose(shift, [0, 0, 1, 2, 2, 2], atol=1e-5)


class DropoutLeftOn(layers.Dropout):
    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


class NoiseLeftOn(layers.GaussianNoise):
    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


class SampledCode(layers.Layer):
    """The sampling of a variational autoencoder, with its metric inside."""

    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(3)
        self.size = keras.metrics.Mean(name="size")

    def call(self, inputs):
        noise = keras.random.normal(ops.shape(inputs), seed=self.seed_generator)
        self.size.update_state(ops.abs(noise))
        return inputs + noise


class UnseededNoise(layers.Layer):
    def call(self, inputs):
        return inputs + keras.random.uniform(ops.shape(inputs))


class WithState(layers.Layer):
    """Changes its state with every call, by a function."""

    def __init__(self, change):
        super().__init__()
        self.change = change
        self.state = self.add_weight((), "ones", trainable=False, name="state")

    def call(self, inputs):
        self.change(self)
        return inputs * self.state


class CachedTranspose(layers.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 3), name="kernel")
        self.transposed = ops.transpose(self.kernel)

    def call(self, inputs):
        return ops.matmul(inputs, ops.transpose(self.transposed))


def with_layer(layer):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, name="first"),
            layer,
            layers.Dense(2, name="last"),
        ],
        name="network",
    )


def whole(call, *layers_of):
    """Returns the weights of some layers, as they are."""
    return {
        path: variable.value
        for path, variable in call.variables.items()
        if path.split("/")[0] in layers_of
    }


class RandomLayersTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.product(
        kind=(DropoutLeftOn, NoiseLeftOn, SampledCode, UnseededNoise),
        how=("eagerly", "compiled", "by_xla"),
    )
    def test_every_call_draws_anew(self, kind, how):
        size = () if kind in (SampledCode, UnseededNoise) else (0.5,)
        model = with_layer(kind(*size))
        keras.utils.set_random_seed(1)  # Keras makes its generator anew
        call = functional_call.FunctionalCall(model)
        values, inputs = whole(call, "last"), tf.ones((5, 4))

        def twice():
            outputs = call.call_parts([values, values], [inputs, inputs])
            return outputs[:5], outputs[5:]

        if how != "eagerly":
            twice = tf.function(
                twice, autograph=False, jit_compile=how != "compiled"
            )
        drawn = [*twice(), *twice()]
        for i, one in enumerate(drawn):
            for other in drawn[:i]:
                self.assertNotAllClose(one, other)

    def test_a_layer_that_is_never_built_is_no_obstacle(self):
        class Spare(layers.Layer):
            def __init__(self):
                super().__init__()
                self.norm = layers.BatchNormalization()

            def call(self, inputs):
                return inputs

        model = with_layer(Spare())
        call, inputs = functional_call.FunctionalCall(model), tf.ones((5, 4))
        self.assertAllClose(call(whole(call, "last"), inputs), model(inputs))

    def test_draws_are_those_of_plain_calls(self):
        inputs, found = tf.ones((5, 4)), []
        for is_plain in (True, False):
            model = with_layer(SampledCode())
            call = functional_call.FunctionalCall(model)
            values = whole(call, "last")
            for _ in range(3):
                outputs = model(inputs) if is_plain else call(values, inputs)
            found.append((outputs, model.layers[1].size.result()))
        self.assertAllClose(*found)

    def test_a_weight_that_inference_updates_is_refused(self):
        change = lambda layer: layer.state.assign_add(1.0)  # noqa: E731
        model = with_layer(WithState(change))
        call = functional_call.FunctionalCall(model)
        with self.assertRaisesRegex(
            ValueError, "'network'.*with_state.*/state"
        ):
            call(whole(call, "last"), tf.ones((5, 4)))

    def test_moving_statistics_stay_where_batches_are_normalized(self):
        class BatchStatistics(layers.BatchNormalization):
            def call(self, inputs, training=False):
                return super().call(inputs, training=True)

        model = with_layer(BatchStatistics())
        call = functional_call.FunctionalCall(model)
        inputs = tf.random.stateless_normal((5, 4), [0, 0])
        before = model.get_weights()
        outputs = call(whole(call, "last"), inputs)
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)
        self.assertAllClose(outputs, model(inputs), atol=1e-5)


class StrategyTest(tf.test.TestCase):
    def test_a_model_of_a_strategy_is_known_outside_of_it(self):
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        with strategy.scope():
            model = with_layer(DropoutLeftOn(0.5))
        call, inputs = functional_call.FunctionalCall(model), tf.ones((5, 4))
        values = whole(call, "last")  # others are read from the model

        def parts():
            return call.call_parts([values, values], [inputs, inputs])

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            outside = tf.function(parts, autograph=False)()
            with strategy.scope():
                inside = strategy.run(tf.function(parts, autograph=False))
        for outputs in (outside, inside):
            self.assertNotAllClose(outputs[:5], outputs[5:])


class UnnoticedWeightsTest(tf.test.TestCase):
    def _message(self, model, *layers_of):
        call = functional_call.FunctionalCall(model)
        step = tf.function(
            lambda inputs: call(whole(call, *layers_of), inputs),
            autograph=False,
        )
        with self.assertRaises(ValueError) as raised:
            step(tf.ones((5, 4)))
        return str(raised.exception)

    def test_a_cached_copy_of_a_weight_is_refused(self):
        message = self._message(
            with_layer(CachedTranspose()), "first", "cached_transpose", "last"
        )
        self.assertIn("['cached_transpose/kernel'], so a mask", message)
        self.assertIn("`layers`", message)

    def test_what_learns_needs_a_way_for_the_gradient(self):
        stop = layers.Lambda(tf.stop_gradient)
        for learns in (False, True):
            call = functional_call.FunctionalCall(
                with_layer(stop), learns=learns
            )
            step = tf.function(
                lambda inputs, call=call: call(
                    whole(call, "first", "last"), inputs
                ),
                autograph=False,
            )
            if not learns:
                step(tf.ones((5, 4)))
                continue
            with self.assertRaisesRegex(ValueError, "'first/kernel'.*stop_"):
                step(tf.ones((5, 4)))

    def test_a_saved_model_inside_is_refused(self):
        folder = tempfile.mkdtemp(dir=self.get_temp_dir())
        with_layer(layers.Identity()).export(folder, verbose=False)
        inputs = keras.Input((4,))
        inner = layers.TFSMLayer(folder, call_endpoint="serve", name="saved")
        model = keras.Model(inputs, layers.Dense(2, name="last")(inner(inputs)))
        self.assertIn("'saved/", self._message(model, "saved", "last"))

    def test_a_layer_that_inference_does_not_call_is_refused(self):
        class TwoHeads(keras.Model):
            def __init__(self):
                super().__init__()
                self.head = layers.Dense(2, name="head")
                self.other = layers.Dense(2, name="other")

            def call(self, inputs, training=False):
                return (self.other if training else self.head)(inputs)

        model = TwoHeads()
        for training in (False, True):
            model(tf.ones((1, 4)), training=training)
        message = self._message(model, "head", "other")
        self.assertIn("['other/kernel', 'other/bias']", message)
        call = functional_call.FunctionalCall(model)
        plain = tf.function(lambda x: call(whole(call, "head"), x))
        self.assertAllClose(plain(tf.ones((5, 4))), model(tf.ones((5, 4))))

    def test_weights_that_loops_and_functions_use_are_noticed(self):
        inputs = keras.Input((4,))
        hidden = layers.LSTM(3, name="first")(layers.Reshape((2, 2))(inputs))
        model = keras.Model(inputs, layers.Dense(2, name="last")(hidden))
        call = functional_call.FunctionalCall(model)
        values = whole(call, "first", "last")
        self.assertLen(values, 5)
        step = tf.function(lambda x: call(values, x), autograph=False)
        self.assertAllClose(step(tf.ones((5, 4))), model(tf.ones((5, 4))))


if __name__ == "__main__":
    tf.test.main()
