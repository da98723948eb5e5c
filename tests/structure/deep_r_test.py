import copy
import itertools
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import layers
from modularity_tf.structure import deep_r

ARGUMENTS = {
    "learning_rate": 0.25,
    "noise": 0.125,
    "temperature": 0.375,
    "l1": 0.03125,
    "wake_strength": 0.5,
    "gentle_wake": False,
    "grow": "gradient",
    "rewire": False,
    "beta_1": 0.75,
    "beta_2": 0.875,
    "epsilon": 0.0625,
    "seed": 7,
    "name": "links",
}
ROWS = 8


def make_model(connections=20, dtype=None, seed=3, steps=1, **kwargs):
    """Returns a compiled model; its weights at the start are always the same.

    Compiled without XLA, whose order of sums would differ.
    """
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.SparseDense(
                8,
                connections,
                activation="tanh",
                kernel_initializer=keras.initializers.GlorotUniform(1),
                seed=2,
                dormant_gradients=kwargs.get("grow") == "gradient",
                dtype=dtype,
                name="sparse",
            ),
            keras.layers.Dense(
                1, kernel_initializer=keras.initializers.GlorotUniform(4)
            ),
        ]
    )
    settings = {"learning_rate": 0.05, "noise": 0.05, "seed": seed, **kwargs}
    model.compile(
        deep_r.DeepR(keras.optimizers.Adam(0.01), **settings),
        "mse",
        steps_per_execution=steps,
        jit_compile=False,
    )
    return model


def make_right_inputs(**kwargs):
    """Returns a model that `fit` asks for inputs 0 to 2; not compiled."""
    layer = layers.SparseDense(1, 3, use_bias=False, seed=1, **kwargs)
    model = keras.Sequential([keras.Input((10,)), layer])
    layer.sign.assign(tf.ones((10, 1)))
    return model


def fit(model, first, last, callbacks=(), scale=1.0):
    """Trains steps `first` to `last`; a batch depends on its number alone.

    With `scale=0` the target is 0, so that connections die all the time.
    """

    def batch(step):
        step = tf.cast(step, tf.int32)
        x = tf.random.stateless_normal((ROWS, 10), tf.stack([step, 0]))
        return x, scale * tf.reduce_sum(x[:, :3], axis=1, keepdims=True)

    data = tf.data.Dataset.range(first, last).map(batch)
    model.fit(data, shuffle=False, verbose=0, callbacks=list(callbacks))


def state_of(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [variable.numpy() for variable in variables]


class Invariants(keras.callbacks.Callback):
    """Checks the connections after each step; remembers which have woken."""

    def __init__(self, test, count):
        super().__init__()
        self.test, self.count = test, count
        self.steps, self.has_woken = 0, False

    def on_train_begin(self, logs=None):
        self.layer = self.model.get_layer("sparse")
        self.signs = self.layer.sign.numpy()
        self.strength = self.layer.connection_strength.numpy()

    def on_train_batch_end(self, batch, logs=None):
        strength = self.layer.connection_strength.numpy()
        active = strength > 0
        self.test.assertEqual(active.sum(), self.count)
        self.test.assertAllEqual(strength[~active], np.zeros(80 - self.count))
        self.test.assertAllEqual(self.layer.sign.numpy(), self.signs)
        for moment in self.model.optimizer._moments[0]:
            self.test.assertAllEqual(moment.numpy()[~active], strength[~active])
        # Who has just woken is as young as can be.
        born = active & (self.strength == 0)
        self.test.assertFalse(
            self.model.optimizer._moments[0][2].numpy()[born].any()
        )
        self.has_woken |= born
        self.strength = strength
        self.steps += 1


class DeepRTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    @parameterized.named_parameters(
        ("one", 1, "random"),
        ("quarter", 20, "gradient"),
        ("all_but_one", 79, "random"),
        ("all", 80, "gradient"),
    )
    def test_invariants_hold_after_each_of_200_steps(self, count, grow):
        model = make_model(count, grow=grow)
        check = Invariants(self, count)
        fit(model, 0, 200, [check], scale=0.0)
        self.assertEqual(check.steps, 200)
        if count < 80:
            self.assertGreater(int(model.optimizer.rewired), 10)
        else:
            self.assertEqual(int(model.optimizer.rewired), 0)

    def test_every_connection_wakes_some_time(self):
        layer = layers.SparseDense(8, 20, seed=0)
        layer.build((None, 10))
        strength = layer.connection_strength
        optimizer = deep_r.DeepR("sgd", learning_rate=10.0, seed=1)
        optimizer.build(layer.trainable_variables)

        @tf.function(autograph=False)
        def step():  # all die
            optimizer.apply([tf.ones((10, 8))], [strength])
            return strength.value > 0

        woken = [step().numpy() for _ in range(200)]
        self.assertAllEqual(np.sum(woken, axis=(1, 2)), [20] * 200)
        # A given connection does not wake in a step with probability 3 / 4;
        # any of the 80 never does in 200 with less than 80 * 0.75^200 = 1e-23.
        self.assertTrue(np.all(np.any(woken, axis=0)))

    def test_a_woken_connection_does_not_jump(self):
        layer = layers.SparseDense(8, 20, use_bias=False, seed=0)
        layer.build((None, 10))
        strength = layer.connection_strength
        start = strength.numpy()
        weak = (start > 0) & (np.cumsum(start > 0).reshape(10, 8) % 2 == 0)
        strength.assign(np.where(weak, 1e-4, start > 0))
        optimizer = deep_r.DeepR("sgd", learning_rate=0.01, seed=1)
        optimizer.build(layer.trainable_variables)
        optimizer.apply([tf.ones((10, 8))], [strength])
        woken = strength.numpy() == np.float32(1e-3)
        self.assertEqual(woken.sum(), 10)
        optimizer.apply([-tf.ones((10, 8))], [strength])
        self.assertAllClose(strength.numpy()[woken], np.full(10, 2e-3))
        # Adam's step from 0.99: a mean of -0.01 / 0.19, a root of 1.
        stayed = (start > 0) & ~weak
        self.assertAllClose(
            strength.numpy()[stayed], np.full(10, 0.99 + 1e-4 / 0.19)
        )

    def test_growing_by_gradient_needs_the_gradients(self):
        model = make_model()
        model.compile(deep_r.DeepR("adam", grow="gradient"), "mse")
        with self.assertRaisesRegex(
            ValueError, "dormant_gradients=True.*sparse/connection_strength"
        ):
            fit(model, 0, 1)

    def test_the_right_inputs_grow_first_by_gradient(self):
        model = make_right_inputs(dormant_gradients=True)
        layer, seen = model.layers[0], []
        layer.connection_strength.assign(np.eye(10)[5:8].sum(0)[:, None] * 1e-3)
        optimizer = deep_r.DeepR("adam", learning_rate=0.02, grow="gradient")
        model.compile(optimizer, "mse", run_eagerly=True)
        watch = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.extend(
                np.flatnonzero(layer.kernel)
            )
        )
        fit(model, 0, 30, [watch])
        self.assertGreaterEqual(int(optimizer.rewired), 2)
        self.assertContainsSubset(set(seen), {0, 1, 2, 5, 6, 7})

    def test_counts_what_has_moved(self):
        model = make_model(20)
        layer, active = model.get_layer("sparse"), []

        def record(batch, logs):
            active.append(layer.connection_strength.numpy() > 0)

        record(0, None)
        watch = keras.callbacks.LambdaCallback(on_train_batch_end=record)
        fit(model, 0, 30, [watch])
        self.assertLen(active, 31)
        moved = sum((b & ~a).sum() for a, b in itertools.pairwise(active))
        self.assertGreater(moved, 0)
        self.assertEqual(int(model.optimizer.rewired), moved)

    def test_without_rewiring_connections_stay(self):
        model = make_model(20, rewire=False)
        layer = model.get_layer("sparse")
        before = layer.connection_strength.numpy()
        fit(model, 0, 100)
        after = layer.connection_strength.numpy()
        self.assertAllEqual(before > 0, after > 0)
        self.assertNotAllClose(before, after)
        self.assertEqual(int(model.optimizer.rewired), 0)

    def test_many_steps_an_execution_give_the_same(self):
        one, ten = make_model(steps=1), make_model(steps=10)
        fit(one, 0, 40)
        fit(ten, 0, 40)
        for value, other in zip(state_of(one), state_of(ten), strict=True):
            self.assertAllClose(value, other, rtol=0, atol=1e-6)

    def test_another_seed_rewires_in_another_way(self):
        one, again, other = (make_model(seed=seed) for seed in (1, 1, 2))
        for model in (one, again, other):
            fit(model, 0, 20)
        strengths = [
            model.get_layer("sparse").connection_strength.numpy()
            for model in (one, again, other)
        ]
        self.assertAllClose(strengths[0], strengths[1], rtol=0, atol=1e-6)
        self.assertNotAllEqual(strengths[0] > 0, strengths[2] > 0)

    @parameterized.named_parameters(("model", True), ("weights", False))
    def test_goes_on_from_a_file_as_if_not_interrupted(self, whole):
        straight = make_model()
        fit(straight, 0, 20)
        first = make_model()
        fit(first, 0, 10)
        if whole:
            file = os.path.join(self.folder, "m.keras")
            first.save(file)
            resumed = keras.saving.load_model(file)
            resumed.jit_compile = False
        else:
            file = os.path.join(self.folder, "m.weights.h5")
            first.save_weights(file)
            resumed = make_model(seed=99)  # the file knows the seed
            resumed.optimizer.build(resumed.trainable_variables)
            resumed.load_weights(file)
        fit(resumed, 10, 20)
        for value, other in zip(
            state_of(straight), state_of(resumed), strict=True
        ):
            self.assertAllClose(value, other, rtol=0, atol=1e-6)
        self.assertGreater(int(straight.optimizer.rewired), 0)

    def test_a_legacy_file_is_loaded_without_the_optimizer_or_refused(self):
        model, file = make_model(), os.path.join(self.folder, "m.h5")
        fit(model, 0, 2)
        model.compile(model.optimizer, keras.losses.MeanSquaredError())
        with self.assertLogs(level="WARNING"):  # that it is legacy
            model.save(file)
        with self.assertRaisesRegex(ValueError, r"\.h5 file: .*compile=False"):
            keras.saving.load_model(file)
        loaded = keras.saving.load_model(file, compile=False)
        for old, new in zip(
            model.get_weights(), loaded.get_weights(), strict=True
        ):
            self.assertAllEqual(old, new)

    def test_other_variables_are_left_to_the_wrapped_optimizer(self):
        def make_wrapped():
            return keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.01)

        model, plain = make_model(), make_model()
        model.compile(deep_r.DeepR(make_wrapped(), learning_rate=1e-9), "mse")
        plain.compile(make_wrapped(), "mse")
        plain.get_layer("sparse").connection_strength.trainable = False
        fit(model, 0, 5)
        fit(plain, 0, 5)
        for value, other in zip(model.get_weights(), plain.get_weights()):
            self.assertAllClose(value, other, atol=1e-6)
        wrapped = model.optimizer.optimizer
        self.assertEqual(int(wrapped.iterations), 5)
        every = {id(variable) for variable in model.optimizer.variables}
        self.assertContainsSubset([id(v) for v in wrapped.variables], every)

    def test_moving_averages_of_the_wrapped_optimizer_are_taken(self):
        wrapped = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=1.0)
        model = make_model()
        before = model.layers[-1].get_weights()
        model.compile(deep_r.DeepR(wrapped, learning_rate=0.1), "mse")
        fit(model, 0, 5)
        average = wrapped._model_variables_moving_average
        self.assertNotEmpty(average)
        self.assertEqual(len(before), 2)
        for value, expected in zip(
            model.layers[-1].get_weights(), average[-2:]
        ):
            self.assertAllClose(value, expected)

    def test_a_model_may_have_sparse_connections_alone(self):
        model = keras.Sequential(
            [keras.Input((10,)), layers.SparseDense(1, 3, use_bias=False)]
        )
        model.compile(deep_r.DeepR("adam", learning_rate=0.1), "mse")
        fit(model, 0, 20)
        strength = model.layers[0].connection_strength.numpy()
        self.assertEqual(np.count_nonzero(strength), 3)

    def test_trains_in_mixed_precision(self):
        model = make_model(dtype="mixed_float16")
        model.compile(
            keras.optimizers.LossScaleOptimizer(
                deep_r.DeepR("adam", learning_rate=0.05, noise=0.05, seed=1)
            ),
            "mse",
        )
        fit(model, 0, 20)
        strength = model.get_layer("sparse").connection_strength
        self.assertEqual(strength.dtype, "float32")
        self.assertEqual(np.count_nonzero(strength), 20)
        self.assertGreater(int(model.optimizer.inner_optimizer.rewired), 0)

    @parameterized.parameters("random", "gradient")
    def test_trains_in_float64(self, grow):
        floatx = keras.config.floatx()
        self.addCleanup(keras.config.set_floatx, floatx)
        keras.config.set_floatx("float64")
        model = make_model(
            dtype="float64", noise=0.05, temperature=1e-4, grow=grow
        )
        fit(model, 0, 20)
        strength = model.get_layer("sparse").connection_strength
        self.assertEqual(strength.dtype, "float64")
        self.assertEqual(np.count_nonzero(strength), 20)
        self.assertGreater(int(model.optimizer.rewired), 0)

    def test_finds_the_right_inputs(self):
        # The target is the sum of inputs 0 to 2. Of 10 possible connections
        # three are active: at the end those, and they carry the sum.
        model = make_right_inputs()
        layer = model.layers[0]
        optimizer = deep_r.DeepR("adam", learning_rate=0.02, seed=1)
        model.compile(optimizer, "mse")
        fit(model, 0, 400)
        kernel = np.ravel(layer.kernel)
        self.assertAllClose(kernel, [1.0] * 3 + [0.0] * 7, atol=0.1)

    def test_config_keeps_every_argument(self):
        wrapped = keras.optimizers.Adadelta(0.5, rho=0.75)
        config = deep_r.DeepR(wrapped, **ARGUMENTS).get_config()
        self.assertEqual(ARGUMENTS, {key: config[key] for key in ARGUMENTS})
        # Keras lowers the class names of what it reads.
        again = deep_r.DeepR.from_config(copy.deepcopy(config))
        self.assertEqual(again.get_config(), config)
        self.assertEqual(again.optimizer.rho, 0.75)
        self.assertIsNot(again.optimizer, wrapped)

    def test_learning_rates_may_be_schedules(self):
        schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
        optimizer = deep_r.DeepR("sgd", learning_rate=schedule)
        again = keras.optimizers.deserialize(
            keras.optimizers.serialize(optimizer)
        )
        self.assertEqual(
            again.get_config()["learning_rate"]["config"], schedule.get_config()
        )

    @parameterized.named_parameters(("plain", False), ("loss_scaled", True))
    def test_callbacks_change_both_learning_rates_by_the_same_factor(self, top):
        model = make_model()
        optimizer = deep_r.DeepR(keras.optimizers.Adam(0.01), learning_rate=0.2)
        if top:
            scaled = keras.optimizers.LossScaleOptimizer(optimizer)
        model.compile(scaled if top else optimizer, "mse", run_eagerly=True)
        reduce = keras.callbacks.ReduceLROnPlateau(
            "loss", factor=0.5, patience=1, min_delta=1e9
        )
        x, y = np.ones((4, 10)), np.ones((4, 1))
        model.fit(x, y, epochs=3, callbacks=[reduce], verbose=0)
        self.assertAllClose(float(optimizer.learning_rate), 0.05)
        self.assertAllClose(float(optimizer.optimizer.learning_rate), 0.0025)

    def test_both_learning_rates_rise_again_from_0(self):
        optimizer = deep_r.DeepR(keras.optimizers.Adam(0.01), learning_rate=0.2)
        for rate in (0.0, 0.1):
            optimizer.learning_rate = rate
            self.assertAllClose(
                float(optimizer.optimizer.learning_rate), rate / 20
            )

    def test_they_do_so_after_a_save_at_0(self):
        optimizer = deep_r.DeepR(keras.optimizers.Adam(0.01), learning_rate=0.2)
        optimizer.learning_rate = 0.0
        again = keras.optimizers.deserialize(
            keras.optimizers.serialize(optimizer)
        )
        again.learning_rate = 0.1
        self.assertAllClose(float(again.optimizer.learning_rate), 0.005)
        # Of weights alone, the rates at the start tell.
        fresh = deep_r.DeepR(keras.optimizers.Adam(0.01), learning_rate=0.2)
        for rates in (fresh, fresh.optimizer):
            rates._learning_rate.assign(0.0)
        fresh.learning_rate = 0.1
        self.assertAllClose(float(fresh.optimizer.learning_rate), 0.005)

    @parameterized.parameters("frozen", "unread")
    def test_trains_the_rest_where_no_sparse_connection_learns(self, why):
        x = keras.Input((10,))
        sparse = layers.SparseDense(8, 20, seed=1, name="sparse")
        ends = [sparse(x), keras.layers.Dense(1)(x)]
        model = keras.Model(x, ends)
        optimizer = deep_r.DeepR("adam")
        optimizer.build(model.trainable_variables)
        sparse.trainable = why == "unread"
        before = [np.array(v) for v in model.weights]
        model.compile(optimizer, [None, "mse"])
        model.fit(np.ones((4, 10)), [np.ones(4)] * 2, epochs=2, verbose=0)
        moved = [
            not np.array_equal(old, new)
            for old, new in zip(before, model.weights, strict=True)
        ]
        self.assertEqual(moved, [False] * 3 + [True] * 2)
        self.assertEqual(int(optimizer.iterations), 2)

    def test_a_schedule_of_the_other_optimizer_stays_with_a_warning(self):
        schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
        wrapped = keras.optimizers.Adam(schedule, name="mine")
        optimizer = deep_r.DeepR(wrapped, learning_rate=0.2)
        with self.assertWarnsRegex(UserWarning, "'mine' is a schedule"):
            optimizer.learning_rate = 0.1
        self.assertAllClose(float(optimizer.learning_rate), 0.1)
        self.assertAllClose(float(wrapped.learning_rate), 0.1)

    def test_refuses_to_assign_a_negative_learning_rate(self):
        optimizer = deep_r.DeepR("adam", learning_rate=0.2)
        with self.assertRaisesRegex(ValueError, "`learning_rate` .* got -1"):
            optimizer.learning_rate = -1.0
        self.assertAllClose(float(optimizer.optimizer.learning_rate), 0.001)

    def test_refuses_a_model_without_sparse_connections(self):
        model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(1)])
        model.compile(deep_r.DeepR("adam"), "mse")
        with self.assertRaisesRegex(ValueError, "sparse connections, got none"):
            fit(model, 0, 1)

    @parameterized.named_parameters(
        (
            "rate",
            {"learning_rate": -1.0},
            "`learning_rate` must .* at least 0",
        ),
        ("optimizer", {"optimizer": None}, "`optimizer` must .* got None"),
        ("twice", {"optimizer": deep_r.DeepR("sgd")}, "`optimizer` must be"),
        ("rewire", {"rewire": "no"}, "`rewire` must be a bool, got 'no'"),
        ("nan", {"learning_rate": np.nan}, "`learning_rate` .* got nan"),
        (
            "text",
            {"noise": "much"},
            "`noise` must .* at least 0, got 'much'",
        ),
        ("noise", {"noise": -1}, "`noise` must .* at least 0, got -1"),
        (
            "wake",
            {"wake_strength": 0},
            "`wake_strength` must .* above 0, got 0",
        ),
        ("temperature", {"temperature": -1}, "`temperature` must .* got -1"),
        ("l1", {"l1": -1}, "`l1` must .* at least 0, got -1"),
        ("gentle", {"gentle_wake": 1}, "`gentle_wake` must be a bool, got 1"),
        ("grow", {"grow": "fast"}, '`grow` must be "random" or .* got .fast'),
        ("beta_1", {"beta_1": 1.0}, r"`beta_1` must be in \[0, 1\), got 1.0"),
        ("beta_2", {"beta_2": -0.1}, "`beta_2` must be"),
        ("epsilon", {"epsilon": 0}, "`epsilon` must .* above 0, got 0"),
        ("seed", {"seed": -1}, "`seed` must be an int"),
    )
    def test_refuses(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            deep_r.DeepR(**{"optimizer": "adam", **kwargs})


if __name__ == "__main__":
    tf.test.main()
