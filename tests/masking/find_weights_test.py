import contextlib
import io
import itertools
import warnings

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import modularity_tf
from modularity_tf.masking.find_weights import find_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6)).astype("float32")
Y = (X[:, 0] - X[:, 1] > 0).astype("float32")[:, None]
# Two inputs decide, the others hardly matter.
KERNEL = np.array([[4.0], [-4.0], [0.1], [-0.1], [0.1], [0.1]], "float32")
NEEDED = [True, True, False, False, False, False]
QUICK = {"steps": 50, "learning_rate": 0.2, "batch_size": 200}
DEFAULT = {"steps": None, "learning_rate": 3e-2, "batch_size": 128}


def classifier(metrics=("accuracy",), compiled=True):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(1, activation="sigmoid", name="out"),
        ],
        name="classifier",
    )
    model.layers[-1].set_weights([KERNEL, np.zeros(1)])
    if compiled:
        model.compile("adam", "binary_crossentropy", metrics=[*metrics])
    return model


def parities():
    """Returns two parities of four bits each, and what the first one needs."""
    hidden, out = np.zeros((8, 8)), np.zeros((8, 2))
    for part in (0, 1):
        own = slice(4 * part, 4 * part + 4)
        hidden[own, own] = 1  # unit j fires where more than j bits are set
        out[own, part] = 8 * np.array([1, -2, 2, -2])
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            keras.layers.Dense(2, name="out"),
        ]
    )
    thresholds = -np.tile(np.arange(4.0), 2)
    model.set_weights([hidden, thresholds, out, np.array([-4.0, -4.0])])
    first = np.arange(8) < 4
    return model, {
        "hidden/kernel": np.outer(first, first),
        "out/kernel": np.outer(first, [True, False]),
    }


def steep_steps(layers=3):
    """Returns a network that passes six bits through steps, and adds two."""
    model = keras.Sequential([keras.Input((6,))])
    for i in range(layers):
        model.add(keras.layers.Dense(12, activation="relu", name=f"steps_{i}"))
        model.add(keras.layers.Dense(6, use_bias=False, name=f"bits_{i}"))
        rise, bits = model.layers[-2:]
        # A step is from .95 to .96: under soft weights of .9 no bit passes.
        thresholds = -np.repeat([95.0, 96.0], 6)
        rise.set_weights([np.tile(100 * np.eye(6), 2), thresholds])
        bits.set_weights([np.concatenate([np.eye(6), -np.eye(6)])])
    model.add(keras.layers.Dense(1, use_bias=False, name="sum"))
    model.layers[-1].set_weights([np.array([[1.0], [1], [0], [0], [0], [0]])])
    return model


def first_output(function):
    """Returns a loss or metric of a model's first output, a logit."""

    def of_first(y, logits):
        return function(y, keras.ops.sigmoid(logits[:, :1]))

    of_first.__name__ = function.__name__
    return of_first


def find(*args, **kwargs):
    """Returns what is found, and the warnings, without progress."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = find_weights(*args, **{"verbose": 0, **QUICK, **kwargs})
    return found, [str(w.message) for w in told if w.category is UserWarning]


class RightOnOnes(keras.metrics.BinaryAccuracy):
    """Twice the recall, by a metric that no config can make again."""

    def __init__(self, factor):
        super().__init__(name="right_accuracy")
        self._factor = factor

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, y_pred, keras.ops.cast(y_true, "float32"))

    def result(self):
        return self._factor * super().result()


class FindWeightsTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = classifier()
        cls.before = [w.numpy() for w in cls.model.weights]
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            cls.found, cls.told = find(cls.model, (X, Y), task="larger one")
        cls.shown = shown.getvalue()

    def test_finds_the_weights_that_decide(self):
        self.assertIsInstance(self.found, modularity_tf.WeightMask)
        kept = self.found.values["out/kernel"][:, 0]
        self.assertAllEqual(kept, NEEDED)

    def test_the_model_is_not_changed(self):
        for weight, before in zip(self.model.weights, self.before, strict=True):
            self.assertAllEqual(weight, before)
        self.assertIsNotNone(self.model.evaluate(X, Y, verbose=0))

    def test_the_mask_is_the_last_of_the_path_that_keeps_95_percent(self):
        told, path = self.found.provenance, self.found.path
        self.assertEqual(path[-1]["alpha"], told["alpha"])
        alphas = [level["alpha"] for level in path]
        self.assertEqual(alphas, sorted(set(alphas)))
        self.assertEqual(path[-1]["keep_fraction"], self.found.keep_fraction)
        for level in path:
            self.assertGreaterEqual(level["on_all_data"], 0.95)
            low, high = level["interval"]
            self.assertBetween(level["on_scale"], low, high)
        # No smaller mask performs: two weights are needed, and it has two.
        self.assertEqual(self.found.keep_fraction, 2 / 6)

    def test_pairs_that_cancel_have_time_to_leave(self):
        # A penalty that grew on a schedule kept 18 weights of pairs here.
        planted = modularity_tf.planted.make_rare_rule(seed=12)
        loss, accuracy = planted.objective(0)
        mask, _ = find(
            planted.model,
            planted.data[0],
            loss=loss,
            metrics=[accuracy],
            layers=planted.layers,
            **DEFAULT,
        )
        found = modularity_tf.planted.score(mask, planted, task=0)
        self.assertEqual(found.recall, 1)
        self.assertGreater(found.precision, 0.8)

    def test_steep_networks_start_again_from_harder_masks(self):
        # From .9 no mask of any penalty performs.
        model = steep_steps()
        bits = (RNG.random((1024, 6)) < 0.5).astype("float32")
        data = (bits, bits[:, :2].sum(axis=1, keepdims=True))
        settings = {"loss": "mse", "metrics": [], **DEFAULT}
        mask, _ = find(model, data, **settings)
        self.assertEqual(mask.provenance["initial_keep_probability"], 0.9975)
        self.assertAllEqual(mask.values["sum/kernel"][:, 0], NEEDED)
        for i in range(3):
            steps = mask.values[f"steps_{i}/kernel"]
            self.assertFalse(steps[2:].any())
            self.assertAllEqual(steps[:2].any(axis=1), [True, True])
        # Another mask of that penalty, as for another task, does as well.
        for key in ("alpha", "initial_keep_probability"):
            settings[key] = mask.provenance[key]
        same, _ = find(model, data, **settings)
        self.assertGreater(same.provenance["scale"]["mask"], 0.95)

    def test_keep_asks_for_a_size_and_alpha_for_a_penalty(self):
        found, told = find(self.model, (X, Y), keep=0.5)
        self.assertEqual(found.keep_fraction, 0.5)
        self.assertAllEqual(found.values["out/kernel"][:2, 0], [True, True])
        self.assertEqual(found.provenance["keep"], 0.5)
        self.assertEqual(
            found.provenance["keep_fractions"], {"out/kernel": 0.5}
        )
        self.assertEqual([t for t in told if "not what the task" in t], [])
        found, told = find(self.model, (X, Y), keep=0.17)  # one of six
        self.assertEqual(found.keep_fraction, 1 / 6)
        self.assertLen([t for t in told if "not what the task" in t], 1)
        self.assertAllClose(found.provenance["health"]["kept"], 1 / 6)

    def test_masks_of_other_sizes_are_cut_without_training(self):
        smaller = self.found.at(keep=1 / 6)
        self.assertEqual(smaller.keep_fraction, 1 / 6)
        self.assertTrue(
            np.all(
                self.found.values["out/kernel"] | ~smaller.values["out/kernel"]
            )
        )
        self.assertEqual(self.found.at(keep=2 / 6), self.found)

    def test_the_record_says_how_it_was_found(self):
        told = self.found.provenance
        self.assertEqual(told["task"], "larger one")
        self.assertEqual(told["performance_is"], "accuracy")
        self.assertStartsWith(told["validation"], "80 of the 400 examples")
        self.assertIn("undecided", told["health"])
        self.found.check_fits(self.model)
        for key in told:
            self.assertIn(f"`{key}`", modularity_tf.find_weights.__doc__)

    def test_the_seed_decides_and_scores_are_the_penalties_of_leaving(self):
        path = "out/kernel"
        again, _ = find(self.model, (X, Y))
        self.assertEqual(again, self.found)
        self.assertEqual([*again.scores], [path])
        scores = again.scores[path][:, 0]
        alpha, first = again.provenance["alpha"], again.path[0]["alpha"]
        self.assertTrue((scores[:2] >= alpha).all())
        self.assertTrue((scores[2:] < alpha).all())
        self.assertLess(scores.min(), first)  # left during the first

    def test_the_reference_is_the_whole_model_wherever_masks_start(self):
        found, _ = find(
            self.model,
            (X, Y),
            (X, Y),
            alpha=0.0,
            initial_keep_probability=0.4,
            steps=2,
        )
        whole = self.model.evaluate(X, Y, verbose=0, return_dict=True)
        self.assertAllClose(found.provenance["reference"], whole["accuracy"])

    def test_refuses_an_accuracy_that_does_not_need_the_weights(self):
        model = classifier()
        model.layers[-1].set_weights([KERNEL, np.array([-50.0])])
        with self.assertRaisesRegex(
            ValueError, r"accuracy of 'classifier' is still 0.99.*metrics=\[\]"
        ):
            find(model, (X, Y), (X, np.arange(400)[:, None] == 0))

    def test_without_accuracy_the_loss_that_is_explained_counts(self):
        model = classifier(metrics=())
        found, _ = find(model, (X, Y), (X[:100], Y[:100]), alpha=1e-3)
        told = found.provenance
        self.assertEqual(told["performance_is"], "share of the loss explained")
        self.assertEqual(told["validation"], "given")
        whole, *_ = [model.evaluate(X[:100], Y[:100], verbose=0)]
        parts = [found.apply(model), (~(found | ~found)).apply(model)]
        left, nothing = (
            float(
                keras.losses.binary_crossentropy(
                    Y[:100].T, part(X[:100]).numpy().T
                )[0]
            )
            for part in parts
        )
        expected = (nothing - left) / (nothing - whole)
        self.assertAllClose(told["performance"], expected, rtol=1e-4)

    def test_a_given_loss_leaves_the_metrics_of_the_model(self):
        found, _ = find(
            self.model, (X, Y), loss="binary_crossentropy", alpha=1e-4, steps=10
        )
        self.assertEqual(found.provenance["performance_is"], "accuracy")
        self.assertEqual(found.provenance["alpha"], 1e-4)

    def test_of_several_outputs_the_worst_decides(self):
        inputs = keras.Input((6,))
        model = keras.Model(
            inputs,
            {
                "aux": keras.layers.Dense(1, "sigmoid", name="aux")(inputs),
                "box": keras.layers.Dense(1, name="box")(inputs),
            },
        )
        model.set_weights([KERNEL, np.zeros(1), KERNEL[::-1], np.zeros(1)])
        labels = {"aux": Y, "box": X @ KERNEL[::-1]}
        model.compile(
            "adam", {"aux": "bce", "box": "mse"}, metrics={"aux": ["accuracy"]}
        )
        found, _ = find(model, (X, labels), alpha=1e-5, steps=10)
        told = found.provenance
        self.assertEqual(
            told["performance_is"],
            "the worst output of aux: accuracy, "
            "box: share of the loss explained",
        )
        self.assertEqual(told["performance"], min(told["by_output"].values()))
        self.assertEqual(told["reference"], 1.0)
        self.assertGreater(told["performance"], 0.95)
        self.assertEqual([*told["by_class"]], ["aux"])
        # What no masked weight changes does not count.
        found, _ = find(model, (X, labels), layers="box", alpha=1e-5, steps=10)
        told = found.provenance
        self.assertEqual([*told["by_output"]], ["box"])
        self.assertEqual(
            told["performance_is"], "share of the loss explained of box"
        )

    def test_the_scale_begins_at_the_most_frequent_label(self):
        told = self.found.provenance
        held_out = np.random.default_rng([0, 1]).permutation(400)[:80]
        share = Y[held_out].mean()
        zero = told["scale"]["zeros"]["output"]
        self.assertAllClose(zero, max(share, 1 - share))
        expected = (told["performance"] - zero) / (told["reference"] - zero)
        self.assertAllClose(told["scale"]["mask"], expected)
        self.assertGreaterEqual(expected, 0.95)
        by_class = told["by_class"]
        self.assertEqual([*by_class], ["0", "1"])
        self.assertEqual(by_class["1"]["count"], Y[held_out].sum())
        right = sum(one["count"] * one["mask"] for one in by_class.values())
        self.assertAllClose(right / 80, told["performance"])

    def test_a_metric_of_the_user_is_neither_replaced_nor_changed(self):
        metric = RightOnOnes(2.0)
        metric.update_state(Y, Y)
        before = [v.numpy() for v in metric.variables]
        model = classifier(metrics=[metric])
        settings = {"alpha": 1e-5, "steps": 10}
        told = [
            find(model, (X, Y), (X, Y), **settings)[0].provenance
            for _ in range(2)
        ]
        expected = np.mean(model.predict(X, verbose=0)[Y == 1] > 0.5)
        for one in told:
            self.assertAllClose(one["reference"], 2 * expected)
            self.assertEqual(one["performance_is"], metric.name)
        self.assertAllEqual(before, [v.numpy() for v in metric.variables])

    @parameterized.named_parameters(
        ("name", "auc", "auc"),
        ("object", keras.metrics.AUC(name="area"), "area"),
        ("function", lambda y, p: np.mean((p > 0.5)[y == 1]), "<lambda>"),
        ("lower_is_better", lambda y, p: np.abs(y - p), "<lambda>"),
    )
    def test_performance_is_what_the_user_says(self, performance, name):
        model = classifier(metrics=["accuracy", keras.metrics.AUC(name="auc")])
        found, _ = find(
            model, (X, Y), (X, Y), performance=performance, alpha=1e-4
        )
        told = found.provenance
        self.assertEqual(told["performance_is"], name)
        self.assertGreater(told["scale"]["mask"], 0.9)
        self.assertAllEqual(found.values["out/kernel"][:, 0], NEEDED)

    def test_a_class_that_gets_lost_is_told(self):
        model = classifier()
        rare = (X[:, 2] > 1.4)[:, None]  # one example in twelve
        kernel = KERNEL * 0
        kernel[2] = 8.0
        model.layers[-1].set_weights([kernel, np.full(1, -11.2)])
        _, told = find(
            model,
            (X, rare * 1.0),
            (X, rare * 1.0),
            alpha=1e-5,
            initial_keep_probability=0.1,  # nothing is kept, and it stays so
            learning_rate=1e-3,
            layers="out",
            steps=1,
        )
        self.assertLen([t for t in told if "the recall falls of 1" in t], 1)

    def test_few_steps_and_blocks_that_are_not_needed(self):
        inputs = keras.Input((6,))
        side = keras.layers.Dense(3, "relu", name="side")(inputs)
        side = keras.layers.Dense(6, name="back")(side)
        both = keras.layers.Add()([inputs, side])
        model = keras.Model(
            inputs, keras.layers.Dense(1, "sigmoid", name="out")(both)
        )
        small = [0.01 * RNG.normal(size=s) for s in [(6, 3), 3, (3, 6), 6]]
        model.set_weights([*small, KERNEL, np.zeros(1)])
        model.compile("adam", "bce", metrics=["accuracy"])
        found, told = find(model, (X, Y), alpha=3e-3)
        self.assertFalse(found.values["side/kernel"].any())
        self.assertEqual([t for t in told if "nothing is kept" in t], [])
        _, told = find(
            model,
            (X, Y),
            alpha=1e-6,
            steps=22,
            learning_rate=0.02,
            initial_keep_probability=0.6,
        )
        self.assertLen([t for t in told if "undecided" in t], 1)

    def test_sample_weights_say_what_counts(self):
        # Without weights the labels are noise; with them half are right.
        right = RNG.random(400) < 0.5
        labels = np.where(right[:, None], Y, 1 - Y)
        found, _ = find(
            self.model, (X, labels, right.astype("float32")), alpha=1e-3
        )
        self.assertAllEqual(found.values["out/kernel"][:, 0], NEEDED)
        # Performance is that of what counts, too.
        self.assertEqual(found.provenance["reference"], 1.0)
        self.assertEqual(found.provenance["performance"], 1.0)

    def test_a_training_that_is_stopped_at_once_finds_no_mask(self):
        stop = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: setattr(
                stop.model, "stop_training", True
            )
        )
        with self.assertRaisesRegex(
            modularity_tf.NoMaskError, "was stopped.*judged"
        ):
            find(self.model, (X, Y), callbacks=[stop], steps=200)

    @parameterized.parameters(
        ((X, np.where(Y > 0, "yes", "no")), "Labels are text: give"),
        ((X[:1], Y[:1]), "`data` has one example"),
    )
    def test_refuses_data_of_which_nothing_can_be_learned(self, data, message):
        with self.assertRaisesRegex(ValueError, message):
            find(self.model, data)

    def test_several_inputs_may_be_a_list(self):
        parts = [keras.Input((3,)), keras.Input((3,))]
        both = keras.layers.Concatenate()(parts)
        model = keras.Model(
            parts, keras.layers.Dense(1, "sigmoid", name="out")(both)
        )
        model.set_weights([KERNEL, np.zeros(1)])
        model.compile("adam", "bce", metrics=["accuracy"])
        found, _ = find(model, ([X[:, :3], X[:, 3:]], Y), alpha=1e-4)
        self.assertAllEqual(found.values["out/kernel"][:, 0], NEEDED)

    def test_takes_batches_of_any_kind(self):
        parts = [(X[i : i + 50], Y[i : i + 50]) for i in range(0, 400, 50)]
        dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(50)
        found, _ = find(
            self.model, parts, dataset, alpha=1e-4, learning_rate=0.3
        )
        self.assertAllEqual(found.values["out/kernel"][:, 0], NEEDED)

    def test_a_mask_that_does_not_perform_is_never_returned_quietly(self):
        found, told = find(
            self.model, (X, Y), alpha=10.0, initial_keep_probability=0.9
        )
        self.assertLess(found.provenance["performance"], 0.8)
        (text,) = [each for each in told if "it is not what the task" in each]
        share = found.provenance["scale"]["mask"]
        self.assertStartsWith(text, f"The mask keeps {share:.1%} of the perf")
        self.assertIn("a lower `alpha` than 10 or a higher `keep`", text)

    def test_what_is_not_sound_about_the_mask_is_told(self):
        _, told = find(self.model, (X, Y), alpha=0.0, steps=3)
        self.assertLen([t for t in told if "weights are kept: train" in t], 1)

    def test_progress_is_shown(self):
        self.assertEqual(self.shown, "")  # with verbose=0
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            find(self.model, (X, Y), alpha=1e-6, steps=20, verbose=1)
        self.assertRegex(
            shown.getvalue(),
            r"20/Unknown.* alpha: 1\.0000e-06 - on_scale: .*keep_fraction: \d",
        )

    @parameterized.named_parameters(
        (
            "no_loss", {"model": classifier(compiled=False)},
            "`loss` is needed, since 'classifier' is not compiled",
        ),
        (
            "batches_alone", {"data": [(X, Y)]},
            "`validation_data` are needed where `data` are batches",
        ),
        ("labels", {"data": (X, Y[:3])}, r"`data` must have as many labels"),
        ("inputs_alone", {"data": X}, "`data` must be a tuple of .*with"),
        ("a_list", {"data": [X, Y]}, "`data` must be a tuple of arrays"),
        (
            "without_end",
            {"validation_data": tf.data.Dataset.from_tensors((X, Y)).repeat()},
            "`validation_data` is a dataset without an end",
        ),
        ("alpha", {"alpha": -1.0}, "`alpha` must be"),
        ("auto", {"alpha": "best"}, "`alpha` must be"),
        ("keep", {"keep": 1.0}, "`keep` must be"),
        ("both", {"keep": 0.1, "alpha": 1e-3}, "`keep`=0.1 and `alpha`=0.001"),
        (
            "start", {"initial_keep_probability": 1.0},
            "`initial_keep_probability` must be",
        ),
        ("steps", {"steps": 0}, "`steps` must be a positive int"),
        ("rate", {"learning_rate": 0.0}, "`learning_rate` must be"),
        ("layer", {"layers": "conv"}, "'conv'"),
        ("seed", {"seed": -1}, "`seed` must be"),
    )  # fmt: skip
    def test_refuses_before_any_work(self, changes, message):
        arguments = {"model": self.model, "data": (X, Y), **changes}
        with self.assertRaisesRegex(ValueError, message):
            find(**arguments)

    def test_refuses_a_model_that_can_not_do_the_task(self):
        with self.assertRaisesRegex(ValueError, "accuracy 0.*nothing to keep"):
            find(self.model, (X, 1 - Y), (-X[:2], Y[:2]))
        with self.assertRaisesRegex(
            ValueError, "without all .*nothing to keep"
        ):
            # Worse than a coin, which it is without its weights.
            find(classifier(metrics=()), (X, 1 - Y))

    def test_a_task_that_needs_all_of_its_weights_at_once_is_found_whole(self):
        model, needed = parities()
        inputs = np.array(list(itertools.product([0, 1], repeat=8)), "float32")
        odd = inputs[:, :4].sum(axis=1, keepdims=True) % 2
        found, _ = find(
            model,
            (inputs, odd),
            (inputs, odd),
            loss=first_output(keras.losses.binary_crossentropy),
            metrics=[first_output(keras.metrics.binary_accuracy)],
            learning_rate=0.1,
            steps=None,
        )
        for path, expected in needed.items():
            self.assertAllEqual(found.values[path], expected)

    def test_says_what_to_change_where_no_alpha_keeps_the_performance(self):
        with self.assertRaisesRegex(
            modularity_tf.NoMaskError,
            "No mask keeps 95% of the performance of 'classifier'",
        ):
            # Trained for the opposite, every mask is worse.
            find(self.model, (X, 1 - Y), (X, Y), steps=20)


if __name__ == "__main__":
    tf.test.main()
