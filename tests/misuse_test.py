"""Mask training refuses, or warns of, what would give a wrong mask silently."""

import os
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import layers
from modularity_tf.masking import masked_model, scored_model
from modularity_tf.structure import sparse_dense


def linear():
    """Returns a model of one layer, "d", of 4 x 2 weights."""
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, name="d")]
    )


class RefusalsTest(parameterized.TestCase, tf.test.TestCase):
    """What would train, and give a mask that means nothing."""

    def masked(self, optimizer=None, **kwargs):
        masked = masked_model.MaskedModel(linear(), seed=0, **kwargs)
        masked.compile(optimizer, loss="mse", run_eagerly=True)
        return masked

    @parameterized.product(
        run_eagerly=[True, False], steps_per_execution=[1, 4]
    )
    def test_stops_at_the_first_nan(self, run_eagerly, steps_per_execution):
        x, y = np.ones((64, 4), "float32"), np.ones((64, 2), "float32")
        x[19, 1] = np.nan
        masked = masked_model.MaskedModel(linear(), seed=0)
        masked.compile(
            loss="mse",
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )
        with self.assertRaisesRegex(ValueError, "The loss .* is nan at batch"):
            masked.fit(x, y, batch_size=8, shuffle=False, verbose=0, epochs=9)
        self.assertLess(int(masked.optimizer.iterations), 9)  # of 72
        for call in (
            masked.weight_mask,
            lambda: masked.fit(x, y, verbose=0),
            lambda: masked.summary(print_fn=str),
        ):
            with self.assertRaisesRegex(ValueError, "'d/kernel' is NaN or inf"):
                call()
        masked.reset(seed=0)
        masked.fit(x[:16], y[:16], batch_size=8, verbose=0)
        self.assertEqual(masked.weight_mask().keep_fraction, 1.0)

    def test_callbacks_of_the_user_are_called_all_the_same(self):
        x, seen = np.ones((8, 4)), []
        note = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append(epoch)
        )
        masked = self.masked()
        given = keras.callbacks.CallbackList([note], model=masked)
        for callbacks in (note, [note], given):
            masked.fit(x, x[:, :2], verbose=0, callbacks=callbacks)
        self.assertEqual(seen, [0, 0, 0])
        with self.assertRaisesRegex(ValueError, "The loss .* is nan"):
            masked.fit(x * np.nan, x[:, :2], verbose=0, callbacks=given)

    @parameterized.parameters(np.nan, np.inf)
    def test_refuses_a_network_of_nan(self, value):
        masked = self.masked()
        masked.model.get_layer("d").bias.assign([0.0, value])
        with self.assertRaisesRegex(ValueError, "bias' is NaN or infinite"):
            masked.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)

    @parameterized.parameters(np.nan, np.inf, -0.1)
    def test_refuses_a_learning_rate(self, rate):
        masked = self.masked(keras.optimizers.Adam(0.1))
        masked.optimizer.learning_rate = rate
        with self.assertRaisesRegex(ValueError, "`learning_rate` must be"):
            masked.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)

    @parameterized.parameters((None,), ({},), ("",))
    def test_refuses_to_train_on_the_penalty_alone(self, loss):
        masked = masked_model.MaskedModel(linear())
        with self.assertRaisesRegex(ValueError, "`compile` needs a `loss`"):
            masked.compile("adam", loss)

    @parameterized.named_parameters(
        ("numbers", np.ones(8), np.ones(8)),
        ("targets", np.ones((8, 4)), np.ones(8)),
    )
    def test_refuses_a_dataset_that_is_not_batched(self, *arrays):
        data = tf.data.Dataset.from_tensor_slices(arrays)
        masked = masked_model.MaskedModel(linear())
        masked.compile(loss="mse", metrics=["accuracy"])
        with self.assertRaisesRegex(ValueError, "`x` .* not batched: call"):
            masked.fit(data, verbose=0)

    def test_refuses_to_save_and_export_nan(self):
        masked = self.masked()
        logits = masked.mask_logits["d/kernel"]
        logits.assign(logits.numpy() * np.nan)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        for write, file in (
            (masked.save, "m.keras"),
            (masked.export, "exported"),
        ):
            with self.assertRaisesRegex(ValueError, "'d/kernel' is NaN or inf"):
                write(f"{folder}/{file}")
        self.assertEmpty(os.listdir(folder))

    def test_refuses_to_apply_a_mask_to_the_model_that_learned_it(self):
        masked = self.masked()
        mask = masked.weight_mask()
        with self.assertRaisesRegex(
            ValueError, "`model` is the MaskedModel .* give the model that it"
        ):
            mask.apply(masked)
        mask.apply(masked.model)

    @parameterized.parameters(
        masked_model.MaskedModel, scored_model.ScoredModel
    )
    def test_the_task_on_record_is_a_json_value(self, wrap):
        model = wrap(linear(), seed=0)
        task = model.weight_mask(task=np.int32(3)).provenance["task"]
        self.assertEqual((task, type(task)), (3, int))
        with self.assertRaisesRegex(ValueError, "`task` must be a str or"):
            model.weight_mask(task=np.ones(2))

    def test_refuses_to_mask_the_strengths_of_sparse_connections(self):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                sparse_dense.SparseDense(3, 0.5, name="sparse"),
                keras.layers.Dense(2, name="d"),
            ]
        )
        with self.assertRaisesRegex(ValueError, "'sparse/.*' holds the stren"):
            masked_model.MaskedModel(model)
        masked = masked_model.MaskedModel(model, layers="d")
        self.assertEqual([*masked.mask_logits], ["d/kernel"])
        scored_model.ScoredModel(model)

    def test_a_subclass_may_compute_its_own_loss(self):
        class Own(masked_model.MaskedModel):
            def compute_loss(self, x, y, y_pred, *args, **kwargs):
                return keras.ops.mean(y_pred)

        masked = Own(linear())
        masked.compile(run_eagerly=True)
        masked.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)

    @parameterized.parameters("adam", "Adam")
    def test_the_name_adam_means_the_papers_for_masks(self, name):
        optimizer = self.masked(name).optimizer
        self.assertAllClose(optimizer.learning_rate, 1e-2)
        self.assertLess(optimizer.epsilon, 1e-10)

    @parameterized.named_parameters(
        ("adam", keras.optimizers.Adam, 1e-7, 2e-10, "moves by 0.002 of"),
        ("what_to_set", keras.optimizers.Adam, 1e-7, 2e-8, "epsilon=1e-12`"),
        ("what_to_set_at_most", "adamw", None, 1e-12, "epsilon=1e-14`"),
        (
            "what_to_set_for_rmsprop",
            keras.optimizers.RMSprop,
            1e-12,
            1e-7,
            "epsilon=1e-16`",
        ),
        ("adamw", "adamw", None, 2e-10, "AdamW's epsilon of 1e-07 hides"),
        ("nadam", keras.optimizers.Nadam, 1e-6, 1e-6 / 3, "moves by 0.25 of"),
        ("rmsprop", keras.optimizers.RMSprop, 1e-4, 1e-3, "moves by 0.1 of"),
    )
    def test_warns_of_an_epsilon_that_hides_alpha(
        self, optimizer, epsilon, alpha, message
    ):
        if epsilon:
            optimizer = optimizer(0.01, epsilon=epsilon)
        with self.assertWarnsRegex(UserWarning, message):
            masked = self.masked(optimizer, alpha=alpha)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            masked.reset(alpha=0.1)
            masked.reset(alpha=0.0)
        with self.assertWarnsRegex(UserWarning, message):
            masked.reset(alpha=alpha)

    @parameterized.parameters(
        (None, 1e-9),
        ("adam", 1e-9),
        ("adam", 0.0),
        (keras.optimizers.Adam, 0.0),
        (keras.optimizers.Adam, 1e-6),
        ("sgd", 1e-9),
    )
    def test_other_optimizers_give_no_warning(self, optimizer, alpha):
        optimizer = optimizer() if isinstance(optimizer, type) else optimizer
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.masked(optimizer, alpha=alpha)

    @parameterized.named_parameters(
        ("one", keras.layers.LSTM(2, stateful=True, name="memory")),
        (
            "inside_another",
            keras.layers.Bidirectional(
                keras.layers.GRU(2, stateful=True), name="memory"
            ),
        ),
    )
    def test_refuses_a_stateful_layer_by_name(self, layer):
        inputs = keras.Input(batch_shape=(8, 3, 4))
        model = keras.Model(inputs, layer(inputs))
        with self.assertRaisesRegex(ValueError, "'memory' is stateful"):
            masked_model.MaskedModel(model)

    def test_refuses_to_mask_a_masked_model(self):
        masked = self.masked()
        scored = scored_model.ScoredModel(linear())
        inside = keras.Sequential([keras.Input((4,)), masked])
        for model in (masked, scored, inside):
            with self.assertRaisesRegex(ValueError, r"apply\(model\)` of it"):
                masked_model.MaskedModel(model)

    def test_refuses_to_mask_a_layer_s_own_mask(self):
        model = keras.Sequential(
            [keras.Input((4,)), layers.MaskedDense(2, name="m")]
        )
        for wrap in (masked_model.MaskedModel, scored_model.ScoredModel):
            with self.assertRaisesRegex(
                ValueError, "'m' has a mask of its own"
            ):
                wrap(model)

    @parameterized.parameters("linear", "dict")
    def test_exports_what_it_computes(self, kind):
        model, x = linear(), np.ones((5, 4), "float32")
        if kind == "dict":
            inputs = {"a": keras.Input((4,), name="a")}
            model = keras.Model(inputs, model(inputs["a"]))
            x = {"a": x}
        masked = masked_model.MaskedModel(model)
        masked.compile(loss="mse")
        masked.fit(x, np.ones((5, 2)), verbose=0)
        logits = next(iter(masked.mask_logits.values()))
        logits.assign(np.resize([1.0, -1.0, -1.0], logits.shape))
        folder = self.enterContext(tempfile.TemporaryDirectory())
        masked.export(folder, verbose=False)
        loaded = tf.saved_model.load(folder)
        exported = loaded.serve(x)
        self.assertAllClose(exported, masked(x))
        self.assertNotAllClose(exported, model(x))

    def test_a_subclassed_model_is_exported_with_a_signature(self):
        class Mine(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = keras.layers.Dense(2)

            def call(self, inputs):
                return self.dense(inputs)

        model, x = Mine(), np.ones((3, 4), "float32")
        model(x)
        masked = masked_model.MaskedModel(model)
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with self.assertRaisesRegex(ValueError, "needs an `input_signature`"):
            masked.export(folder, verbose=False)
        signature = [keras.InputSpec(shape=(None, 4), dtype="float32")]
        masked.export(folder, input_signature=signature, verbose=False)
        loaded = tf.saved_model.load(folder)
        exported = loaded.serve(x)
        self.assertAllClose(exported, masked(x))

    @parameterized.product(
        wrap=[masked_model.MaskedModel, scored_model.ScoredModel],
        floatx=["float32", "float64"],
    )
    def test_float64_trains(self, wrap, floatx):
        self.addCleanup(keras.config.set_floatx, "float32")
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy("float64")
        x, y = np.random.default_rng(0).normal(size=(2, 8, 4))
        model = linear()
        masked = wrap(model, seed=0)
        masked.compile("adam", loss="mse")
        masked.fit(x, y[:, :2], verbose=0)
        logits = masked.learned["d/kernel"]
        logits.assign(np.resize([1.0, -1.0, -1.0], logits.shape))
        self.assertEqual(masked(x).dtype, "float64")
        mask = masked.weight_mask()
        self.assertBetween(mask.keep_fraction, 0.01, 0.99)
        self.assertAllClose(masked(x), mask.apply(model)(x), rtol=1e-12)

    @parameterized.parameters(
        ({"alpha": np.inf}, "`alpha` must be a finite number .* got inf"),
        ({"alpha": "1e-6"}, "`alpha` must be a finite number .* got '1e-6'"),
        ({"alpha": True}, "`alpha` must be a finite number .* got True"),
        ({"temperature": np.inf}, "`temperature` must be a finite"),
        ({"temperature": np.nan}, "`temperature` must be a finite"),
        ({"temperature": "1"}, "`temperature` must be .* got '1'"),
        (
            {"initial_keep_probability": "0.9"},
            "`initial_keep_probability` .* '0.9'",
        ),
        (
            {"initial_keep_probability": np.nan},
            "`initial_keep_probability` .* nan",
        ),
        ({"num_samples": 2.0}, "`num_samples` must be .* got 2.0"),
        ({"num_samples": True}, "`num_samples` must be .* got True"),
        ({"roles": []}, r"`roles` must be a name or names, got \[\]"),
        ({"layers": []}, r"`layers` must be a name or names, got \[\]"),
        ({"fixed_mask": "m.npz"}, r"got 'm.npz'; .* `WeightMask.load\(file\)`"),
        ({"fixed_mask": {}}, "`fixed_mask` must be a WeightMask .* got a dict"),
        ({"seed": True}, "`seed` must be an int .* got True"),
        ({"model": None}, "`model` must be a keras.Model, got None"),
        ({"model": "m.keras"}, "`model` must be a keras.Model, got 'm.keras'"),
    )
    def test_refuses_in_one_line(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message) as caught:
            masked_model.MaskedModel(**{"model": linear(), **kwargs})
        self.assertNotIn("\n", str(caught.exception))

    def test_reset_refuses_what_the_constructor_refuses(self):
        masked = self.masked(alpha=1e-3)
        for alpha in (np.inf, np.nan, "1", True):
            with self.assertRaisesRegex(ValueError, "`alpha` must be a finite"):
                masked.reset(alpha=alpha)
        self.assertEqual(masked.alpha, 1e-3)

    @parameterized.parameters(
        ({"batch_size": "8"}, "`batch_size` must be a positive int, got '8'"),
        ({"batch_size": 0}, "`batch_size` must be a positive int, got 0"),
        ({"epochs": "2"}, "`epochs` must be .* got '2'"),
        ({"epochs": 1.5}, "`epochs` must be .* got 1.5"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be .* got 0"),
        ({"x": None}, "`fit` needs `x`"),
        (
            {"x": tf.data.Dataset.range(0).batch(4)},
            "`x` is a dataset without a batch",
        ),
    )
    def test_fit_refuses(self, kwargs, message):
        x = np.ones((8, 4))
        arguments = {"x": x, "y": x[:, :2], "verbose": 0, **kwargs}
        with self.assertRaisesRegex(ValueError, message):
            self.masked().fit(**arguments)

    def test_refuses_to_train_what_is_frozen(self):
        masked = self.masked()
        masked.trainable = False
        with self.assertRaisesRegex(ValueError, "`trainable` .* is `False`"):
            masked.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)

    @parameterized.parameters(set, tuple, iter)
    def test_saves_names_whatever_holds_them(self, hold):
        masked = masked_model.MaskedModel(
            linear(), roles=hold(["kernel", "bias"]), layers=hold(["d"])
        )
        folder = self.enterContext(tempfile.TemporaryDirectory())
        masked.save(f"{folder}/m.keras")
        loaded = keras.saving.load_model(f"{folder}/m.keras")
        self.assertEqual(list(loaded.mask_logits), ["d/kernel", "d/bias"])
        self.assertEqual(loaded.masked_layers, ["d"])

    @parameterized.named_parameters(
        ("known", True, True, "batches of `x` have 2 rows, fewer than the"),
        ("unknown", False, False, "A batch of `x` has fewer rows than the"),
        ("eager", False, True, "A batch of `x` has fewer rows than the"),
    )
    def test_refuses_small_batches_of_a_dataset(self, drop, eager, message):
        x = np.ones((4, 4), "float32")
        data = tf.data.Dataset.from_tensor_slices((x, x[:, :2]))
        masked = masked_model.MaskedModel(linear(), num_samples=4)
        masked.compile(loss="mse", run_eagerly=eager)
        with self.assertRaisesRegex(ValueError, message) as caught:
            masked.fit(data.batch(2, drop_remainder=drop), verbose=0)
        self.assertNotIn("\n", str(caught.exception))

    def test_refuses_small_batches_of_a_generator_and_a_py_dataset(self):
        class Shrinking(keras.utils.PyDataset):
            def __len__(self):
                return 2

            def __getitem__(self, index):
                x = np.ones((8 - 6 * index, 4), "float32")
                return x, x[:, :2]

        data = Shrinking()
        masked = masked_model.MaskedModel(linear(), num_samples=4)
        masked.compile(loss="mse")
        for batches in (data, (data[i] for i in range(2))):
            with self.assertRaisesRegex(ValueError, "has fewer rows than the"):
                masked.fit(batches, shuffle=False, verbose=0)

    def test_another_fault_of_the_data_is_told_as_it_is(self):
        x, labels = np.ones((8, 4), "float32"), np.full(8, 7)
        data = tf.data.Dataset.from_tensor_slices((x, labels)).batch(4)
        masked = masked_model.MaskedModel(linear(), num_samples=4)
        masked.compile(loss="sparse_categorical_crossentropy")
        with self.assertRaisesRegex(
            tf.errors.InvalidArgumentError, "label value of 7"
        ):
            masked.fit(data.repeat(), steps_per_epoch=2, verbose=0)


class FewStepsTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.x, cls.y = np.zeros((32, 4), "float32"), np.zeros((32, 2))
        rows = tf.data.Dataset.from_tensor_slices((cls.x, cls.y))
        cls.data = rows.batch(8)
        cls.endless = cls.data.repeat()
        cls.unknown = rows.filter(lambda x, y: True).batch(8)

    def masked(self, optimizer=None):
        masked = masked_model.MaskedModel(linear(), seed=0)
        masked.compile(optimizer, loss="mse")
        # One step has been traced, and no step is made below.
        masked.make_train_function = lambda: None
        masked.train_function = lambda iterator: {
            "loss": [next(iterator), 0.0][1]
        }
        return masked

    @parameterized.named_parameters(
        ("arrays", lambda t: (t.x, t.y), {"batch_size": 16}, 2),
        ("epochs", lambda t: (t.x, t.y), {"epochs": 3}, 3),
        (
            "a_later_epoch",
            lambda t: (t.x, t.y),
            {"epochs": 9, "initial_epoch": 7},
            2,
        ),
        (
            "split",
            lambda t: (t.x, t.y),
            {"batch_size": 8, "validation_split": 0.25},
            3,
        ),
        ("dataset", lambda t: (t.data,), {"epochs": 2}, 8),
        ("steps", lambda t: (t.endless,), {"steps_per_epoch": 3}, 3),
    )
    def test_warns_with_the_numbers(self, data, kwargs, steps):
        message = (
            f"removes no weight: in {steps} steps with a learning rate of 0.01 "
            f"a logit moves by {steps / 100:.3g} at most.* at 2.2. It takes 220"
        )
        with self.assertWarnsRegex(UserWarning, message):
            self.masked().fit(*data(self), verbose=0, **kwargs)

    @parameterized.named_parameters(
        ("enough", lambda t: (t.data,), {}, {"learning_rate": 0.55}),
        ("unknown", lambda t: (t.unknown,), {}, {}),
        (
            "a_callback_decides",
            lambda t: (t.x, t.y),
            {
                "callbacks": [
                    keras.callbacks.LearningRateScheduler(lambda epoch: 1.0)
                ]
            },
            {},
        ),
        (
            "a_schedule",
            lambda t: (t.x, t.y),
            {},
            {"learning_rate": keras.optimizers.schedules.CosineDecay(1.0, 9)},
        ),
        ("a_higher_rate", lambda t: (t.x, t.y), {}, {"learning_rate": 2.2}),
    )
    def test_is_silent(self, data, kwargs, optimizer):
        optimizer = keras.optimizers.Adam(
            **{"learning_rate": 1e-2, "epsilon": 1e-12, **optimizer}
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "`fit` removes")
            self.masked(optimizer).fit(*data(self), verbose=0, **kwargs)

    def test_counts_the_steps_that_the_optimizer_makes(self):
        adam = keras.optimizers.Adam(0.5, gradient_accumulation_steps=4)
        with self.assertWarnsRegex(UserWarning, "in 4 steps .* takes 5 steps"):
            self.masked(adam).fit(self.data, epochs=4, verbose=0)

    def test_logits_that_fell_before_count(self):
        masked = self.masked()
        kernel = masked.mask_logits["d/kernel"]
        kernel.assign(np.full(kernel.shape, 0.035))
        with self.assertWarnsRegex(UserWarning, "It takes 4 steps"):
            masked.fit(self.x, self.y, batch_size=16, verbose=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "`fit` removes")
            masked.fit(self.data, verbose=0)


if __name__ == "__main__":
    tf.test.main()
