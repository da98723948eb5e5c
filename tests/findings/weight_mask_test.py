import copy
import dataclasses
import json
import math
import os
import pickle
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers

from modularity_tf.findings import neuron_selection, weight_mask
from modularity_tf.network import model_weights

SHAPES = {"a/kernel": (5, 3), "a/bias": (3,), "b/kernel": (3, 7)}
EMPTY = weight_mask.WeightMask({})


def random_mask(seed, shapes=SHAPES, keep=0.5):
    rng = np.random.default_rng(seed)
    return weight_mask.WeightMask(
        {path: rng.random(shape) < keep for path, shape in shapes.items()},
        {"seed": seed},
    )


def full_mask(kept, shapes=SHAPES):
    return weight_mask.WeightMask(
        {path: np.full(shape, kept) for path, shape in shapes.items()}
    )


def mask_of(*bits):
    """Returns a mask over one weight, as in an example by hand."""
    return weight_mask.WeightMask({"w": np.array(bits, bool)})


class SetAlgebraTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("union", lambda a, b: a | b),
        ("intersection", lambda a, b: a & b),
        ("difference", lambda a, b: a - b, lambda a, b: a & ~b),
        ("complement", lambda a, b: ~a),
        ("symmetric_difference", lambda a, b: (a | b) - (a & b), np.not_equal),
    )
    def test_matches_numpy(self, operation, of_arrays=None):
        one, other = random_mask(0), random_mask(1)
        result = operation(one, other)
        self.assertEqual(list(result.values), list(SHAPES))
        for path, value in result.values.items():
            self.assertEqual(value.dtype, bool)
            expected = (of_arrays or operation)(
                one.values[path], other.values[path]
            )
            self.assertAllEqual(value, expected)
        self.assertEqual(result.provenance, {})

    def test_full_and_empty_masks(self):
        mask, full, empty = random_mask(0), full_mask(True), full_mask(False)
        self.assertEqual(mask | full, full)
        self.assertEqual(mask & full, mask)
        self.assertEqual(mask | empty, mask)
        self.assertEqual(mask & empty, empty)
        self.assertEqual(mask - mask, empty)
        self.assertEqual(mask | ~mask, full)
        self.assertEqual(full - mask, ~mask)

    def test_equal_masks_keep_the_same_weights_of_the_same_names(self):
        mask = random_mask(0)
        values = dict(reversed(mask.values.items()))
        self.assertEqual(mask, weight_mask.WeightMask(values, {"task": "x"}))
        self.assertNotEqual(mask, random_mask(1))
        self.assertNotEqual(mask, mask.select("a"))
        self.assertNotEqual(mask_of(1, 0), mask_of([1, 0]))
        self.assertNotEqual(mask_of(1), {"w": np.array([True])})
        value = mask.values["b/kernel"].copy()
        value[-1, -1] ^= True
        values["b/kernel"] = value
        self.assertNotEqual(mask, weight_mask.WeightMask(values))

    @parameterized.named_parameters(
        (
            "of_fewer_weights",
            {"a/kernel": (5, 3)},
            r"'a/bias' is \(3,\) in one, absent in the other",
        ),
        (
            "of_more_weights",
            {**SHAPES, "c/kernel": (1,), "d/kernel": (1,)},
            r"'c/kernel' is absent in one, \(1,\) in the other",
        ),
        (
            "of_other_shapes",
            {**SHAPES, "a/kernel": (3, 5), "b/kernel": (3,)},
            r"'a/kernel' is \(5, 3\) in one, \(3, 5\) in the other",
        ),
        # NumPy would broadcast.
        (
            "that_broadcast",
            {**SHAPES, "a/kernel": (1, 3)},
            r"'a/kernel' is \(5, 3\) in one, \(1, 3\) in the other",
        ),
    )
    def test_refuses_masks_with_the_first_path_that_differs(
        self, shapes, message
    ):
        mask, other = full_mask(True), full_mask(True, shapes)
        for operation in (
            lambda: mask | other,
            lambda: mask & other,
            lambda: mask - other,
            lambda: mask.sharing(other),
            lambda: mask.iou(other),
        ):
            with self.assertRaisesRegex(ValueError, f"same weights.*{message}"):
                operation()

    def test_refuses_what_is_no_mask(self):
        with self.assertRaisesRegex(TypeError, "unsupported operand"):
            mask_of(1) | np.array([True])


class MeasureTest(parameterized.TestCase, tf.test.TestCase):
    def test_applies_to_a_model_compiled_with_functions_of_the_user(self):
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(1, name="dense")]
        )
        model.compile(loss=lambda y, x: x, metrics=[lambda y, x: x])
        mask = weight_mask.WeightMask({"dense/kernel": np.eye(2, 1) > 0})
        clone = mask.apply(model)
        self.assertFalse(clone.compiled)
        self.assertTrue(model.compiled)
        self.assertEqual(clone.get_weights()[0][1, 0], 0.0)

    def test_the_complement_may_leave_layers_as_they_are(self):
        rng = np.random.default_rng(0)
        values = {p: rng.random(3) < 0.5 for p in ("a/w", "a/b", "c/w")}
        mask = weight_mask.WeightMask(values)
        inverted = mask.inverted(keep_layers="a").values
        self.assertAllEqual(inverted["a/w"], values["a/w"])
        self.assertAllEqual(inverted["a/b"], values["a/b"])
        self.assertAllEqual(inverted["c/w"], ~values["c/w"])
        self.assertEqual(mask.inverted(), ~mask)

    def test_halves_part_the_layers_in_their_order(self):
        ones = np.ones(2, bool)
        mask = weight_mask.WeightMask(
            {p: ones for p in ("z/w", "z/b", "c/w", "a/w")}
        )
        first, second = mask.halves()
        self.assertEqual(list(first.values), ["z/w", "z/b", "c/w"])
        self.assertEqual(list(second.values), ["a/w"])

    def test_sharing_by_hand_is_not_symmetric(self):
        mask, reference = mask_of(1, 1, 1, 1, 0, 0), mask_of(1, 0, 0, 0, 1, 0)
        self.assertEqual(mask.sharing(reference), 1 / 4)
        self.assertEqual(reference.sharing(mask), 1 / 2)
        self.assertEqual(mask.iou(reference), 1 / 5)
        self.assertEqual(reference.iou(mask), 1 / 5)

    @parameterized.parameters(0.1, 0.9)
    def test_match_numpy(self, keep):
        mask, other = random_mask(0), random_mask(1, keep=keep)
        both = np.array(
            [np.sum(mask.values[p] & other.values[p]) for p in SHAPES]
        )
        any_ = np.array(
            [np.sum(mask.values[p] | other.values[p]) for p in SHAPES]
        )
        kept = np.array([np.sum(mask.values[p]) for p in SHAPES])
        sizes = np.array([math.prod(shape) for shape in SHAPES.values()])
        # The total is over weights, not a mean over tensors.
        self.assertAllClose(mask.sharing(other), both.sum() / kept.sum())
        self.assertAllClose(mask.iou(other), both.sum() / any_.sum())
        self.assertAllClose(mask.keep_fraction, kept.sum() / sizes.sum())
        self.assertEqual(mask.size, sizes.sum())
        by_tensor = mask.overlap(other).by_tensor
        for found, expected in (
            ({p: x.share for p, x in by_tensor.items()}, both / kept),
            ({p: x.jaccard for p, x in by_tensor.items()}, both / any_),
            (mask.keep_fractions(), kept / sizes),
        ):
            self.assertAllClose(found, dict(zip(SHAPES, expected)))

    def test_corners(self):
        mask, full, empty = random_mask(0), full_mask(True), full_mask(False)
        for measure in ("sharing", "iou"):
            self.assertEqual(getattr(mask, measure)(mask), 1)
            self.assertEqual(getattr(mask, measure)(~mask), 0)
            self.assertEqual(getattr(mask, measure)(empty), 0)
        self.assertEqual(mask.sharing(full), 1)
        self.assertEqual(full.sharing(mask), mask.keep_fraction)
        self.assertEqual(mask.iou(full), mask.keep_fraction)

    def test_zero_by_zero_is_nan(self):
        mask, empty = random_mask(0), full_mask(False)
        self.assertTrue(np.isnan(empty.sharing(mask)))
        self.assertTrue(np.isnan(empty.iou(empty)))
        self.assertTrue(np.isnan(EMPTY.keep_fraction))
        self.assertEqual(EMPTY.keep_fractions(), {})
        values = {**mask.values, "a/bias": np.zeros(3, bool)}
        more = weight_mask.WeightMask(values)
        none = weight_mask.WeightMask({"a/bias": values["a/bias"]})
        self.assertTrue(np.isnan(none.sharing(none)))
        self.assertEqual(more.sharing(more), 1)

    def test_repr_says_how_much_is_kept(self):
        mask = mask_of(1, 0, 0, 0)
        self.assertEqual(
            repr(mask), "<WeightMask of 4 weights in 1 tensors, 25.0% kept>"
        )


class ShuffledTest(tf.test.TestCase):
    def test_keeps_as_many_weights_of_each_tensor_and_others(self):
        mask = random_mask(0)
        shuffled = mask.shuffled(seed=0)
        self.assertEqual(shuffled.keep_fractions(), mask.keep_fractions())
        self.assertNotEqual(shuffled, mask)
        self.assertEqual(shuffled, mask.shuffled(seed=0))
        self.assertNotEqual(shuffled, mask.shuffled(seed=1))

    def test_weights_are_drawn_among_those_of_another_mask(self):
        whole = random_mask(0)
        part = whole & random_mask(1)
        drawn = part.shuffled(seed=0, within=whole)
        self.assertEqual(drawn.keep_fractions(), part.keep_fractions())
        self.assertNotEqual(drawn, part)
        self.assertEqual(drawn & whole, drawn)
        with self.assertRaisesRegex(ValueError, "`within` must hold every"):
            whole.shuffled(seed=0, within=part)

    def test_tensors_of_one_shape_are_shuffled_apart(self):
        value = np.arange(100) < 50
        mask = weight_mask.WeightMask({"a": value, "b": value}).shuffled(0)
        self.assertNotAllEqual(mask.values["a"], mask.values["b"])

    def test_every_weight_is_as_likely(self):
        n, false_fail_rate = 2_000, 1e-9  # Hoeffding over the five weights
        mask = mask_of(1, 1, 0, 0, 0)
        rate = np.mean([mask.shuffled(i).values["w"] for i in range(n)], axis=0)
        bound = np.sqrt(np.log(2 * 5 / false_fail_rate) / (2 * n))
        self.assertAllClose(rate, [0.4] * 5, rtol=0, atol=bound)


class ValueTypeTest(parameterized.TestCase, tf.test.TestCase):
    def test_the_values_cannot_be_written_to(self):
        mask = random_mask(0)
        for written in (mask, ~mask, mask | mask, copy.deepcopy(mask)):
            with self.assertRaisesRegex(ValueError, "read-only"):
                written.values["a/bias"][0] = True
            with self.assertRaisesRegex(TypeError, "item assignment"):
                written.values["a/bias"] = np.ones(3, bool)
        with self.assertRaises(dataclasses.FrozenInstanceError):
            mask.values = {}

    def test_later_changes_of_what_it_was_made_from_do_not_leak(self):
        array = np.array([True, False])
        values, provenance = {"w": array}, {"task": ["x"]}
        mask = weight_mask.WeightMask(values, provenance)
        array[:] = False
        values["v"] = array
        provenance["task"].append("y")
        self.assertEqual(mask, mask_of(1, 0))
        self.assertEqual(mask.provenance, {"task": ["x"]})

    @parameterized.parameters(copy.copy, copy.deepcopy, lambda mask: mask)
    def test_can_be_copied_and_pickled(self, copied):
        mask = random_mask(0)
        result = pickle.loads(pickle.dumps(copied(mask)))
        self.assertEqual(result, mask)
        self.assertEqual(result.provenance, mask.provenance)

    @parameterized.parameters("int32", "float32", "uint8")
    def test_refuses_values_that_are_not_boolean(self, dtype):
        message = f"'w' must be boolean, got {dtype}"
        with self.assertRaisesRegex(ValueError, message):
            weight_mask.WeightMask({"w": np.ones(3, dtype)})

    def test_refuses_a_provenance_that_cannot_be_saved(self):
        with self.assertRaisesRegex(ValueError, "`provenance` .* set"):
            weight_mask.WeightMask({}, {"tasks": {1, 2}})


class SelectTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("a_name", "dense", ["in/dense/kernel", "dense/kernel"]),
        ("a_path", "in/dense", ["in/dense/kernel"]),
        ("several", ["in", "out"], ["in/dense/kernel", "out/kernel"]),
    )
    def test_keeps_the_part_in_the_layers(self, names, expected):
        shapes = {
            "in/dense/kernel": (2,),
            "dense/kernel": (3,),
            "out/kernel": (4,),
        }
        mask = random_mask(0, shapes)
        part = mask.select(names)
        self.assertEqual(list(part.values), expected)
        for path in expected:
            self.assertAllEqual(part.values[path], mask.values[path])
        self.assertEqual(part.provenance, mask.provenance)

    def test_refuses_an_unknown_layer(self):
        message = r"`layers` names 'c'.*Known: \['a', 'b'\]"
        with self.assertRaisesRegex(ValueError, message):
            random_mask(0).select(["a", "c"])


def functional_model():
    inputs = keras.Input((6, 6, 2))
    hidden = layers.Conv2D(4, 3, name="conv")(inputs)
    hidden = layers.BatchNormalization(name="norm")(hidden)
    hidden = layers.Dropout(0.5, seed=0)(hidden)
    outputs = layers.Dense(3, name="head")(layers.Flatten()(hidden))
    return keras.Model(inputs, outputs, name="network")


def nested_model():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            functional_model(),
            layers.Reshape((3, 1)),
            layers.Bidirectional(layers.LSTM(2, name="lstm"), name="both"),
        ]
    )


@keras.saving.register_keras_serializable(package="weight_mask_test")
class SubclassedModel(keras.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(units, name="hidden")
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, input_shape):
        self.hidden.build((None, math.prod(input_shape[1:])))
        self.norm.build((None, self.units))

    def call(self, inputs, training=False):
        flat = keras.ops.reshape(inputs, (len(inputs), -1))
        return self.norm(self.hidden(flat), training=training)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def subclassed_model():
    model = SubclassedModel(3)
    model.build((None, 6, 6, 2))
    return model


class WithoutConfig(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.head = layers.Dense(units, name="head")

    def call(self, inputs):
        return self.head(inputs)


class BuiltLate(WithoutConfig):
    def __init__(self, **kwargs):
        super().__init__(2)

    def get_config(self):
        return {}

    def get_build_config(self):
        return None


MODELS = (
    ("functional", functional_model),
    ("nested", nested_model),
    ("subclassed", subclassed_model),
)


def randomize(model, seed=0):
    """Gives every variable, statistics included, a value of its own."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.weights])
    return model


def mask_for(model, seed=0):
    weights = model_weights.model_weights(model)
    return random_mask(seed, {p: w.variable.shape for p, w in weights.items()})


def raw(model):
    return [weight.tobytes() for weight in model.get_weights()]


class ApplyTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(*MODELS)
    def test_removed_weights_are_zero_and_all_others_as_before(
        self, make_model
    ):
        model = randomize(make_model())
        mask = mask_for(model)
        subnetwork = mask.apply(model)
        self.assertIs(type(subnetwork), type(model))
        self.assertNotEmpty(mask.values)
        kept = {
            id(weight.variable): mask.values[path]
            for path, weight in model_weights.model_weights(model).items()
        }
        for old, new in zip(model.weights, subnetwork.weights, strict=True):
            expected = old.numpy() * kept.get(id(old), True)
            self.assertAllEqual(new.numpy(), expected, old.path)

        images = np.random.default_rng(1).normal(size=(4, 6, 6, 2))
        for old in model.weights:
            old.assign(old * tf.cast(kept.get(id(old), True), old.dtype))
        self.assertAllClose(subnetwork(images), model(images))

    @parameterized.named_parameters(*MODELS)
    def test_the_model_is_untouched_also_by_changes_of_the_result(
        self, make_model
    ):
        model = randomize(make_model())
        model.compile("sgd", "mse")
        before = raw(model)
        subnetwork = mask_for(model).apply(model)
        randomize(subnetwork, seed=1)
        self.assertEqual(raw(model), before)
        self.assertTrue(model.compiled)
        self.assertFalse(subnetwork.compiled)

    @parameterized.named_parameters(*MODELS)
    def test_a_mask_of_ones_gives_the_same_model(self, make_model):
        model = randomize(make_model())
        mask = mask_for(model)
        subnetwork = (mask | ~mask).apply(model)
        self.assertEqual(raw(subnetwork), raw(model))
        paths = list(model_weights.model_weights(subnetwork))
        self.assertEqual(paths, list(mask.values))

    def test_weights_without_a_mask_are_copied(self):
        model = randomize(nested_model())
        mask = mask_for(model).select("conv")
        subnetwork = (mask - mask).apply(model)
        removed = {"network/conv/kernel", "network/conv/bias"}
        self.assertEqual(set(mask.values), removed)
        weights = model_weights.model_weights(subnetwork)
        for path, weight in model_weights.model_weights(model).items():
            value = weight.variable.numpy() * (path not in removed)
            self.assertAllEqual(weights[path].variable.numpy(), value, path)
        self.assertEqual(raw(EMPTY.apply(model)), raw(model))

    @parameterized.parameters("float16", "bfloat16", "float64")
    def test_keeps_the_type_of_the_weights(self, dtype):
        dense = layers.Dense(2, dtype=dtype, name="head")
        model = randomize(keras.Sequential([keras.Input((3,)), dense]))
        kernel = mask_for(model).apply(model).weights[0]
        self.assertEqual(kernel.dtype, dtype)
        expected = dense.kernel.numpy() * mask_for(model).values["head/kernel"]
        self.assertAllEqual(kernel.numpy(), expected)

    def test_refuses_a_model_that_cannot_be_copied(self):
        model = WithoutConfig(2)
        model(np.ones((1, 3)))
        message = "WithoutConfig .* can't be copied.*`get_config`"
        with self.assertRaisesRegex(ValueError, message):
            mask_for(model).apply(model)

    def test_a_model_that_is_built_late_is_copied_on_examples(self):
        model, inputs = BuiltLate(), np.ones((1, 3), "float32")
        model(inputs)
        with self.assertRaisesRegex(ValueError, "Give `inputs`"):
            mask_for(model).apply(model)
        mask = mask_for(model)
        copy = mask.apply(model, inputs=inputs)
        self.assertLen(copy.weights, len(model.weights))


class CheckFitsTest(tf.test.TestCase):
    def test_a_mask_over_all_or_some_of_the_weights_fits(self):
        model = functional_model()
        for mask in (mask_for(model), mask_for(model).select("conv"), EMPTY):
            mask.check_fits(model)

    def test_refuses_a_weight_that_the_model_does_not_have(self):
        mask = mask_for(functional_model())
        message = (
            "does not fit the model 'network': it has no weight 'b/kernel'.*"
            "Its weights: .*'conv/kernel', .*'head/bias'"
        )
        other = weight_mask.WeightMask(
            {**mask.values, "b/kernel": np.ones(3, bool)}
        )
        model = functional_model()
        for use in (other.check_fits, other.apply):
            with self.assertRaisesRegex(ValueError, message):
                use(model)

    def test_refuses_a_statistic(self):
        mask = full_mask(True, {"norm/moving_mean": (4,)})
        with self.assertRaisesRegex(ValueError, "no weight 'norm/moving_mean'"):
            mask.check_fits(functional_model())

    def test_refuses_another_shape(self):
        model = functional_model()
        values = dict(mask_for(model).values)
        # np.where would broadcast both of these.
        for name, shape in (("conv/bias", (1,)), ("norm/beta", (3, 4))):
            other = weight_mask.WeightMask(
                {**values, name: np.ones(shape, bool)}
            )
            message = (
                f"'network': weight '{name}' has shape .4,., the mask "
                rf"\({', '.join(map(str, shape))}"
            )
            for use in (other.check_fits, other.apply):
                with self.assertRaisesRegex(ValueError, message):
                    use(model)

    def test_refuses_a_model_that_is_not_built(self):
        model = keras.Sequential([layers.Dense(2, name="a")])
        with self.assertRaisesRegex(ValueError, "`model` must be built"):
            random_mask(0).check_fits(model)


class EdgesTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        inputs = keras.Input((4,))
        stem = keras.layers.Dense(3, name="stem")(inputs)
        hidden = keras.layers.Dense(2, name="branch")(keras.ops.relu(stem))
        back = keras.layers.Dense(3, name="back")(hidden)
        both = keras.layers.Add()([stem, back])
        outputs = keras.layers.Dense(1, name="end")(both)
        self.model = keras.Model(inputs, outputs)
        shapes = {"stem": (4, 3), "branch": (3, 2), "back": (2, 3)}
        shapes["end"] = (3, 1)
        for name, shape in shapes.items():
            layer = self.model.get_layer(name)
            layer.kernel.assign(np.ones(shape))
        self.kept = {f"{n}/kernel": np.ones(s, bool) for n, s in shapes.items()}

    def edges(self, **changes):
        kept = {**self.kept}
        for name, (index, value) in changes.items():
            kept[f"{name}/kernel"] = kept[f"{name}/kernel"].copy()
            kept[f"{name}/kernel"][index] = value
        return weight_mask.WeightMask(kept).edges(self.model)

    def test_a_layer_reads_every_branch_of_a_sum(self):
        self.assertEqual(
            self.edges(),
            {
                ("stem", "branch"): 6,
                ("branch", "back"): 6,
                ("stem", "end"): 3,
                ("back", "end"): 3,
            },
        )

    def test_a_removed_weight_leads_nowhere_on_either_side(self):
        # The first unit of the stem has no incoming weight left, and the end
        # does not read the last place of the sum.
        found = self.edges(stem=((slice(None), 0), False), end=((2, 0), False))
        self.assertEqual(found["stem", "branch"], 4)
        self.assertEqual(found["stem", "end"], 1)
        self.assertEqual(found["back", "end"], 2)

    def test_an_edge_without_weights_is_there_with_none(self):
        found = self.edges(back=((slice(None),), False))
        self.assertEqual(found["branch", "back"], 0)
        self.assertEqual(found["back", "end"], 0)
        self.assertEqual(found["stem", "end"], 3)

    def test_a_weight_of_zero_is_none_and_one_without_a_mask_is_kept(self):
        kernel = self.model.get_layer("branch").kernel
        kernel.assign(np.array([[1, 0], [0, 0], [1, 1]]))
        some = {"stem/kernel": self.kept["stem/kernel"]}
        found = weight_mask.WeightMask(some).edges(self.model)
        self.assertEqual(found["stem", "branch"], 3)
        self.assertEqual(found["branch", "back"], 6)

    def test_refuses_a_model_that_the_mask_does_not_fit(self):
        mask = weight_mask.WeightMask({"other/kernel": np.ones((2, 2), bool)})
        with self.assertRaisesRegex(ValueError, "no weight 'other/kernel'"):
            mask.edges(self.model)

    def test_refuses_a_model_without_a_way_from_layer_to_layer(self):
        mask = weight_mask.WeightMask({"first/kernel": np.ones((2, 3), bool)})
        first = keras.layers.Dense(3, name="first")
        model = keras.Sequential(
            [keras.Input((2,)), first, keras.layers.LayerNormalization()]
        )
        with self.assertRaisesRegex(ValueError, "units of a Conv or Dense"):
            mask.edges(model)
        alone = keras.Sequential([keras.Input((2,)), first])
        self.assertEqual(mask.edges(alone), {})


class FileTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.file = os.path.join(self.folder, "cats.mask")

    @parameterized.named_parameters(
        ("odd_sizes", {"a": (3, 3), "b": (7,), "c": (1,), "d": (2, 5, 3)}),
        ("multiples_of_8", {"a": (8,), "b": (4, 4)}),
        ("a_scalar_and_nothing", {"z": (), "b": (0, 3), "a": (9,)}),
        ("no_weights", {}),
    )
    def test_comes_back_from_the_file(self, shapes):
        mask = random_mask(3, shapes)
        provenance = {"task": "ohne Käse", "alpha": 1e-7, "seed": None}
        provenance["keep_fractions"] = {"a": 1 / 3, "b": float("inf")}
        mask = weight_mask.WeightMask(mask.values, provenance)
        mask.save(self.file)
        loaded = weight_mask.WeightMask.load(self.file)
        self.assertEqual(loaded, mask)
        self.assertEqual(list(loaded.values), list(shapes))
        self.assertEqual(loaded.provenance, provenance)
        self.assertEqual(os.listdir(self.folder), ["cats.mask"])

    def test_takes_a_bit_a_weight(self):
        n = 200_001
        random_mask(0, {"a": (n,)}).save(self.file)
        self.assertAllInRange(os.path.getsize(self.file), n / 8, n / 8 + 1_000)
        random_mask(0, {"a": (n,)}, keep=0.02).save(self.file)
        self.assertLess(os.path.getsize(self.file), n / 8 / 3)

    def test_a_model_given_to_load_must_fit(self):
        model = functional_model()
        mask_for(model).save(self.file)
        loaded = weight_mask.WeightMask.load(self.file, model)
        self.assertEqual(loaded, mask_for(model))
        with self.assertRaisesRegex(ValueError, "no weight 'conv/kernel'"):
            weight_mask.WeightMask.load(self.file, subclassed_model())

    @parameterized.named_parameters(
        ("nothing", b""),
        ("text", b"keep,remove\n1,0\n"),
        ("half_an_archive", b"PK\x03\x04\x14\x00"),
        ("a_pickle", pickle.dumps({"bits": 1})),
    )
    def test_refuses_another_file(self, content):
        with open(self.file, "wb") as f:
            f.write(content)
        with self.assertRaisesRegex(
            ValueError, "cats.mask holds no WeightMask: it is no .npz"
        ):
            weight_mask.WeightMask.load(self.file)

    @parameterized.named_parameters(
        ("other_arrays", {"kernel": np.ones(3)}),
        ("no_json", {"header": "x", "bits": np.zeros(1, "uint8")}),
        ("no_header", {"header": json.dumps(3), "bits": np.zeros(1, "uint8")}),
    )
    def test_refuses_another_archive(self, content):
        with open(self.file, "wb") as f:
            np.savez(f, **content)
        with self.assertRaisesRegex(
            ValueError, "cats.mask holds no WeightMask"
        ):
            weight_mask.WeightMask.load(self.file)

    @parameterized.named_parameters(
        ("another_program", {"format": "x"}, "its format is 'x', not 'mod"),
        ("no_format", {"format": None}, "its format is None, not 'mod"),
        ("another_kind", {"kind": "neurons"}, "holds neurons, not weights"),
        ("a_later_version", {"version": 3}, "of version 3.* reads 2 at most"),
        ("no_version", {"version": "new"}, "`version` .* got 'new'"),
        ("too_few_bits", {"bits": b""}, "1 bytes needed, 0 found"),
        ("too_many_bits", {"bits": b"\0\0"}, "1 bytes needed, 2 found"),
    )
    def test_says_what_the_file_holds_instead(self, change, message):
        header = {
            "format": "modularity_tf",
            "kind": "weights",
            "version": 1,
            "shapes": {"a": [3]},
            "provenance": {},
            "bits": b"\xa0",
        }
        for content in (header, {**header, **change}):  # the first is right
            bits = np.frombuffer(content.pop("bits"), "uint8")
            with open(self.file, "wb") as f:
                np.savez(f, header=json.dumps(content), bits=bits)
            if content is header:
                mask = weight_mask.WeightMask.load(self.file)
        self.assertAllEqual(mask.values["a"], [True, False, True])
        with self.assertRaisesRegex(
            ValueError, f"cats.mask holds no WeightMask: .*{message}"
        ):
            weight_mask.WeightMask.load(self.file)

    def test_the_header_names_format_kind_and_version(self):
        random_mask(0).save(self.file)
        with np.load(self.file) as archive:
            header = json.loads(str(archive["header"]))
        self.assertEqual(header["format"], "modularity_tf")
        self.assertEqual((header["kind"], header["version"]), ("weights", 2))

    def test_refuses_a_folder_that_does_not_exist(self):
        file = os.path.join(self.folder, "none", "cats.npz")
        with self.assertRaisesRegex(ValueError, "no folder .*none'"):
            random_mask(0).save(file)

    def test_refuses_a_file_cut_short(self):
        random_mask(0).save(self.file)
        with open(self.file, "rb") as f:
            content = f.read()
        for size in (len(content) // 2, len(content) - 1):
            with open(self.file, "wb") as f:
                f.write(content[:size])
            with self.assertRaisesRegex(ValueError, "holds no WeightMask"):
                weight_mask.WeightMask.load(self.file)

    def test_a_missing_file_is_no_mask_without_weights(self):
        with self.assertRaises(FileNotFoundError):
            weight_mask.WeightMask.load(self.file)

    def test_a_killed_save_leaves_no_half_file_and_the_earlier_one(self):
        def killed(f, **arrays):
            f.write(b"PK\x03\x04")
            raise KeyboardInterrupt

        def kill(mask):
            with (
                mock.patch.object(np, "savez_compressed", killed),
                self.assertRaises(KeyboardInterrupt),
            ):
                mask.save(self.file)

        kill(random_mask(0))
        self.assertFalse(os.path.exists(self.file))
        random_mask(0).save(self.file)
        kill(random_mask(1))
        self.assertEqual(weight_mask.WeightMask.load(self.file), random_mask(0))
        random_mask(1).save(self.file)  # over the rest of the killed one
        self.assertEqual(weight_mask.WeightMask.load(self.file), random_mask(1))
        self.assertEqual(os.listdir(self.folder), ["cats.mask"])

    def test_is_part_of_a_keras_config(self):
        mask = random_mask(0, {"a": (3, 3), "z": (), "b": (7,)})
        provenance = {"task": "x", "classes": (1, 2), "deep": {"a": [None]}}
        mask = weight_mask.WeightMask(mask.values, provenance)
        config = keras.saving.serialize_keras_object({"mask": mask})
        loaded = keras.saving.deserialize_keras_object(
            json.loads(json.dumps(config))
        )["mask"]
        self.assertIsInstance(loaded, weight_mask.WeightMask)
        self.assertEqual(loaded, mask)
        self.assertEqual(loaded.provenance, {**provenance, "classes": [1, 2]})


class PartOfAModelTest(parameterized.TestCase, tf.test.TestCase):
    """A model that is a layer of another has names in front of its paths."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keras.utils.set_random_seed(0)
        cls.inner = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(6, "relu", name="hidden"),
                layers.Dense(3, name="code"),
            ],
            name="encoder",
        )
        inputs = keras.Input((4,))
        head = layers.Dense(2, name="head")
        cls.outer = keras.Model(inputs, head(cls.inner(inputs)))
        cls.x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")

    def test_a_mask_of_the_wrapper_fits_the_inner_model_and_back(self):
        rng = np.random.default_rng(0)
        values = {
            path: rng.random(weight.variable.shape) < 0.5
            for path, weight in model_weights.model_weights(self.outer).items()
        }
        told = {"task": "t", "model_fingerprint": "a"}
        mask = weight_mask.WeightMask(values, told, values_as_scores(values))
        inside = mask.for_model(self.inner)
        self.assertEqual(
            [*inside.values],
            ["hidden/kernel", "hidden/bias", "code/kernel", "code/bias"],
        )
        self.assertEqual(inside.provenance, {"task": "t", "model": "encoder"})
        self.assertAllEqual(
            inside.scores["code/bias"], mask.scores["encoder/code/bias"]
        )
        part = mask.apply(self.outer).get_layer("encoder")
        self.assertAllClose(inside.apply(self.inner)(self.x), part(self.x))
        around = inside.for_model(self.outer)
        self.assertEqual(around, mask.select("encoder"))
        self.assertIs(mask.for_model(self.outer), mask)

    def test_a_selection_goes_there_and_back(self):
        some = neuron_selection.NeuronSelection({"hidden": np.arange(6) < 2})
        around = some.for_model(self.outer)
        self.assertEqual([*around.values], ["encoder/hidden"])
        self.assertEqual(around.for_model(self.inner), some)
        with self.assertRaisesRegex(ValueError, "no layer 'encoder/hidden'"):
            around.apply(self.inner)

    def test_what_is_of_no_part_is_refused(self):
        mask = random_mask(0)
        with self.assertRaisesRegex(ValueError, "there are no names in front"):
            mask.for_model(self.inner)
        with self.assertRaisesRegex(ValueError, "`for_model` takes a mask"):
            mask.apply(self.inner)
        inputs = keras.Input((4,))
        twice = [
            keras.Sequential(
                [keras.Input((4,)), layers.Dense(3, name="code")], name=name
            )
            for name in "ab"
        ]
        one = keras.Sequential(
            [keras.Input((4,)), layers.Dense(4, name="dense")], name="one"
        )
        own = keras.Model(inputs, one(layers.Dense(4, name="dense")(inputs)))
        mask = weight_mask.WeightMask({"dense/kernel": np.ones((4, 4), bool)})
        with self.assertRaisesRegex(ValueError, "several ways"):
            mask.for_model(own)
        both = keras.Model(inputs, [twice[0](inputs), twice[1](inputs)])
        code = neuron_selection.NeuronSelection({"code": np.ones(3, bool)})
        with self.assertRaisesRegex(ValueError, "several ways"):
            code.for_model(both)


def values_as_scores(values):
    return {path: value.astype("float32") for path, value in values.items()}


if __name__ == "__main__":
    tf.test.main()
