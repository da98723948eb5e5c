import functools
import itertools
import os
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.findings import weight_mask
from modularity_tf.masking import (
    find_weights,
    mask_sampling,
    masked_model,
    scored_model,
    weight_scores,
)
from modularity_tf.network import functional_call, model_weights
from tests import forked, small_models

LOSS = "sparse_categorical_crossentropy"


def image_model(seed=0):
    """Returns a small trained-looking CNN with dropout and normalization."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax", name="classifier"),
        ]
    )
    rng = np.random.default_rng(seed)
    model.get_layer("norm").set_weights(
        [rng.uniform(0.5, 1.5, 4) for _ in range(4)]
    )
    return model


def image_data(rows=32):
    rng = np.random.default_rng(1)
    images = rng.normal(size=(rows, 6, 6, 2)).astype("float32")
    return images, rng.integers(0, 3, rows)


def on_two_devices():
    """Trains on one device and on two, in a process that has two."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 6)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, rng.integers(0, 3, 64)))

    def logits(strategy):
        with strategy.scope():
            dense = [
                keras.layers.Dense(
                    units,
                    kernel_initializer=keras.initializers.RandomNormal(
                        seed=units
                    ),
                    name=name,
                )
                for name, units in (("a", 9), ("b", 3))
            ]
            masked = masked_model.MaskedModel(
                keras.Sequential([keras.Input((6,)), *dense]),
                alpha=1e-4,
                num_samples=4,
                seed=1,
            )
            masked.compile(
                loss=keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True
                )
            )
        masked.fit(data.batch(16), epochs=3, verbose=0, shuffle=False)
        np.testing.assert_equal(masked.sampler_state.numpy()[1], 12)
        values = [v.numpy().ravel() for v in masked.mask_logits.values()]
        return np.concatenate(values)

    one = logits(tf.distribute.get_strategy())
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    np.testing.assert_allclose(one, logits(strategy), atol=1e-5)
    np.testing.assert_array_less(0.01, np.ptp(one))
    with strategy.scope():
        model = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(3), NoiseLeftOn(0.1)]
        )
        mask = find_weights.find_weights(
            model,
            (x, model.predict(x, verbose=0)),
            (x[:13], model(x[:13])),
            loss="mse",
            alpha=1e-9,
            initial_keep_probability=0.9,
            steps=4,
            batch_size=16,
            verbose=0,
        )
    np.testing.assert_equal(mask.keep_fraction, 1)


class NoiseLeftOn(keras.layers.GaussianNoise):
    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


def mask_of(model, layer, kept):
    """Returns a mask over the kernel of one layer."""
    kernel = model.get_layer(layer).kernel
    return weight_mask.WeightMask(
        {f"{layer}/kernel": np.full(kernel.shape, kept)}
    )


class MaskedModelTest(parameterized.TestCase, tf.test.TestCase):
    def test_training_changes_the_logits_and_nothing_else(self):
        model = image_model()
        before = model.get_weights()
        masked = masked_model.MaskedModel(
            model, num_samples=2, roles="all", seed=0
        )
        masked.compile(loss=LOSS)
        logits = [v.numpy() for v in masked.mask_logits.values()]
        masked.fit(*image_data(), epochs=2, verbose=0)
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        for old, new in zip(logits, masked.mask_logits.values(), strict=True):
            self.assertTrue(np.all(old != new.numpy()), new.path)

    @parameterized.parameters(True, False)
    def test_flags_of_the_wrapped_model_do_not_matter(self, trainable):
        model = image_model()
        model.trainable = trainable
        masked = masked_model.MaskedModel(model, roles="all")
        expected = list(masked.mask_logits.values())
        self.assertEqual(
            [id(v) for v in masked.trainable_variables],
            [id(v) for v in expected],
        )
        self.assertLen(masked.mask_logits, 6)
        self.assertLen(
            masked.non_trainable_weights, 8 + 2
        )  # + sampler state, alpha

    def test_inference_is_the_model_with_thresholded_weights(self):
        model = image_model()
        masked = masked_model.MaskedModel(model, roles="all")
        rng = np.random.default_rng(2)
        for variable in masked.mask_logits.values():
            variable.assign(rng.normal(size=variable.shape))
        images, _ = image_data()
        twin = image_model()
        for path, variable in masked.mask_logits.items():
            layer, name = path.split("/")
            weight = getattr(twin.get_layer(layer), name)
            weight.assign(weight.numpy() * (variable.numpy() > 0))
        expected = twin.predict(images, verbose=0)
        self.assertAllClose(masked.predict(images, verbose=0), expected)
        subnetwork = masked.weight_mask().apply(model)
        self.assertAllClose(subnetwork.predict(images, verbose=0), expected)

    def test_an_all_ones_mask_is_the_model_and_all_zeros_its_bias(self):
        model = image_model()
        images, _ = image_data()
        masked = masked_model.MaskedModel(model)
        self.assertAllClose(masked(images), model(images))
        head = masked_model.MaskedModel(model, layers=["classifier"])
        head.mask_logits["classifier/kernel"].assign(tf.zeros((64, 3)))
        bias = keras.ops.softmax(model.get_layer("classifier").bias)
        self.assertAllClose(head(images), np.tile(bias, (32, 1)))

    def test_training_runs_in_inference_mode_with_one_mask_a_part(self):
        # Certain masks: dropout or batch statistics would show.
        model = image_model()
        masked = masked_model.MaskedModel(
            model, initial_keep_probability=1 - 1e-9
        )
        images, _ = image_data()
        self.assertAllClose(masked(images, training=True), model(images))

        masked = masked_model.MaskedModel(
            model, initial_keep_probability=0.5, seed=3
        )
        same = np.repeat(images[:1], 9, axis=0)
        rows = masked(same, training=True).numpy()
        cuts = [0, 2, 4, 6, 9]
        for start, stop in itertools.pairwise(cuts):
            self.assertAllClose(
                rows[start:stop], [rows[start]] * (stop - start)
            )
        self.assertLen(np.unique(rows[cuts[:-1]].round(6), axis=0), 4)

    def test_without_samples_half_a_batch_sees_the_thresholded_mask(self):
        model = image_model()
        masked = masked_model.MaskedModel(
            model, num_samples=None, initial_keep_probability=0.7
        )
        logits = masked.mask_logits["classifier/kernel"]
        logits.assign(np.where(np.arange(3) < 2, 1.0, -1.0) + 0 * logits)
        images, _ = image_data(9)
        rows = masked(images, training=True)
        self.assertAllClose(rows[4:], masked(images)[4:])
        self.assertNotAllClose(rows[:4], masked(images)[:4])
        self.assertAllEqual(rows, masked(images, training=True))
        with self.assertRaisesRegex(ValueError, "fewer than the 2 masks"):
            masked.compile(loss="sparse_categorical_crossentropy")
            masked.fit(images, np.zeros(9), batch_size=1)

    def test_warns_of_a_mask_that_is_far_worse_than_the_model(self):
        model = image_model()
        images, _ = image_data()
        labels = np.argmax(model(images), axis=-1)
        data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(32)
        masked = masked_model.MaskedModel(model, num_samples=2, seed=0)
        masked.compile(
            keras.optimizers.Adam(1.0, epsilon=1e-12),
            "sparse_categorical_crossentropy",
        )
        for x, y in ((images, labels), (data, None)):
            masked.reset(alpha=1.0)
            with self.assertWarnsRegex(UserWarning, "mask of .* far worse"):
                masked.fit(x, y, epochs=5, verbose=0)
        masked.reset(alpha=1e-9)  # removes something, but not what is needed
        masked.mask_logits["classifier/kernel"].assign_sub(
            5 * (np.abs(model.get_layer("classifier").kernel) < 1e-3)
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*far worse")
            masked.fit(images, labels, verbose=0)

    @parameterized.parameters(1, 3)
    def test_gradient_is_that_of_the_mean_loss_whatever_the_parts(self, k):
        # Ten rows in k parts: uneven parts must be weighted by their rows.
        model = image_model()
        images, labels = image_data(10)
        masked = masked_model.MaskedModel(
            model, num_samples=k, alpha=0.0, seed=0
        )
        with tf.GradientTape() as tape:
            loss = keras.ops.mean(
                keras.losses.sparse_categorical_crossentropy(
                    labels, masked(images, training=True)
                )
            )
        gradients = tape.gradient(loss, masked.trainable_variables)

        masked.reset(seed=0)
        drawn = masked._training_weights()
        parts = zip(
            drawn,
            mask_sampling.split_batch(images, k),
            mask_sampling.split_batch(labels, k),
            strict=True,
        )
        total = 0.0
        for weights, x, y in parts:
            losses = keras.losses.sparse_categorical_crossentropy(
                y, masked._functional(weights, x)
            )
            total += np.sum(losses)
        self.assertAllClose(loss, total / 10)
        for gradient in gradients:
            self.assertGreater(np.count_nonzero(gradient), 0)

    def test_the_penalty_is_alpha_times_the_sum_of_logits(self):
        masked = masked_model.MaskedModel(image_model(), alpha=0.01)
        total = sum(np.sum(v) for v in masked.mask_logits.values())
        self.assertAllClose(sum(masked.losses), 0.01 * total, rtol=1e-5)

    @parameterized.parameters(1e-4 / 128, 2e-9)
    def test_an_unused_logit_falls_at_the_learning_rate(self, alpha):
        # Adam's usual epsilon would swallow a gradient of alpha.
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(2, name="d")(inputs))
        masked = masked_model.MaskedModel(model, alpha=alpha, seed=0)
        masked.compile(loss="mse")
        start = mask_sampling.logit(0.9)
        x = np.zeros((32, 4), "float32")
        masked.fit(x, np.zeros((32, 2)), batch_size=8, epochs=5, verbose=0)
        fallen = start - masked.mask_logits["d/kernel"].numpy()
        self.assertAllClose(fallen, np.full((4, 2), 20 * 1e-2), rtol=0.02)

    def test_learns_which_weights_a_task_needs(self):
        inputs = keras.Input((6,))
        model = keras.Model(
            inputs, keras.layers.Dense(1, use_bias=False, name="d")(inputs)
        )
        model.set_weights([np.array([3, -3, 3, 1, 1, 1.0]).reshape(6, 1)])
        x = np.random.default_rng(0).normal(size=(512, 6))
        x[:, 3:] = 0.0  # the task never uses the last three
        masked = masked_model.MaskedModel(model, alpha=1e-3, seed=0)
        masked.compile(keras.optimizers.Adam(0.1, epsilon=1e-12), loss="mse")
        masked.fit(x, model.predict(x, verbose=0), epochs=10, verbose=0)
        mask = masked.weight_mask(task="first three")
        self.assertAllEqual(
            mask.values["d/kernel"][:, 0], [True] * 3 + [False] * 3
        )
        self.assertEqual(mask.provenance["task"], "first three")
        self.assertEqual(mask.provenance["steps"], 160)
        self.assertEqual(mask.provenance["alpha"], 1e-3)
        self.assertEqual(mask.provenance["seed"], 0)

    def test_chooses_weights_by_role_and_layer(self):
        model = image_model()

        def paths(**kwargs):
            return list(masked_model.MaskedModel(model, **kwargs).mask_logits)

        kernels = ["conv/kernel", "classifier/kernel"]
        self.assertEqual(paths(), kernels)
        self.assertEqual(paths(layers="conv"), kernels[:1])
        self.assertEqual(paths(roles=["norm_scale"]), ["norm/gamma"])
        self.assertLen(paths(roles="all"), 6)

    def test_a_fixed_mask_holds_and_counts_nowhere(self):
        model = image_model()
        fixed = mask_of(model, "classifier", False)
        masked = masked_model.MaskedModel(model, fixed_mask=fixed, alpha=1.0)
        self.assertEqual(list(masked.mask_logits), ["conv/kernel"])
        self.assertEqual(list(masked.weight_mask().values), ["conv/kernel"])
        expected = mask_sampling.logit(0.9) * 3 * 3 * 2 * 4
        self.assertAllClose(sum(masked.losses), expected)
        bias = keras.ops.softmax(model.get_layer("classifier").bias)
        images, _ = image_data()
        for training in (True, False):
            rows = masked(images, training=training)
            self.assertAllClose(rows, np.tile(bias, (32, 1)))

    def test_saves_to_keras_and_loads_back(self):
        model = image_model()
        fixed = mask_of(model, "classifier", True)
        masked = masked_model.MaskedModel(
            model,
            num_samples=2,
            alpha=1e-3,
            initial_keep_probability=0.7,
            roles=["kernel", "bias"],
            layers=["conv", "classifier"],
            fixed_mask=fixed,
            temperature=np.float64(2.0),
            seed=5,
            name="mine",
        )
        masked.compile(loss=LOSS, metrics=["accuracy"])
        images, labels = image_data()
        masked.fit(images, labels, epochs=2, verbose=0)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = os.path.join(folder, "m.keras")
        masked.save(file)
        loaded = keras.saving.load_model(file)

        config, expected = loaded.get_config(), masked.get_config()
        for name in config:
            if name != "model":
                self.assertEqual(config[name], expected[name], name)
        self.assertEqual(loaded.fixed_mask, fixed)
        self.assertAllClose(loaded(images), masked(images))
        # The next steps are the same: sampler and optimizer came along.
        for model in (masked, loaded):
            model.fit(images, labels, shuffle=False, verbose=0)
        for old, new in zip(
            masked.trainable_variables, loaded.trainable_variables, strict=True
        ):
            self.assertAllClose(old, new)

    def test_the_same_seed_trains_the_same_mask_and_reset_starts_anew(self):
        def made(seed):
            masked = masked_model.MaskedModel(
                image_model(), num_samples=2, seed=seed
            )
            masked.compile(loss=LOSS)
            return masked

        def trained(masked):
            masked.fit(*image_data(), shuffle=False, verbose=0)
            return masked.mask_logits["conv/kernel"].numpy()

        masked = made(1)
        first = trained(masked)
        other = made(2)
        self.assertNotAllClose(first, trained(other), atol=1e-4)
        for model in (masked, other):
            model.reset(seed=1)
            fresh = model.mask_logits["conv/kernel"].numpy()
            self.assertAllClose(
                fresh, np.full_like(fresh, mask_sampling.logit(0.9))
            )
            self.assertAllClose(trained(model), first, atol=1e-7)

    def test_reset_takes_another_penalty(self):
        masked = masked_model.MaskedModel(image_model(), alpha=1e-3, seed=1)
        before = float(sum(masked.losses))
        masked.reset(seed=1, alpha=3e-3)
        self.assertAllClose(float(sum(masked.losses)), 3 * before, rtol=1e-5)
        self.assertEqual(masked.weight_mask().provenance["alpha"], 3e-3)
        with self.assertRaisesRegex(ValueError, "`alpha` must be"):
            masked.reset(alpha=-1.0)

    def test_untrained_twin_masks_fresh_weights_the_same_way(self):
        model = image_model()
        fixed = mask_of(model, "classifier", True)
        masked = masked_model.MaskedModel(
            model, num_samples=2, fixed_mask=fixed, seed=3
        )
        twin = masked.untrained_twin()
        self.assertNotAllClose(
            twin.model.get_layer("conv").kernel, model.get_layer("conv").kernel
        )
        self.assertEqual(twin.fixed_mask, fixed)
        self.assertEqual(twin.mask_logits.keys(), masked.mask_logits.keys())
        self.assertEqual((twin.num_samples, twin.seed), (2, 3))

    def test_accumulated_gradients_are_those_of_the_larger_batch(self):
        # One sample at a time, for models whose K copies do not fit.
        images, labels = image_data(8)
        model = image_model()

        def trained(batch_size, accumulate):
            masked = masked_model.MaskedModel(
                model, num_samples=1, initial_keep_probability=1 - 1e-7, seed=0
            )
            masked.compile(
                keras.optimizers.SGD(
                    0.1, gradient_accumulation_steps=accumulate
                ),
                loss="sparse_categorical_crossentropy",
            )
            masked.fit(images, labels, batch_size, shuffle=False, verbose=0)
            return [v.numpy() for v in masked.mask_logits.values()]

        self.assertAllClose(trained(8, None), trained(2, 4), atol=1e-6)

    def test_two_devices_train_as_one(self):
        done = forked.run("tests.masking.masked_model_test:on_two_devices")
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])

    def test_works_with_tf_data_evaluate_callbacks_and_joined_steps(self):
        images, labels = image_data(40)
        data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
        masked = masked_model.MaskedModel(image_model(), num_samples=2, seed=0)
        masked.compile(loss=LOSS, metrics=["accuracy"], steps_per_execution=5)
        seen = []
        history = masked.fit(
            data,
            validation_data=data,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_epoch_end=lambda epoch, logs: seen.append(epoch)
                )
            ],
        )
        self.assertEqual(seen, [0, 1])
        self.assertIn("val_accuracy", history.history)
        self.assertEqual(int(masked.sampler_state[1]), 10)
        self.assertEqual(int(masked.optimizer.iterations), 10)
        result = masked.evaluate(data, verbose=0, return_dict=True)
        accuracy = np.mean(np.argmax(masked(images), -1) == labels)
        self.assertAllClose(result["accuracy"], accuracy)

    def test_several_inputs_and_outputs(self):
        a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
        joined = keras.layers.Concatenate()([a, b])
        outputs = {
            "x": keras.layers.Dense(2, name="x")(joined),
            "y": keras.layers.Dense(1, name="y")(joined),
        }
        model = keras.Model({"a": a, "b": b}, outputs)
        masked = masked_model.MaskedModel(model, seed=0)
        masked.compile(loss={"x": "mse", "y": "mse"})
        x = {"a": np.ones((9, 3)), "b": np.ones((9, 2))}
        y = {"x": np.ones((9, 2)), "y": np.ones((9, 1))}
        masked.fit(x, y, batch_size=9, verbose=0)
        self.assertEqual(masked(x, training=True)["x"].shape, (9, 2))

    def test_summary_shows_the_fraction_kept(self):
        masked = masked_model.MaskedModel(image_model())
        kernel = masked.mask_logits["classifier/kernel"]
        kernel.assign(np.repeat([[1.0, 1.0, -1.0]], 64, axis=0))
        lines = []
        masked.summary(print_fn=lines.append)
        self.assertRegex(lines[0], r"classifier/kernel +64x3 +66.67% kept")
        self.assertRegex(lines[0], r"all masked weights +264 +75.76% kept")

    def test_default_optimizer_is_the_papers(self):
        masked = masked_model.MaskedModel(image_model())
        masked.compile(loss=LOSS)
        self.assertIsInstance(masked.optimizer, keras.optimizers.Adam)
        self.assertAllClose(masked.optimizer.learning_rate, 1e-2)
        self.assertEqual(masked.optimizer.global_clipnorm, 1.0)
        self.assertLess(masked.optimizer.epsilon, 1e-10)

    def test_mixed_precision_trains(self):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(3, dtype="mixed_float16", name="d"),
            ]
        )
        masked = masked_model.MaskedModel(model, alpha=0.0, seed=0)
        masked.compile(loss="mse")
        before = masked.mask_logits["d/kernel"].numpy()
        masked.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
        self.assertEqual(masked(np.ones((8, 4))).dtype, "float16")
        after = masked.mask_logits["d/kernel"]
        self.assertEqual(after.dtype, "float32")
        self.assertNotAllClose(after, before)

    @parameterized.named_parameters(
        ("alpha", {"alpha": -1.0}, "`alpha` must be .* at least 0, got -1.0"),
        ("alpha_nan", {"alpha": np.nan}, "`alpha` must be a finite number"),
        ("samples", {"num_samples": 0}, "`num_samples` must be .* got 0"),
        ("keep", {"initial_keep_probability": 1.0}, "in .0, 1., got 1.0"),
        ("temperature", {"temperature": 0.0}, "`temperature` must be"),
        ("role", {"roles": ["weights"]}, "'weights'; known are"),
        ("layer", {"layers": ["conv9"]}, "'conv9'"),
        ("nothing", {"roles": ["embedding"]}, "left to mask"),
        ("seed", {"seed": -1}, "`seed` must be"),
    )
    def test_refuses(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            masked_model.MaskedModel(image_model(), **kwargs)

    def test_refuses_an_unbuilt_model(self):
        with self.assertRaisesRegex(ValueError, "must be built"):
            masked_model.MaskedModel(keras.Sequential([keras.layers.Dense(2)]))

    def test_refuses_a_fixed_mask_of_another_model(self):
        mask = weight_mask.WeightMask({"other/kernel": np.ones((2, 2), bool)})
        with self.assertRaisesRegex(ValueError, "no weight 'other/kernel'"):
            masked_model.MaskedModel(image_model(), fixed_mask=mask)

    @parameterized.parameters((3, 32), (33, 32), (20, 3))
    def test_refuses_batches_smaller_than_the_samples(self, rows, batch_size):
        masked = masked_model.MaskedModel(image_model(), num_samples=4)
        masked.compile(loss=LOSS)
        with self.assertRaisesRegex(
            ValueError, "fewer than the `num_samples`=4"
        ):
            masked.fit(*image_data(rows), batch_size=batch_size, verbose=0)

    def test_trains_on_a_gpu(self):
        if not tf.config.list_physical_devices("GPU"):
            self.skipTest("needs a GPU")
        masked = masked_model.MaskedModel(image_model(), seed=0)
        masked.compile(loss=LOSS, jit_compile=True)
        masked.fit(*image_data(), verbose=0)
        kernel = masked.mask_logits["conv/kernel"]
        self.assertIn("GPU", kernel.value.device)


class LoraAndQuantizedTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters("kernels", "all")
    def test_a_mask_over_a_model_with_lora_is_the_kernels(self, roles):
        model = small_models.adapted()
        weights = model_weights.chosen_weights(model, roles)
        has_adapters = any("lora" in path for path in weights)
        self.assertEqual(has_adapters, roles == "all")
        rng = np.random.default_rng(0)
        values = {
            path: rng.random(weight.variable.shape) < 0.5
            for path, weight in weights.items()
        }
        inputs = rng.normal(size=(3, 4, 4, 2)).astype("float32")
        call = functional_call.FunctionalCall(model)
        masked = {
            p: tf.where(v, weights[p].variable.value, 0)
            for p, v in values.items()
        }
        alone = weight_mask.WeightMask(values).apply(model)
        self.assertAllClose(alone(inputs), call(masked, inputs), atol=1e-5)
        self.assertNotAllClose(alone(inputs), model(inputs), atol=1e-2)

    @parameterized.parameters("int8", "int4")
    def test_a_quantized_kernel_is_refused_and_others_are_not(self, kind):
        model = small_models.adapted(kind)
        for make in (
            masked_model.MaskedModel,
            scored_model.ScoredModel,
            functools.partial(weight_scores.weight_scores, method="magnitude"),
        ):
            with self.assertRaisesRegex(
                ValueError, "'dense/kernel': 'int8', 'last/kernel': .*`layers`"
            ):
                make(model)
        masked = masked_model.MaskedModel(model, roles="all", layers="conv")
        self.assertEqual([*masked.mask_logits], ["conv/kernel", "conv/bias"])


class GatesTest(parameterized.TestCase, tf.test.TestCase):
    """Weights of a unit that share a logit."""

    @parameterized.parameters(None, 2)
    def test_what_is_learned_is_what_apply_does(self, num_samples):
        model, (x, y) = image_model(), image_data()
        gated = masked_model.MaskedModel(
            model, groups="units", num_samples=num_samples, alpha=0.1
        )
        self.assertEqual(
            {p: tuple(v.shape) for p, v in gated.mask_logits.items()},
            {"conv": (4,)},
        )
        gated.compile(keras.optimizers.Adam(0.3, epsilon=1e-12), LOSS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of its quality
            gated.fit(x, y, epochs=12, verbose=0)
        logits = gated.mask_logits["conv"].numpy()
        self.assertGreater(np.ptp(logits), 0.0)  # by the loss, not only alpha
        gated.mask_logits["conv"].assign(logits - np.sort(logits)[1])  # two off
        found = gated.neuron_selection("digits")
        self.assertAllEqual(
            found.values["conv"], gated.mask_logits["conv"].numpy() > 0
        )
        self.assertEqual(found.values["conv"].sum(), 2)
        self.assertEqual(found.provenance["task"], "digits")
        for alone in (found, gated.weight_mask()):
            self.assertAllClose(alone.apply(model)(x), gated(x), atol=1e-6)
        # Off by hand: channels that put out 0 behind their normalization.
        features = model.get_layer("norm")(model.get_layer("conv")(x))
        features = np.where(found.values["conv"], features, 0.0)
        expected = model.get_layer("classifier")(features.reshape(len(x), -1))
        self.assertAllClose(gated(x), expected, atol=1e-5)
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "gated.keras")
            gated.save(file)
            again = keras.saving.load_model(file)
        self.assertEqual(again.groups, "units")
        self.assertAllClose(again(x), gated(x))

    def test_each_gate_has_a_gradient_in_both_halves(self):
        model, (x, y) = image_model(), image_data()
        gated = masked_model.MaskedModel(
            model, groups="units", num_samples=None
        )
        with tf.GradientTape() as tape:
            outputs = gated(x, training=True)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(y, outputs)
            )
        slopes = tape.gradient(loss, gated.mask_logits["conv"].value)
        self.assertGreater(np.min(np.abs(slopes)), 0.0)

    def test_a_fixed_mask_stays(self):
        model, (x, _) = image_model(), image_data()
        fixed = mask_of(model, "conv", True)
        flags = np.array(fixed.values["conv/kernel"])
        flags[0] = False
        fixed = weight_mask.WeightMask({"conv/kernel": flags})
        gated = masked_model.MaskedModel(
            model, groups="units", fixed_mask=fixed, num_samples=1
        )
        gated.mask_logits["conv"].assign([50.0, 50.0, 50.0, -50.0])
        kept = gated.neuron_selection()
        expected = kept.apply(fixed.apply(model))(x)
        for training in (False, True):
            found = gated(x, training=training)
            self.assertAllClose(found, expected, atol=1e-5)

    def test_says_what_has_no_gates(self):
        inputs = keras.Input((4, 6, 2))
        x = keras.layers.ConvLSTM1D(3, 2, name="moving")(inputs)
        x = keras.layers.Dense(4, name="hidden")(keras.layers.Flatten()(x))
        model = keras.Model(inputs, keras.layers.Dense(2)(x))
        with self.assertWarnsRegex(UserWarning, "'moving'.*ConvLSTM1D"):
            gated = masked_model.MaskedModel(model, groups="units")
        self.assertEqual([*gated.mask_logits], ["hidden"])
        with self.assertRaisesRegex(ValueError, "'moving'.*can't be shut off"):
            masked_model.MaskedModel(model, groups="units", layers="moving")

    def test_refuses_other_groups_and_a_selection_of_no_gates(self):
        model = image_model()
        with self.assertRaisesRegex(ValueError, "`groups`.*'heads'"):
            masked_model.MaskedModel(model, groups="heads")
        with self.assertRaisesRegex(ValueError, "a logit for each weight"):
            masked_model.MaskedModel(model).neuron_selection()


if __name__ == "__main__":
    tf.test.main()
