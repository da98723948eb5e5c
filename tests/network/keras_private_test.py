import ast
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers, ops

from modularity_tf.network import keras_private


def dropped(attribute, function):
    return (
        f"Keras {keras.__version__} has dropped or changed `{attribute}`, "
        f"which `keras_private.{function}` uses; it was checked with Keras "
        f"{keras_private.CHECKED_WITH}."
    )


def _files():
    """Yields our files, without the one that may use Keras's attributes."""
    root = pathlib.Path(__file__).parents[2]
    for package in ("modularity_tf", "reproduce"):
        for file in sorted((root / package).rglob("*.py")):
            if file.name != "keras_private.py":
                yield file


def foreign_private(code):
    """Returns where a module uses a private attribute that it does not define.

    On anything but `self`, `cls` and `super()`; `_asdict` and `_fields` of
    a named tuple are public.
    """
    nodes = [*ast.walk(ast.parse(code))]
    known = {"_asdict", "_fields"}
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            known.add(node.name)
        elif _is_own(node) and isinstance(node.ctx, ast.Store):
            known.add(node.attr)
    found = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and not _is_own(node):
            name = node.attr
        elif isinstance(node, ast.Call) and _is_getattr(node):
            name = node.args[1].value
        else:
            continue
        is_private = name.startswith("_") and not name.endswith("__")
        if is_private and name not in known:
            found.append(ast.unparse(node))
    return found


def _is_own(node):
    own = ("self", "cls", "super()")
    return isinstance(node, ast.Attribute) and ast.unparse(node.value) in own


def _is_getattr(call):
    return (
        ast.unparse(call.func) in ("getattr", "hasattr", "setattr")
        and len(call.args) > 1
        and isinstance(call.args[1], ast.Constant)
    )


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(3, name="first")
        self.second = layers.Dense(3, name="second")
        self.scale = self.add_weight(shape=(3,), name="scale")

    def call(self, inputs):
        return self.scale * self.second(self.first(inputs))


class KerasPrivateTest(parameterized.TestCase, tf.test.TestCase):
    def test_a_layer_has_its_own_weights_frozen_or_not(self):
        block = Block()
        block(np.ones((1, 2)))
        block.trainable = False
        message = dropped("Layer._trainable_variables", "own_weights")
        self.assertTrue(hasattr(block, "_trainable_variables"), message)
        own = keras_private.own_weights(block)
        self.assertEqual([w.name for w in own], ["scale"], message)

    def test_a_layer_has_the_layers_inside_it(self):
        message = dropped("Layer._layers", "children")
        model = keras.Sequential([keras.Input((2,)), Block(), Block()])
        self.assertTrue(hasattr(model, "_layers"), message)
        blocks = [
            x for x in keras_private.children(model) if isinstance(x, Block)
        ]
        self.assertEqual(blocks, model.layers, message)
        names = [x.name for x in keras_private.children(blocks[0])]
        self.assertEqual(names, ["first", "second"], message)

    def test_all_layers_come_once_and_in_order(self):
        inputs = keras.Input((3,))
        block, after = Block(name="block"), layers.ReLU(name="after")
        inner = keras.Sequential([keras.Input((3,)), block], name="inner")
        model = keras.Model(inputs, after(block(inner(inputs))), name="outer")
        found = keras_private.all_layers(model)
        names = [x.name for x in found if not isinstance(x, layers.InputLayer)]
        inside = ["block", "first", "second"]
        self.assertEqual(names, ["outer", "inner", *inside, "after"])

    @parameterized.named_parameters(
        ("dense", layers.Dense(2), (1, 3)),
        ("conv1d", layers.Conv1D(2, 1), (1, 3, 3)),
        ("conv2d", layers.Conv2D(2, 1), (1, 3, 3, 3)),
        ("conv3d", layers.Conv3D(2, 1), (1, 3, 3, 3, 3)),
    )
    def test_the_kernel_is_a_variable(self, layer, shape):
        message = dropped("Dense._kernel, BaseConv._kernel", "kernel")
        self.assertIsNone(keras_private.kernel(layer))
        layer.build(shape)
        kernel = keras_private.kernel(layer)
        self.assertIsInstance(kernel, keras.Variable, message)
        self.assertIs(kernel, layer.kernel, message)

    def test_the_inputs_have_the_structure_that_the_model_takes(self):
        message = dropped("Function._inputs_struct", "input_structure")
        inputs = {n: keras.Input((i,), name=n) for n, i in (("b", 2), ("a", 3))}
        model = keras.Model(inputs, layers.Concatenate()([*inputs.values()]))
        self.assertTrue(hasattr(model, "_inputs_struct"), message)
        found = keras_private.input_structure(model)
        self.assertEqual(
            {name: x.shape for name, x in found.items()},
            {"a": (None, 3), "b": (None, 2)},
            message,
        )
        single = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
        found = keras_private.input_structure(single)
        self.assertEqual(found.shape, (None, 2), message)

    def test_the_outputs_have_the_structure_that_the_model_returns(self):
        message = dropped("Function._outputs_struct", "output_structure")
        inputs = keras.Input((2,))
        both = {name: layers.Dense(1)(inputs) for name in "ba"}
        model = keras.Model(inputs, both)
        found = keras_private.output_structure(model)
        self.assertEqual({*found}, {"a", "b"}, message)
        single = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
        self.assertIsNone(keras_private.output_structure(single))

    def test_the_mask_of_a_tensor_is_what_keras_layers_read_and_write(self):
        message = dropped("_keras_mask", "get_keras_mask, set_keras_mask")
        steps = tf.constant([[[1.0], [0.0]]])
        written = keras_private.get_keras_mask(layers.Masking()(steps))
        self.assertIsNotNone(written, message)
        self.assertAllEqual(written, [[True, False]])
        self.assertIsNone(keras_private.get_keras_mask(steps))
        keras_private.set_keras_mask(steps, tf.constant([[False, True]]))
        read = layers.GlobalAveragePooling1D()(steps)
        self.assertAllClose(read, [[0.0]], msg=message)

    def test_an_optimizer_knows_the_place_of_a_variable(self):
        message = dropped("Optimizer._get_variable_index", "variable_index")
        variables = [keras.Variable([0.0]), keras.Variable([1.0])]
        optimizer = keras.optimizers.SGD()
        optimizer.build(variables)
        self.assertTrue(hasattr(optimizer, "_get_variable_index"), message)
        for i, variable in enumerate(variables):
            place = keras_private.variable_index(optimizer, variable)
            self.assertEqual(place, i, message)

    def test_a_variable_of_a_stateless_scope_has_no_value_yet(self):
        message = dropped("Variable._value", "is_initialized")
        with keras.StatelessScope():
            late = keras.Variable(lambda shape, dtype: ops.ones(shape), (2,))
            self.assertFalse(keras_private.is_initialized(late), message)
        self.assertTrue(keras_private.is_initialized(late), message)

    def test_a_model_has_the_seed_generators_of_its_layers(self):
        message = dropped("Layer._seed_generators", "seed_generators")
        inner = keras.Sequential([keras.Input((2,)), layers.Dropout(0.5)])
        model = keras.Sequential(
            [keras.Input((2,)), layers.GaussianNoise(1.0), inner]
        )
        self.assertEqual(
            keras_private.seed_generators(model),
            [model.layers[0].seed_generator, inner.layers[0].seed_generator],
            message,
        )

    def test_unseeded_draws_come_from_another_generator_for_a_while(self):
        message = dropped("global_seed_generator", "global_seed_generator")
        drawn = []
        for seed in (1, 1, 2):
            keras.utils.set_random_seed(0)
            with keras_private.global_seed_generator(seed):
                drawn.append(keras.random.uniform((3,)))
            after = keras.random.uniform((3,))
            keras.utils.set_random_seed(0)
            self.assertAllEqual(keras.random.uniform((3,)), after, message)
        self.assertAllEqual(drawn[0], drawn[1], message)
        self.assertNotAllEqual(drawn[0], drawn[2], message)

    def test_an_error_is_told_without_the_arguments_of_the_layer(self):
        class Refusing(layers.Layer):
            def call(self, inputs):
                raise keras_private.told_as_it_is(ValueError("No."))

        with self.assertRaises(ValueError) as raised:
            Refusing()(np.ones((1, 2)))
        message = dropped("_keras_call_info_injected", "told_as_it_is")
        self.assertEqual(str(raised.exception), "No.", message)

    def test_a_loss_of_a_function_is_what_compile_makes(self):
        loss = keras_private.loss_of_function(keras.losses.mean_squared_error)
        self.assertIsInstance(loss, keras.losses.Loss)
        y, p = np.ones((2, 1)), np.zeros((2, 1))
        self.assertAllClose(loss(y, p), 1.0)
        self.assertEqual(loss.name, "mean_squared_error")

    def test_metrics_are_those_that_compile_was_given(self):
        metric = keras.metrics.BinaryAccuracy()
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        self.assertIsNone(keras_private.compiled_metrics(model))
        model.compile("sgd", "mse", metrics=[metric, "mae"])
        given, name = keras_private.compiled_metrics(model)
        self.assertIs(given, metric)
        self.assertEqual(name, "mae")

    def test_values_of_a_metric_are_those_that_it_takes_the_mean_of(self):
        y, x = tf.constant([1, 0, 2]), tf.constant(np.eye(3, dtype="float32"))
        for metric, expected in (
            (keras.metrics.SparseCategoricalAccuracy(), [0, 0, 1]),
            (keras.metrics.MeanMetricWrapper(lambda y, x: x[:, 0]), [1, 0, 0]),
        ):
            values = keras_private.values_of(metric, y, x)
            self.assertAllClose(values, expected)
        self.assertIsNone(keras_private.values_of(keras.metrics.AUC(), y, x))
        self.assertIsNone(keras_private.values_of(None, y, x))

    def test_a_metric_may_make_some_variables_later(self):
        metric = keras.metrics.R2Score()
        self.assertFalse(keras_private.is_built(metric))
        metric.update_state(tf.ones((2, 1)), tf.zeros((2, 1)))
        self.assertTrue(keras_private.is_built(metric))
        self.assertTrue(keras_private.is_built(keras.metrics.AUC()))

    def test_no_other_file_reaches_for_a_private_attribute(self):
        files = [*_files()]
        self.assertNotEmpty(files)
        found = [
            f"{file}: {place}"
            for file in files
            for place in foreign_private(file.read_text())
        ]
        self.assertEmpty(found, "Put it into keras_private.py.")

    @parameterized.parameters(
        ("model._flatten_layers()", ["model._flatten_layers"]),
        ("layer.cell._kernel = 3", ["layer.cell._kernel"]),
        ("self.model._layers", ["self.model._layers"]),
        ("getattr(model, '_layers', ())", ["getattr(model, '_layers', ())"]),
        ("self._own(); cls._own; super()._own()", []),
        ("model.layers; x.__name__; setting._asdict()", []),
        ("def _rows(x): pass\nother._rows", []),
        ("self._rows = 3\nother._rows", []),
    )
    def test_a_private_attribute_of_others_is(self, code, expected):
        self.assertEqual(foreign_private(code), expected)


if __name__ == "__main__":
    tf.test.main()
