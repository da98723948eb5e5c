import functools

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

import modularity_tf
from modularity_tf import NeuronSelection, WeightMask, soundness
from modularity_tf.network import model_weights
from modularity_tf.planted import make_boolean, parity
from tests import shipped_networks

THREE = (0, parity(3)), (1, parity(3)), (2, parity(3))
NOT = tuple(1 - value for value in parity(3))
QUICK = {"removals": 40, "random_parts": 20}


def compiled(*outputs, **decoys):
    """Returns a function from the seed to a network."""
    return functools.partial(make_boolean, outputs, **decoys)


def network(make=None, seed=0):
    return (make or compiled(*THREE, unread=2))(seed=seed)


def finding(planted, output=0, *kinds, seed=0):
    """Returns the weights of some kinds, needed ones by default."""
    kinds = kinds or ("needed",)
    return WeightMask(planted.weights(output, *kinds), {"seed": seed})


def accuracy_of(model, planted, output=0):
    logits = np.array(model(planted.inputs))[:, output]
    return np.mean((logits > 0) == (planted.labels[:, output] > 0.5))


def check(planted, found, output=0, **kwargs):
    loss, accuracy = planted.objective(output)
    return soundness.check(
        found,
        planted.model,
        (planted.inputs, planted.labels),
        **{"loss": loss, "metrics": [accuracy], **QUICK, **kwargs},
    )


class QuantitiesTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.planted = network()
        cls.twin = network(seed=5)
        cls.truth = finding(cls.planted)
        cls.scores = {
            path: np.float32(flags) for path, flags in cls.truth.values.items()
        }
        cls.found = check(
            cls.planted,
            cls.truth,
            untrained=cls.twin.model,
            scores=cls.scores,
        )

    def test_what_is_needed_does_the_task_alone(self):
        found = self.found.faithfulness
        whole, alone = found.whole, found.alone
        self.assertEqual((whole.value, alone.value), (1.0, 1.0))
        self.assertEqual((alone.over, alone.n), ("examples", 512))
        # Wilson's interval has a width where all examples are right.
        self.assertAllClose(
            [alone.low, alone.high], [512 / (512 + 1.959964**2), 1]
        )

    def test_random_parts_of_its_size_do_not(self):
        alone = self.found.faithfulness.random
        self.assertLess(alone.high, 0.6)
        self.assertEqual((alone.n, alone.p, alone.as_well), (20, 1 / 21, 0))
        random = self.truth.shuffled(3)
        value = check(self.planted, random).faithfulness.alone.value
        self.assertAllClose(
            value, accuracy_of(random.apply(self.planted.model), self.planted)
        )

    def test_nor_does_the_part_of_an_untrained_twin(self):
        value = self.found.faithfulness.untrained.value
        twin = self.truth.apply(self.twin.model)
        self.assertAllClose(value, accuracy_of(twin, self.planted))
        self.assertLess(value, 0.8)

    def test_without_it_nothing_is_left(self):
        value = self.found.completeness.without.value
        rest = self.truth.remove_from(self.planted.model)
        self.assertAllClose(value, accuracy_of(rest, self.planted))
        self.assertAllClose(value, 0.5)
        self.assertGreater(self.found.completeness.random.value, 0.5)

    def test_nothing_of_what_is_needed_is_redundant(self):
        one = self.found.minimality[1]
        self.assertEqual((one.value, one.low, one.high), (0, 0, 0))
        self.assertEqual((one.n, one.over), (12, "removals, all"))

    def test_the_share_of_redundant_members_is_known(self):
        more = finding(self.planted, 0, "needed", "unread")
        found = check(self.planted, more, removals=100)
        count = sum(int(v.sum()) for v in more.values.values())
        self.assertAllClose(found.minimality[1].value, 1 - 12 / count)
        some = found.minimality[3]
        self.assertEqual((some.n, some.over), (100, "removals"))
        # A group is redundant if all of its three members are.
        idle = count - 12
        share = np.prod([(idle - i) / (count - i) for i in range(3)])
        self.assertLess(abs(some.value - share), 4 * (0.25 / 100) ** 0.5)
        self.assertBetween(some.value, some.low, some.high)

    @parameterized.parameters("accuracy", "loss")
    def test_few_examples_can_not_tell_what_is_redundant(self, kind):
        kwargs = {} if kind == "accuracy" else {"metrics": []}
        more = finding(self.planted, 0, "needed", "unread")
        idle = 1 - 12 / sum(int(v.sum()) for v in more.values.values())
        few = check(self.planted, more, examples=16, **kwargs)
        one = few.minimality[1]
        self.assertEqual((one.low, one.over), (0, "removals, all"))
        self.assertGreaterEqual(one.high, idle)
        self.assertBetween(one.value, one.low, one.high)
        many = check(self.planted, more, **kwargs).minimality[1]
        self.assertAllClose([many.low, many.high], [idle, idle])

    def test_few_examples_can_not_tell_what_random_parts_do(self):
        few = check(self.planted, self.truth, examples=16, scores=self.scores)
        for factor, random_of in (
            (1.5, lambda found: found.faithfulness.random),
            (1.5, lambda found: found.completeness.random),
            (1.0, lambda found: found.curve[-1].random_alone),
        ):
            wide, narrow = random_of(few), random_of(self.found)
            self.assertGreater(
                wide.high - wide.low, factor * (narrow.high - narrow.low)
            )

    def test_intervals_of_accuracies_stay_between_0_and_1(self):
        one = {p: np.zeros_like(v) for p, v in self.truth.values.items()}
        path = next(p for p, v in self.truth.values.items() if v.any())
        one[path].flat[self.truth.values[path].argmax()] = True
        found = check(self.planted, WeightMask(one))
        random = found.completeness.random
        self.assertBetween(random.value, 0.9, 0.999)
        self.assertBetween(random.high, random.value, 1.0)

    def test_copies_of_examples_tell_nothing_new(self):
        self.assertEqual(self.found.settings["distinct_examples"], 512)
        self.assertNotIn("distinct", self.found._repr_html_())
        data = self.planted.inputs[:16], self.planted.labels[:16]
        copied = tuple(np.repeat(array, 20, axis=0) for array in data)
        loss, accuracy = self.planted.objective(0)
        kwargs = {**QUICK, "loss": loss}
        for metrics in ([accuracy], []):
            once = soundness.check(
                self.truth, self.planted.model, data, metrics=metrics, **kwargs
            )
            with self.assertWarnsRegex(UserWarning, "16 distinct examples of"):
                found = soundness.check(
                    self.truth,
                    self.planted.model,
                    copied,
                    metrics=metrics,
                    **kwargs,
                )
            self.assertEqual(found.settings["examples"], 320)
            self.assertEqual(found.settings["distinct_examples"], 16)
            self.assertIn("16 distinct of 320 examples", found._repr_html_())
            for one, other in zip(
                once.as_dict()["rows"], found.as_dict()["rows"], strict=True
            ):
                for key in ("value", "low", "high"):
                    self.assertAllClose(one[key], other[key], atol=1e-6)

    def test_sizes_end_where_all_that_is_needed_is_there(self):
        sizes = {round(point.share, 2): point for point in self.found.curve}
        self.assertEqual([*sizes][-2:], [0.2, 0.5])
        self.assertEqual(sizes[0.2].alone.value, 1.0)
        self.assertAllClose(sizes[0.2].rest.value, 0.5)
        self.assertLess(sizes[0.05].alone.value, 1.0)
        self.assertLess(sizes[0.2].random_alone.value, 0.7)
        self.assertEqual(self.found.curve[0].parts, 1)

    def test_without_an_accuracy_it_is_the_share_of_the_loss(self):
        found = check(self.planted, self.truth, metrics=[])
        self.assertEqual(found.settings["name"], "share of the loss explained")
        self.assertEqual(found.faithfulness.whole.value, 1.0)
        alone = found.faithfulness.alone
        self.assertBetween(alone.value, 0.99, 1.01)
        self.assertBetween(alone.value, alone.low, alone.high)
        everything = ~WeightMask(
            {p: np.zeros_like(v) for p, v in self.truth.values.items()}
        )
        rest = check(self.planted, everything, metrics=[], removals=1)
        self.assertEqual(rest.completeness.without.value, 0.0)

    def test_is_a_value(self):
        same = check(
            self.planted,
            self.truth,
            untrained=self.twin.model,
            scores=self.scores,
        )
        self.assertEqual(same, self.found)
        self.assertNotEqual(same, check(self.planted, self.truth, seed=1))
        self.assertIn("alone the part reaches 100.0%", str(self.found))
        self.assertIn("better than 20 of 20 random parts", str(self.found))
        self.assertLen(self.found.plot().axes, 3)
        random = check(self.planted, self.truth, seed=None)
        self.assertIsInstance(random.settings["seed"], int)

    def test_batches_and_few_examples_are_taken_as_they_come(self):
        data = tf.data.Dataset.from_tensor_slices(
            (self.planted.inputs, self.planted.labels)
        ).batch(50)
        loss, accuracy = self.planted.objective(0)
        found = soundness.check(
            self.truth,
            self.planted.model,
            data,
            loss=loss,
            metrics=[accuracy],
            examples=120,
            removals=2,
        )
        self.assertEqual(found.faithfulness.alone.n, 120)
        few = check(self.planted, self.truth, examples=70, removals=2)
        self.assertEqual(few.faithfulness.alone.n, 70)

    def test_nothing_is_traced_for_a_removal(self):
        traces = []

        def accuracy(labels, logits):
            traces.append(1)
            return (logits[:, 0] > 0) == (labels[:, 0] > 0.5)

        check(self.planted, self.truth, metrics=[accuracy])
        self.assertLen(traces, 1)

    def test_the_model_stays_as_it_was(self):
        before = model_weights.fingerprint(self.planted.model)
        check(self.planted, self.truth, scores=self.scores)
        after = model_weights.fingerprint(self.planted.model)
        self.assertEqual(before, after)


class NeuronsTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(False, True)
    def test_are_kept_and_removed_as_the_finding_does_it(self, incoming):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                layers.Conv2D(8, 3, activation="sigmoid", name="conv"),
                layers.Flatten(),
                layers.Dense(10, activation="relu", name="hidden"),
                layers.Dense(3, name="out"),
            ]
        )
        model.compile(
            "sgd", "mse", metrics=[keras.metrics.SparseCategoricalAccuracy()]
        )
        rng = np.random.default_rng(0)
        x = rng.normal(size=(90, 6, 6, 1)).astype("float32")
        y = np.argmax(model(x), axis=1)
        sizes = {"conv": 8, "hidden": 10, "out": 3}
        chosen = NeuronSelection(
            {path: rng.random(n) < 0.7 for path, n in sizes.items()}
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        found = soundness.check(
            chosen, model, (x, y), loss=loss, incoming=incoming, removals=9
        )

        def expected(part):
            return np.mean(np.argmax(part(x), axis=1) == y)

        self.assertAllClose(
            found.faithfulness.alone.value, expected(chosen.apply(model))
        )
        self.assertAllClose(
            found.completeness.without.value,
            expected(chosen.remove_from(model, incoming=incoming)),
        )
        # The output layer's neurons stay, so they are no part to remove.
        hidden = sum(int(chosen.values[p].sum()) for p in ("conv", "hidden"))
        self.assertEqual(found.minimality[1].n, min(hidden, 9))


class TasksTest(parameterized.TestCase, tf.test.TestCase):
    """Sample weights, several outputs, labels of positions, other data."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keras.utils.set_random_seed(0)
        cls.rng = np.random.default_rng(0)

    def test_a_weight_counts_as_so_many_copies_do(self):
        planted = network()
        truth = finding(planted).shuffled(3)  # right by chance alone
        rows = self.rng.permutation(512)[:60]
        x, y = planted.inputs[rows], planted.labels[rows]
        counts = self.rng.integers(0, 4, 60)
        copies = tuple(np.repeat(each, counts, axis=0) for each in (x, y))
        loss, accuracy = planted.objective(0)
        for metrics in ([accuracy], []):
            kwargs = {"loss": loss, "metrics": metrics, **QUICK}
            weighted = soundness.check(
                truth, planted.model, (x, y, counts.astype("float32")), **kwargs
            )
            with self.assertWarnsRegex(UserWarning, "distinct examples"):
                copied = soundness.check(truth, planted.model, copies, **kwargs)
            self.assertEqual(
                weighted.settings["examples"], np.count_nonzero(counts)
            )
            pairs = [
                (weighted.faithfulness.alone, copied.faithfulness.alone),
                (weighted.completeness.without, copied.completeness.without),
                (weighted.minimality[1], copied.minimality[1]),
            ]
            for one, other in pairs:
                self.assertAllClose(one.value, other.value, rtol=1e-5)
                if metrics:  # else the bootstrap draws others
                    self.assertAllClose(one.low, other.low, rtol=1e-5)
                    self.assertAllClose(one.high, other.high, rtol=1e-5)

    def test_labels_and_weights_may_be_of_positions(self):
        model = shipped_networks.splice_sites()
        x = self.rng.normal(size=(20, 16, 4)).astype("float32")
        y = np.argmax(model(x), axis=-1)
        chosen = NeuronSelection({"conv00": np.arange(6) < 3})
        loss, metrics = "sparse_categorical_crossentropy", ["accuracy"]
        kwargs = {"loss": loss, "metrics": metrics, "removals": 2}
        right = np.argmax(chosen.apply(model)(x), axis=-1) == y
        found = soundness.check(chosen, model, (x, y), **kwargs)
        self.assertAllClose(found.faithfulness.alone.value, right.mean())
        one_hot = soundness.check(
            chosen,
            model,
            (x, np.eye(3)[y]),
            **{**kwargs, "loss": "categorical_crossentropy"},
        )
        self.assertEqual(one_hot.faithfulness.alone, found.faithfulness.alone)
        of_class = (y == y[0, 0]).astype("float32")
        found = soundness.check(chosen, model, (x, y, of_class), **kwargs)
        self.assertAllClose(
            found.faithfulness.alone.value,
            (right * of_class).sum() / of_class.sum(),
        )

    @parameterized.named_parameters(
        ("by_name", {"outputs": "out_face"}),
        ("by_loss", {"loss": {"out_face": "sparse_categorical_crossentropy"}}),
    )
    def test_a_task_may_be_about_one_output(self, given):
        model = shipped_networks.faces()
        x = self.rng.normal(size=(30, 8, 8, 2)).astype("float32")
        y = np.argmax(model(x)[1], axis=-1)
        chosen = NeuronSelection({"dense": np.arange(7) < 3})
        kwargs = {"loss": "sparse_categorical_crossentropy", "removals": 2}
        kwargs |= {"metrics": {"out_face": ["accuracy"]}, **given}
        found = soundness.check(chosen, model, (x, y), **kwargs)
        right = np.argmax(chosen.apply(model)(x)[1], axis=-1) == y
        self.assertAllClose(found.faithfulness.alone.value, right.mean())
        self.assertEqual(found.settings["name"], "accuracy")

    def test_of_several_outputs_it_is_the_sum_of_their_losses(self):
        model = shipped_networks.faces()
        x = self.rng.normal(size=(30, 8, 8, 2)).astype("float32")
        boxes, faces = (np.array(each) for each in model(x))
        y = {"out_face": np.argmax(faces, axis=-1), "out_box": boxes}
        chosen = NeuronSelection({"dense": np.arange(7) < 3})
        model.compile(
            loss={
                "out_box": "mse",
                "out_face": "sparse_categorical_crossentropy",
            },
            loss_weights={"out_box": 2.0, "out_face": 0.5},
        )
        weights = self.rng.random(30).astype("float32")
        nothing = NeuronSelection({"dense": np.zeros(7, bool)})

        def loss_of(part):
            box, face = (np.array(each) for each in part(x))
            each = 2.0 * np.mean((box - boxes) ** 2, axis=-1)
            each -= 0.5 * np.log(face[np.arange(30), y["out_face"]])
            return np.average(each, weights=weights)

        whole, alone, none = map(
            loss_of, (model, chosen.apply(model), nothing.apply(model))
        )
        found = soundness.check(chosen, model, (x, y, weights), removals=2)
        self.assertAllClose(
            found.faithfulness.alone.value,
            (none - alone) / (none - whole),
            rtol=1e-4,
        )

    @parameterized.parameters(
        ("sparse_categorical_accuracy", None),
        ("SparseCategoricalAccuracy", None),
        ("sparse_top_k_categorical_accuracy",) * 2,
    )
    def test_metrics_may_be_given_by_their_names(self, metric, performance):
        model = keras.Sequential(
            [keras.Input((9,)), layers.Dense(9, name="out")]
        )
        model.set_weights([np.eye(9), -0.01 * np.arange(9)])
        y = np.arange(90) % 9
        noise = 0.001 * self.rng.normal(size=(90, 9))
        x = np.float32(np.eye(9)[y] + noise)
        y[np.arange(90) % 9 == 7] = 8  # never right
        part = WeightMask({"out/kernel": np.eye(9) > 0})
        found = soundness.check(
            part,
            model,
            (x, y),
            loss="sparse_categorical_crossentropy",
            metrics=[metric],
            performance=performance,
            removals=1,
            random_parts=2,
        )
        is_top = performance is not None  # on the scale of losses
        self.assertEqual(found.settings["name"], performance or "accuracy")
        self.assertAllClose(found.faithfulness.whole.value, is_top or 8 / 9)

    def test_performance_may_be_any_mean_over_examples(self):
        model = shipped_networks.faces()
        x = self.rng.normal(size=(30, 8, 8, 2)).astype("float32")
        boxes = np.array(model(x)[0])
        y = boxes + 0.1 * self.rng.normal(size=boxes.shape)
        chosen = NeuronSelection({"dense": np.arange(7) < 3})
        nothing = NeuronSelection({"dense": np.zeros(7, bool)})

        def error(part, mean=lambda e: np.abs(e).mean()):
            return mean(np.array(part(x)[0]) - y)

        parts = model, chosen.apply(model), nothing.apply(model)
        whole, alone, none = map(error, parts)
        expected = (none - alone) / (none - whole)

        def likeness(y_true, y_pred):  # higher is better
            return -tf.reduce_mean(tf.abs(y_true - y_pred), axis=-1)

        kwargs = {"loss": {"out_box": "mse"}, "metrics": {"out_box": ["mae"]}}
        results = [
            soundness.check(
                chosen, model, (x, y), removals=2, performance=each, **kwargs
            )
            for each in ("mae", "out_box_mae", likeness)
        ]
        for found in results:
            alone = found.faithfulness.alone.value
            self.assertAllClose(alone, expected, rtol=1e-4)
            self.assertEqual(found.minimality[1], results[0].minimality[1])
        self.assertEqual(results[0].settings["name"], "mae")
        auc = {"out_box": [keras.metrics.AUC(name="auc")]}
        for performance, metrics, message in (
            ("auc", auc, "no value of a single example"),
            ("none", auc, r"`performance` must be one of the metrics"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                soundness.check(
                    chosen,
                    model,
                    (x, y),
                    performance=performance,
                    **{**kwargs, "metrics": metrics},
                )

    def test_elsewhere_shows_what_the_part_says_of_other_data(self):
        # Unit 0 puts out "face" for all; unit 1 alone takes it back.
        model = keras.Sequential(
            [
                keras.Input((1,)),
                layers.Dense(2, "relu", name="units"),
                layers.Dense(1, name="out"),
            ]
        )
        kernel = np.array([[0.0, 4.0]], "float32")
        model.layers[0].set_weights([kernel, np.array([1.0, 0.0])])
        down = np.array([[1.0], [-1.0]], "float32")
        model.layers[1].set_weights([down, np.array([-0.5])])
        some = self.rng.uniform(1.0, 2.0, (40, 1)).astype("float32")
        faces, others = (
            (-some[:30], np.ones(30, int)),
            (some, np.zeros(40, int)),
        )
        accuracy = keras.metrics.BinaryAccuracy(threshold=0.0)
        kwargs = {"loss": keras.losses.BinaryCrossentropy(from_logits=True)}
        kwargs |= {"metrics": [accuracy], "removals": 2, "examples": 25}
        part = NeuronSelection({"units": np.array([True, False])})
        found = soundness.check(part, model, faces, elsewhere=others, **kwargs)
        self.assertEqual(found.faithfulness.alone.value, 1.0)
        self.assertEqual(found.elsewhere.whole.value, 1.0)
        self.assertEqual(found.elsewhere.alone.value, 0.0)
        self.assertEqual(found.elsewhere.without.value, 1.0)
        self.assertEqual(found.elsewhere.alone.n, 25)
        self.assertIn("On other data the part alone reaches 0.0%", str(found))
        rows = {row["what"]: row for row in found.as_dict()["rows"]}
        self.assertEqual(rows["elsewhere: the part alone"]["value"], 0.0)
        self.assertEqual(rows["the part alone"]["value"], 1.0)
        self.assertIn("elsewhere: the whole model", found._repr_html_())
        file = f"{self.get_temp_dir()}/found.npz"
        found.save(file)
        self.assertEqual(soundness.Soundness.load(file), found)
        # What share is called a face? None by the whole model, all by the part.
        called = others[0], 1 - others[1]
        found = soundness.check(part, model, faces, elsewhere=called, **kwargs)
        self.assertEqual(found.elsewhere.whole.value, 0.0)
        self.assertEqual(found.elsewhere.alone.value, 1.0)


class SharingTest(parameterized.TestCase, tf.test.TestCase):
    def both(self, make, *kinds, count=3, other=1, **kwargs):
        planted = network(make)
        own, others = (
            [finding(planted, i, *kinds, seed=s) for s in range(count)]
            for i in (0, other)
        )
        found = check(
            planted,
            own[0],
            repeats=own[1:],
            others={"other": others},
            **kwargs,
        )
        return found.sharing["other"]

    def test_modules_of_their_own_are_separate(self):
        found = self.both(compiled(*THREE, unread=2))
        self.assertEqual(found.verdict, "separate")
        self.assertEqual(found.overlap, 0)

    def test_a_module_for_both_is_shared(self):
        found = self.both(compiled((0, parity(3)), (0, NOT), *THREE[1:]))
        self.assertEqual(found.verdict, "shared")
        self.assertEqual(found.ceiling, 1)
        self.assertGreater(found.needed, 0.5)

    def test_without_evidence_it_is_undetermined(self):
        found = self.both(compiled(*THREE), count=2)
        self.assertEqual(found.verdict, "undetermined")
        self.assertIn("2 and 2 extractions", found.reason)

    def test_a_part_that_does_nothing_is_no_evidence(self):
        planted = network(compiled(*THREE))
        random = WeightMask(dict(finding(planted).shuffled(1).values))
        again = [WeightMask(dict(random.values), {"n": n}) for n in (1, 2)]
        others = [finding(planted, 1, seed=s) for s in range(3)]
        found = check(planted, random, repeats=again, others={"other": others})
        shared = found.sharing["other"]
        self.assertEqual(shared.verdict, "undetermined")
        self.assertIn("better than random parts: ", shared.reason)
        self.assertIn("Not shown to be more", found.summary())

    def test_few_examples_can_not_tell_that_parts_matter(self):
        make = compiled((0, parity(3)), (0, NOT), *THREE[1:])
        found = self.both(make, examples=4)
        self.assertEqual(found.needed, 0)
        self.assertEqual(found.verdict, "undetermined")

    def test_pairs_that_cancel_are_not_shared(self):
        found = self.both(compiled(*THREE, pairs=2), "needed", "pair")
        self.assertGreater(found.overlap, 0.5)
        self.assertEqual(found.needed, 0)
        self.assertEqual(found.verdict, "undetermined")

    def test_what_no_output_notices_does_not_count(self):
        few, many = (
            self.both(compiled(*THREE, unread=unread), "needed", "unread")
            for unread in (1, 20)
        )
        self.assertEqual(many.overlap, 0)
        self.assertEqual(few.floor, many.floor)

    def test_is_shown_and_drawn(self):
        planted = network()
        found = check(
            planted,
            finding(planted),
            others={"other": finding(planted, 1)},
            removals=2,
        )
        self.assertIn(
            "other: undetermined (1 and 1 extractions", found.summary()
        )
        self.assertIn("sharing with other", found._repr_html_())
        self.assertLen(found.plot().axes, 3)


class RefusesTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.planted = network()
        cls.truth = finding(cls.planted)

    def refuses(self, message, found=None, **kwargs):
        with self.assertRaisesRegex(ValueError, message):
            check(self.planted, found or self.truth, **kwargs)

    def test_what_is_no_finding_of_the_model(self):
        self.refuses("`finding` must be a WeightMask or a Neur", found="all")
        none = WeightMask({"hidden/kernel": np.zeros((9, 11), bool)})
        self.refuses("`finding` is empty", found=none)
        other = WeightMask({"x": np.ones(2, bool)})
        self.refuses("does not fit the model", found=other)
        other = WeightMask(
            dict(self.truth.values), {"model_fingerprint": "another"}
        )
        self.refuses("`finding` was found in a network with other", found=other)
        self.refuses(r"`repeats\[0\]` was found in a netw", repeats=[other])
        small = network(compiled(*THREE[:2])).model
        self.refuses("does not fit the model", untrained=small)

    def test_repeats_and_others_that_are_none(self):
        again = finding(self.planted, seed=1)
        self.refuses("`repeats` must be a list of findings", repeats=3)
        self.refuses(r"`repeats\[0\]` is a finding that", repeats=[self.truth])
        self.refuses(r"`repeats\[1\]` is a finding", repeats=[again, again])
        half = self.truth.select("hidden")
        self.refuses(r"`repeats\[0\]` is not over the parts", repeats=[half])
        self.refuses("`others` must be a dict from", others=[again])
        self.refuses(r"`others\['b'\]` has no finding", others={"b": []})
        self.refuses(
            r"`others\['b'\]\[0\]` must be a WeightMask", others={"b": [1]}
        )
        dead = [finding(self.planted, 0, "unread", seed=s) for s in range(3)]
        self.refuses("only members that no output notices", others={"b": dead})

    @parameterized.parameters(
        ("scores", {"hidden/kernel": [1.0]}, "`scores` must be a dict of arr"),
        ("scores", 3, "`scores` must be a dict of arrays"),
        ("examples", 0, "`examples` must be a positive int"),
        ("random_parts", 1, "`random_parts` must be an int"),
        ("removals", 0, "`removals` must be a positive int"),
        ("tolerance", 1, "`tolerance` must be in"),
        ("seed", -1, "`seed` must be an int in"),
        ("loss", {"there": "mse"}, "`loss` has .'there'., which are none of"),
    )
    def test_arguments_out_of_their_range(self, name, value, message):
        self.refuses(message, **{name: value})

    def test_scores_that_are_nan(self):
        nan = {
            p: np.full(v.shape, np.nan) for p, v in self.truth.values.items()
        }
        self.refuses("must be numbers, not NaN", scores=nan)

    @parameterized.product(name=("data", "elsewhere"), value=(np.nan, np.inf))
    def test_inputs_that_a_relu_would_hide(self, name, value):
        inputs = np.array(self.planted.inputs, "float32")
        inputs[-1, 0] = value
        of_task = inputs, self.planted.labels
        data = {"data": self.planted.data[0], name: of_task}
        with self.assertRaisesRegex(ValueError, f"inputs in `{name}` are NaN"):
            soundness.check(self.truth, self.planted.model, loss="mse", **data)

    def test_a_model_without_a_loss_or_that_does_not_perform(self):
        data = self.planted.inputs, self.planted.labels
        with self.assertRaisesRegex(ValueError, "`loss` is needed"):
            soundness.check(self.truth, self.planted.model, data)
        wrong = data[0], 1 - data[1]
        for metrics, told in ((None, "accuracy 0"), ([], "loss")):
            loss, accuracy = self.planted.objective(0)
            with self.assertRaisesRegex(ValueError, f"not perform.*{told}"):
                soundness.check(
                    self.truth,
                    self.planted.model,
                    wrong,
                    loss=loss,
                    metrics=[accuracy] if metrics is None else metrics,
                )

    def test_is_a_public_name(self):
        self.assertIs(modularity_tf.soundness.check, soundness.check)


if __name__ == "__main__":
    tf.test.main()
