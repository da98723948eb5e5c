import gc
import weakref
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from keras import layers, ops

from modularity_tf.units import graph_paths, similarity
from tests import shipped_networks

CROSS_ENTROPY = keras.losses.CategoricalCrossentropy(from_logits=True)


def own_loss(targets, outputs):
    return tf.reduce_mean(tf.square(targets - outputs), -1)


def sequential(*stack, shape=(6,), dtype="float32"):
    model = keras.Sequential([keras.Input(shape, dtype=dtype), *stack])
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.normal(size=w.shape) / 2 for w in model.get_weights()]
    )  # not larger: float32 autodiff loses digits where p is near 1
    return model


def relu_network():
    return sequential(
        layers.Dense(5, "relu", name="a"),
        layers.Dropout(0.5),
        layers.Dense(4, "relu", name="b"),
        layers.Dense(6, "relu", name="c"),
        layers.Dense(3, name="logits"),
    )


def examples(shape=(6,), rows=23, classes=3, dtype="float32"):
    rng = np.random.default_rng(1)
    targets = np.eye(classes, dtype=dtype)[rng.integers(classes, size=rows)]
    return rng.normal(size=(rows, *shape)).astype(dtype), targets


def residual(x):
    h = layers.Dense(5, "relu", name="h")(x)
    h = layers.Add()([h, layers.Dense(5, "relu", name="g")(h)])
    return layers.Dense(3)(h)


def convolutional(x):
    h = layers.Reshape((4, 3, 1))(x)
    h = layers.Conv2D(4, 2, activation="relu", name="h")(h)
    h = layers.BatchNormalization()(h)
    h = layers.MaxPooling2D((2, 1))(h)
    h = layers.Conv2D(5, 1, padding="same", name="g")(h)
    h = layers.GlobalAveragePooling2D()(layers.LeakyReLU()(h))
    return layers.Dense(3)(h)


def gated(x):
    h = layers.Dense(5, name="h")(x)
    g = layers.Dense(5, "relu", name="g")(h)
    return layers.Dense(3)(h * g)


def curved(x):
    h = layers.Dense(5, "silu", name="h")(x)
    return layers.Dense(3)(layers.Dense(5, "tanh", name="g")(h))


def of_probabilities(x):
    h = layers.Dense(5, "relu", name="h")(x)
    return layers.Dense(3, "softmax")(h)


def scaled_by_its_own_norm(x):
    h = layers.Dense(5, "relu", name="h")(x)
    return layers.Dense(3)(h / (1.0 + ops.sum(h, axis=1, keepdims=True)))


def an_output_that_feeds_another(x):
    h = layers.Dense(5, "relu", name="h")(x)
    first = layers.Dense(2)(h)
    return [first, layers.Dense(1)(layers.Concatenate()([first, h]))]


def without_a_product_first(x):
    h = layers.Dense(5, "relu", name="h")(x)
    return layers.Dense(3)(layers.Concatenate()([h, x]))


def cross_entropy(targets, outputs):
    """Returns the cross entropy of logits or of probabilities."""
    return keras.losses.categorical_crossentropy(
        targets, outputs, from_logits=outputs.op.type != "Softmax"
    )


def finite_differences(stack, cut, inputs, targets, step=1e-4):
    """Returns the four matrices of layer `cut`, in float64 NumPy loops."""

    def front(x):
        for layer in stack[: cut + 1]:
            x = layer(x)
        return np.array(x)

    def back(h):
        for layer in stack[cut + 1 :]:
            h = layer(h)
        return np.array(h)

    def unit_means(h):
        return h.mean(axis=tuple(range(1, h.ndim - 1)))

    def losses(h):
        y = back(h)
        return np.log(np.exp(y).sum(-1)) - (targets * y).sum(-1)

    h = front(inputs)
    shifts = step * np.eye(h.shape[-1])
    up = []
    for j in np.ndindex(inputs.shape[1:]):
        move = np.zeros_like(inputs)
        move[:, *j] = step
        up.append(unit_means(front(inputs + move) - front(inputs - move)))
    up = np.stack(up, axis=-1) / (2 * step)
    down = np.stack([back(h + s) - back(h - s) for s in shifts], -1) / step / 2
    curvature = [
        [
            losses(h + s + t)
            - losses(h + s - t)
            - losses(h - s + t)
            + losses(h - s - t)
            for s in shifts
        ]
        for t in shifts
    ]
    return {
        "covariance": np.abs(np.cov(unit_means(h), rowvar=False)),
        "input_sensitivity": np.abs(
            np.einsum("kix,kjx->ij", up, up) / len(inputs)
        ),
        "output_sensitivity": np.abs(
            np.einsum("koi,koj->ij", down, down) / len(inputs)
        ),
        "loss_hessian": np.abs(np.mean(curvature, axis=-1)) / (4 * step**2),
    }


class UnitSimilaritiesTest(parameterized.TestCase, tf.test.TestCase):
    def test_arrays_are_as_good_as_batches(self):
        inputs, targets = examples()
        one, other = (
            similarity.unit_similarities(
                relu_network(),
                data,
                loss=CROSS_ENTROPY,
                measures=["covariance"],
            )
            for data in ((inputs, targets), [(inputs, targets)])
        )
        for path, found in one.items():
            for name, matrix in found.items():
                self.assertAllEqual(matrix, other[path][name])

    @parameterized.named_parameters(
        (
            "dense",
            (6,),
            [layers.Dense(4, "tanh"), layers.Dense(5, "tanh"), layers.Dense(3)],
            1,
        ),
        (
            "after_a_reshape",
            (3, 2),
            [layers.Flatten(), layers.Dense(4, "tanh"), layers.Dense(3)],
            1,
        ),
        (
            "channels",
            (5, 5, 2),
            [
                layers.Conv2D(3, 3, activation="tanh"),
                layers.Conv2D(4, 2, activation="tanh"),
                layers.Flatten(),
                layers.Dense(3),
            ],
            0,
        ),
        (
            "a_layer_without_weights",
            (6,),
            [
                layers.LayerNormalization(),
                layers.Dense(4),
                layers.Activation("softplus"),
                layers.Dense(3),
            ],
            2,
        ),
        ("the_inputs_reshaped", (2, 3), [layers.Flatten(), layers.Dense(3)], 0),
    )
    def test_matches_finite_differences(self, shape, stack, cut):
        stack = [
            type(layer).from_config({**layer.get_config(), "dtype": "float64"})
            for layer in stack
        ]
        model = sequential(*stack, shape=shape, dtype="float64")
        inputs, targets = examples(shape, 6, dtype="float64")
        name = stack[cut].name
        found = similarity.unit_similarities(
            model, [(inputs, targets)], layers=name, loss=CROSS_ENTROPY
        )[name]
        self.assertSameElements(found, similarity.MEASURES)
        expected = finite_differences(stack, cut, inputs, targets)
        for kind, matrix in expected.items():
            self.assertEqual(found[kind].dtype, np.float64)
            self.assertAllClose(found[kind], matrix, 1e-4, 1e-6, msg=kind)
            self.assertAllClose(
                found[f"normalized_{kind}"],
                matrix / np.sqrt(np.outer(np.diag(matrix), np.diag(matrix))),
                1e-3,
                1e-5,
                msg=kind,
            )

    def test_matches_the_closed_form_of_a_linear_network(self):
        model = sequential(
            layers.Dense(4, name="h"), layers.Dense(3, name="y", use_bias=False)
        )
        model.compile(loss="mse")
        inputs, targets = examples()
        found = similarity.unit_similarities(model, [(inputs, targets)])["h"]
        first, _, last = model.get_weights()
        expected = {
            "covariance": first.T @ np.cov(inputs, rowvar=False) @ first,
            "input_sensitivity": first.T @ first,
            "output_sensitivity": last @ last.T,
            "loss_hessian": last @ last.T * 2 / 3,  # mean over 3 outputs
        }
        for kind, matrix in expected.items():
            self.assertAllClose(found[kind], np.abs(matrix), 1e-5, msg=kind)

    def test_autodiff_and_closed_form_agree_and_batches_add_up(self):
        model = relu_network()
        inputs, targets = examples(rows=24)
        data = tf.data.Dataset.from_tensor_slices((inputs, targets))
        weights = model.get_weights()
        whole = similarity.relu_similarities(
            weights[::2], weights[1::2], inputs
        )
        chunks = similarity.relu_similarities(
            weights[::2], weights[1::2], inputs, chunk_size=7
        )
        found = similarity.unit_similarities(
            model, data.batch(8), loss=CROSS_ENTROPY
        )
        self.assertEqual(list(found), ["a", "b", "c"])
        for matrices in (whole, chunks):
            for one, other in zip(found.values(), matrices, strict=True):
                for name in similarity.MEASURES:
                    self.assertAllClose(
                        one[name], other[name], 1e-4, 1e-5, msg=name
                    )

    def test_covariance_keeps_its_digits_far_from_zero(self):
        model = sequential(layers.Dense(2, name="h"), layers.Dense(3))
        model.layers[0].set_weights([np.eye(6, 2), np.zeros(2)])
        inputs, targets = examples(rows=400)
        inputs = (inputs + 1000).astype("float32")
        data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(7)
        found = similarity.unit_similarities(
            model, data, layers="h", measures=["covariance"]
        )
        self.assertEqual(list(found["h"]), ["covariance"])
        expected = np.abs(np.cov(inputs[:, :2].astype("float64").T))
        self.assertAllClose(found["h"]["covariance"], expected, 1e-9, 1e-12)

    def test_does_not_depend_on_how_the_model_is_written(self):
        class Subclassed(keras.Model):
            def __init__(self):
                super().__init__()
                self.stack = plain.layers

            def call(self, inputs):
                for layer in self.stack:
                    inputs = layer(inputs)
                return inputs

        plain = relu_network()
        inputs, targets = examples()
        data = [(inputs, targets)]
        expected = similarity.unit_similarities(
            plain, data, layers="b", loss=CROSS_ENTROPY
        )
        x = keras.Input((6,))
        y = x
        for layer in plain.layers:
            y = layer(y)
        nested_input = keras.Input((6,))
        subclassed = Subclassed()
        subclassed(inputs)
        for model in (
            keras.Model(x, y),
            keras.Model(nested_input, plain(nested_input)),
            subclassed,
        ):
            found = similarity.unit_similarities(
                model, data, layers="b", loss=CROSS_ENTROPY
            )
            ((path, matrices),) = found.items()
            self.assertEqual(path.rpartition("/")[-1], "b")
            for name in similarity.MEASURES:
                self.assertAllClose(matrices[name], expected["b"][name], 1e-5)

    @parameterized.parameters(
        *(residual, convolutional, gated, curved, of_probabilities),
        *(scaled_by_its_own_norm, an_output_that_feeds_another),
        without_a_product_first,
    )
    def test_what_the_graph_tells_saves_work_and_changes_nothing(self, build):
        x = keras.Input((12,))
        model = keras.Model(x, build(x))
        rng = np.random.default_rng(0)
        model.set_weights(
            [rng.uniform(0.1, 1, w.shape) - 0.4 for w in model.get_weights()]
        )  # variances of a BatchNormalization are 0.1 or more
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.moving_variance.assign([0.5, 1.0, 2.0, 3.0])
        data, loss = [examples((12,), 9)], cross_entropy
        if len(model.outputs) > 1:
            inputs, targets = examples((12,), 9)
            data, loss = [(inputs, [targets[:, :2], targets[:, 2:]])], "mse"
        found = similarity.unit_similarities(model, data, loss=loss)
        with (
            mock.patch.object(graph_paths, "piecewise_linear", lambda *_: ()),
            mock.patch.object(graph_paths, "is_product", lambda *_: False),
            mock.patch.object(graph_paths, "before_functions", lambda h, _: h),
        ):
            expected = similarity.unit_similarities(model, data, loss=loss)
        self.assertIn("h", found)
        for name, matrices in expected.items():
            for kind in similarity.MEASURES:
                self.assertAllClose(
                    *(found[name][kind], matrices[kind], 1e-4),
                    1e-5 * matrices[kind].max(),
                    msg=f"{kind} of {name}",
                )

    def test_a_loss_may_look_past_the_outputs(self):
        model = sequential(layers.Dense(4, name="h"), layers.Dense(3, name="y"))

        def squares(_, outputs):
            product, _ = outputs.op.inputs  # and a bias
            return tf.reduce_sum(tf.square(product), axis=1)

        found = similarity.unit_similarities(
            model, [examples()], loss=squares, measures=["loss_hessian"]
        )
        _, _, last, _ = model.get_weights()
        self.assertAllClose(
            found["h"]["loss_hessian"], 2 * np.abs(last @ last.T), 1e-5
        )

    def test_inputs_that_are_used_twice_count_twice(self):
        x = keras.Input((6,))
        both = layers.Concatenate()([x, layers.Dense(2, name="d")(x)])
        h = layers.Dense(4, name="h")(both)
        model = keras.Model(x, layers.Dense(3, name="y")(h))
        found = similarity.unit_similarities(
            model, [examples()], layers="h", measures=["input_sensitivity"]
        )
        first, _, second, *_ = model.get_weights()
        jacobian = second[:6] + first @ second[6:]
        self.assertAllClose(
            found["h"]["input_sensitivity"], np.abs(jacobian.T @ jacobian), 1e-5
        )

    def test_calls_of_a_shared_layer_are_positions(self):
        x = keras.Input((4,))
        shared = layers.Dense(4, name="shared")
        model = keras.Model(x, layers.Dense(3, name="y")(shared(shared(x))))
        found = similarity.unit_similarities(
            model, [examples((4,))], loss=CROSS_ENTROPY
        )["shared"]
        w, _, last, _ = model.get_weights()
        up = (w + w @ w) / 2
        down = (np.eye(4) + w) @ last  # shifted in both calls
        self.assertAllClose(found["input_sensitivity"], abs(up.T @ up), 1e-5)
        self.assertAllClose(
            found["output_sensitivity"], abs(down @ down.T), 1e-5
        )

    def test_a_dead_unit_is_found_by_every_measure(self):
        model = relu_network()
        kernel, bias = model.layers[0].get_weights()
        kernel[:, 2], bias[2] = 0, -1  # never fires
        model.layers[0].set_weights([kernel, bias])
        next_kernel, next_bias = model.layers[2].get_weights()
        next_kernel[2] = 0  # nor would be heard
        model.layers[2].set_weights([next_kernel, next_bias])
        inputs, targets = examples()
        weights = model.get_weights()
        autodiff = similarity.unit_similarities(
            model, [(inputs, targets)], layers="a", loss=CROSS_ENTROPY
        )["a"]
        closed, *_ = similarity.relu_similarities(
            weights[::2], weights[1::2], inputs
        )
        for found in (autodiff, closed):
            for matrix in found.values():
                self.assertAllEqual(matrix.any(axis=0), np.arange(5) != 2)

    def test_refuses_what_is_not_finite_by_layer(self):
        model = relu_network()
        inputs, targets = examples()
        inputs[3, 0] = np.nan
        one = {"layers": "b", "measures": ["covariance"]}
        with self.assertRaisesRegex(ValueError, "NaN .* the inputs"):
            similarity.unit_similarities(model, [(inputs, targets)], **one)
        weights = model.get_weights()
        for bad in (np.nan, np.inf):
            inputs[3, 0] = bad
            with self.assertRaisesRegex(ValueError, "'hidden layer 1'"):
                similarity.relu_similarities(
                    weights[::2], weights[1::2], inputs
                )
        inputs, targets = examples()
        targets[0] = np.nan
        data = [(inputs, targets)]
        with self.assertRaisesRegex(ValueError, "or the loss"):
            similarity.unit_similarities(
                model,
                data,
                layers="b",
                loss=CROSS_ENTROPY,
                measures=["loss_hessian"],
            )
        broken = sequential(
            layers.Dense(4, keras.ops.log, name="broken"),
            layers.Activation(keras.ops.nan_to_num),
        )
        with self.assertRaisesRegex(ValueError, "NaN .* 'broken'"):
            similarity.unit_similarities(
                broken, [examples()], layers="broken", measures=["covariance"]
            )
        model.layers[0].bias.assign(np.full(5, np.nan))
        with self.assertRaisesRegex(ValueError, "weight '.*a/bias' is NaN"):
            similarity.unit_similarities(model, [examples()], **one)

    @parameterized.named_parameters(
        ("layer", {"layers": "nope"}, "'nope', which is no layer"),
        ("measure", {"measures": ["nope"]}, "'nope'"),
        ("no_loss", {"loss": None}, "`loss` is needed"),
        ("reduced_loss", {"loss": lambda t, y: tf.reduce_sum(y)}, "every ex"),
        (
            "one_example",
            {"data": [examples(rows=1)], "measures": ["covariance"]},
            "1 examples",
        ),
        ("no_labels", {"data": [examples()[:1]]}, "a tuple in it"),
        ("text", {"data": [(examples()[0], ["a"] * 23)]}, "numbers, got text"),
        (
            "inputs_that_are_not_floats",
            {"data": [(np.ones((4, 6), int), np.eye(4, 3))]},
            "must be floats",
        ),
    )
    def test_refuses(self, changed, message):
        kwargs = {"data": [examples()], "loss": CROSS_ENTROPY} | changed
        with self.assertRaisesRegex(ValueError, message):
            similarity.unit_similarities(relu_network(), **kwargs)

    def test_of_several_outputs_those_of_the_task_count(self):
        model = shipped_networks.faces()
        head = keras.Model(model.inputs, model.outputs[1])
        rng = np.random.default_rng(0)
        x = rng.normal(size=(6, 8, 8, 2)).astype("float32")
        box, y = np.ones((6, 4)), np.arange(6) % 2
        loss = "sparse_categorical_crossentropy"
        measures = ["output_sensitivity", "loss_hessian"]
        kwargs = {"layers": ["dense"], "measures": measures}
        (expected,) = similarity.unit_similarities(
            head, (x, y), loss=loss, **kwargs
        ).values()
        for task in (
            {"loss": {"out_face": loss}},
            {"loss": ["mse", loss], "outputs": "out_face"},
        ):
            for labels in (y, [box, y]):
                (found,) = similarity.unit_similarities(
                    model, (x, labels), **task, **kwargs
                ).values()
                self.assertAllClose(found, expected)
        both = {"loss": {"out_box": "mse", "out_face": loss}}
        (found,) = similarity.unit_similarities(
            model, (x, {"out_face": y, "out_box": box}), **both, **kwargs
        ).values()
        (boxes,) = similarity.unit_similarities(
            keras.Model(model.inputs, model.outputs[0]),
            (x, box),
            loss="mse",
            layers=["dense"],
            measures=["loss_hessian"],
        ).values()
        # Hessians add up before their magnitude is taken.
        most = expected["loss_hessian"] + boxes["loss_hessian"]
        self.assertTrue((found["loss_hessian"] <= most + 1e-5).all())
        self.assertAllClose(
            np.diag(found["loss_hessian"]), np.diag(most), atol=1e-5
        )

    @parameterized.parameters(False, True)
    def test_one_loss_is_that_of_each_output(self, is_dict):
        x = keras.Input((6,))
        h = layers.Dense(4, "tanh", name="h")(x)
        ends = {"u": layers.Dense(2, name="u")(h), "v": layers.Dense(1)(h)}
        model = keras.Model(x, ends if is_dict else [*ends.values()])
        inputs, labels = examples()
        labels = {"u": labels[:, :2], "v": labels[:, 0]}
        data = inputs, labels if is_dict else [*labels.values()]
        of_each = dict.fromkeys(ends, "mse") if is_dict else ["mse", "mse"]
        one, each = (
            similarity.unit_similarities(
                model, data, loss=loss, measures=["loss_hessian"]
            )["h"]["loss_hessian"]
            for loss in ("mse", of_each)
        )
        self.assertAllClose(one, each)

    @parameterized.parameters(
        "hinge", "kl_divergence", "binary_crossentropy", own_loss
    )
    def test_labels_may_lack_the_axis_of_a_single_output(self, loss):
        model = sequential(
            layers.Dense(4, "tanh", name="h"), layers.Dense(1, "sigmoid")
        )
        inputs, labels = examples()
        flat, column = (
            similarity.unit_similarities(
                model, (inputs, y), loss=loss, measures=["loss_hessian"]
            )["h"]["loss_hessian"]
            for y in (labels[:, 0], labels[:, :1])
        )
        self.assertAllClose(flat, column)

    def test_refuses_labels_of_no_class(self):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        with self.assertRaisesRegex(ValueError, "label value of 3 .* range"):
            similarity.unit_similarities(
                relu_network(), [(examples()[0], np.full(23, 3))], loss=loss
            )

    def test_is_the_same_where_all_functions_run_eagerly(self):
        model, data = relu_network(), [examples()]
        model.compile(loss=CROSS_ENTROPY)
        expected = similarity.unit_similarities(model, data)
        self.addCleanup(tf.config.run_functions_eagerly, False)
        tf.config.run_functions_eagerly(True)
        self.assertAllClose(similarity.unit_similarities(model, data), expected)

    def test_refuses_weights_of_examples(self):
        inputs, labels = examples()
        weights, measures = np.ones(len(inputs)), ["covariance"]
        args = {"model": relu_network(), "measures": measures}
        similarity.unit_similarities(data=(inputs, labels, weights), **args)
        weights[0] = 0
        with self.assertRaisesRegex(ValueError, "`data` has sample weights"):
            similarity.unit_similarities(data=(inputs, labels, weights), **args)

    def test_measures_may_be_a_generator(self):
        found = similarity.unit_similarities(
            relu_network(),
            [examples()],
            layers="a",
            measures=iter(["covariance"]),
        )
        self.assertEqual([*found["a"]], ["covariance"])

    def test_refuses_networks_that_do_not_fit_together(self):
        kernels = [np.ones((6, 5)), np.ones((4, 3))]
        with self.assertRaisesRegex(ValueError, r"\(6, 5\), \(4, 3\)"):
            similarity.relu_similarities(
                kernels, [np.ones(5), np.ones(3)], np.ones((7, 6))
            )


class Spy(layers.Layer):
    """Counts how often it is traced."""

    traced = 0

    def call(self, inputs):
        self.traced += 1
        return inputs


class OfOneSize(layers.Layer):
    """Needs to know the size of a batch in advance."""

    def call(self, inputs):
        return ops.stack([inputs[i] for i in range(inputs.shape[0])])


class UnitSimilaritiesAgainTest(tf.test.TestCase):
    def model(self, *more):
        self.spy = Spy()
        model = sequential(
            layers.Dense(4, "relu", name="h"), *more, self.spy, layers.Dense(3)
        )
        model.compile(loss=CROSS_ENTROPY)
        self.spy.traced = 0
        return model

    def check(self, found, model, data, **kwargs):
        expected = similarity.unit_similarities(model, data, **kwargs)
        self.assertEqual([*found], [*expected])
        for name, matrices in expected.items():
            for kind, matrix in matrices.items():
                self.assertAllClose(found[name][kind], matrix, msg=kind)

    def test_is_traced_once_and_takes_the_weights_as_they_are(self):
        model = self.model()
        similarities = similarity.UnitSimilarities(model)
        inputs, targets = examples(rows=11)
        data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(4)
        before = similarities(data)["h"]["covariance"]
        model.set_weights([w * 0.5 for w in model.get_weights()])
        after = similarities(data)
        self.assertEqual(self.spy.traced, 1)  # and not for the last batch
        self.assertNotAllClose(after["h"]["covariance"], before)
        self.check(after, model, data)

    def test_traces_anew_for_another_loss(self):
        model, data = self.model(), [examples()]
        measures = ["loss_hessian"]
        similarities = similarity.UnitSimilarities(model, measures=measures)
        before = similarities(data)["h"]["loss_hessian"]
        model.compile(loss="mse")
        after = similarities(data)
        self.assertNotAllClose(after["h"]["loss_hessian"], before)
        self.check(after, model, data, measures=measures)

    def test_traces_anew_for_other_layers(self):
        model, data = self.model(), [examples()]
        measures = ["output_sensitivity"]
        similarities = similarity.UnitSimilarities(model, measures=measures)
        self.assertEqual([*similarities(data)], ["h"])
        model.pop()
        model.add(layers.Dense(5, "tanh", name="g"))
        model.add(layers.Dense(3))
        after = similarities(data)
        self.assertEqual([*after], ["h", "g"])
        self.check(after, model, data, measures=measures)

    def test_a_model_may_need_to_know_the_size_of_a_batch(self):
        model = sequential(layers.Dense(4, name="h"), layers.Dense(3))
        fixed = keras.Sequential(
            [keras.Input(batch_shape=(4, 6)), OfOneSize(), *model.layers]
        )
        data = [examples(rows=4)] * 2
        kwargs = {"measures": ["covariance", "output_sensitivity"]}
        found = similarity.UnitSimilarities(fixed, **kwargs)(data)
        self.check(found, model, data, **kwargs)

    def test_keeps_no_model_alive(self):
        model = self.model()
        similarity.unit_similarities(model, [examples()], layers="h")
        gone = weakref.ref(model)
        del model, self.spy
        gc.collect()
        self.assertIsNone(gone())


class NormalizeTest(parameterized.TestCase, tf.test.TestCase):
    def matrix(self):
        rows = np.random.default_rng(0).normal(size=(5, 3))
        rows[2] = 0
        return np.abs(rows @ rows.T)

    def test_is_between_0_and_1_and_zero_rows_stay_zero(self):
        found = similarity.normalize(self.matrix())
        self.assertBetween(found.min(), 0, 0)
        self.assertLessEqual(found.max(), 1 + 1e-12)
        self.assertAllClose(np.diag(found), [1, 1, 0, 1, 1])
        self.assertAllEqual(found[2], np.zeros(5))
        self.assertAllEqual(
            similarity.normalize(np.zeros((2, 2))), 0 * found[:2, :2]
        )

    @parameterized.parameters(1e-30, 1e-9, 1e20)
    def test_does_not_depend_on_the_scale(self, scale):
        matrix = self.matrix()
        self.assertAllClose(
            similarity.normalize(scale * matrix),
            similarity.normalize(matrix),
            1e-12,
            1e-12,
        )

    @parameterized.named_parameters(
        ("not_square", np.ones((2, 3)), "square"),
        ("negative", -np.eye(2), "not negative"),
        ("nan", np.full((2, 2), np.nan), "finite"),
        ("asymmetric", np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
    )
    def test_refuses(self, matrix, message):
        with self.assertRaisesRegex(ValueError, message):
            similarity.normalize(matrix)


LENGTHS = [2, 5, 3, 0, 1, 4]


def padded(length):
    rng = np.random.default_rng(0)
    rows, tags = rng.normal(size=(6, 5, 3)), rng.integers(2, size=(6, 5))
    inputs = np.zeros((6, length, 3), "float32")
    targets = np.zeros((6, length), "int32")
    for i, n in enumerate(LENGTHS):
        inputs[i, :n], targets[i, :n] = rows[i, :n], tags[i, :n]
    return inputs, targets


class PaddingTest(tf.test.TestCase):
    def test_more_of_it_changes_no_measure(self):
        x, shared = keras.Input((None, 3)), layers.Dense(2, "tanh", name="b")
        h = layers.Dense(2, "tanh", name="a")(layers.Masking()(x))
        model = keras.Model(x, layers.Dense(2)(shared(shared(h))))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        found = similarity.UnitSimilarities(model, layers=["a", "b"], loss=loss)
        short, long = (found([padded(n)]) for n in (5, 9))
        for path, matrices in short.items():
            for name, matrix in matrices.items():
                self.assertAllClose(
                    matrix, long[path][name], 1e-4, 1e-7, msg=(path, name)
                )
                self.assertGreater(np.min(np.diag(matrix)), 0.0)

    def test_of_what_is_not_padded_they_are_the_measures(self):
        # One example at a time, without padding: the same sums.
        model = keras.Sequential(
            [
                keras.Input((None, 3)),
                layers.Masking(),
                layers.Dense(3, "tanh", name="a"),
                layers.Dense(2, name="last"),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        kinds = ["input_sensitivity", "output_sensitivity", "loss_hessian"]
        found = similarity.UnitSimilarities(
            model, layers="a", loss=loss, measures=kinds
        )
        inputs, targets = padded(7)
        rows = [i for i, n in enumerate(LENGTHS) if n]
        alone = [
            (inputs[i : i + 1, : LENGTHS[i]], targets[i : i + 1, : LENGTHS[i]])
            for i in rows
        ]
        expected = found(alone)["a"]
        together = found([(inputs[rows], targets[rows])])["a"]
        self.assertAllClose(together, expected, 1e-4, 1e-7)

    def test_recurrent_layers_act_alike_whatever_the_padding(self):
        model = keras.Sequential(
            [
                keras.Input((None, 3)),
                layers.Masking(),
                layers.Bidirectional(
                    layers.GRU(2, return_sequences=True), name="gru"
                ),
                layers.LSTM(3, return_sequences=True, name="lstm"),
            ]
        )
        short, long = (
            similarity.unit_similarities(
                model,
                [padded(n)],
                layers=["gru", "lstm"],
                measures=["covariance"],
            )
            for n in (5, 9)
        )
        self.assertAllClose(short["gru"], long["gru"], 1e-5, 1e-8)
        self.assertAllClose(short["lstm"], long["lstm"], 1e-5, 1e-8)


class HalfPrecisionTest(parameterized.TestCase, tf.test.TestCase):
    def model(self, policy):
        stack = [
            layers.Conv2D(3, 3, activation="relu", name="c", dtype=policy),
            layers.GlobalAveragePooling2D(dtype=policy),
            layers.Dense(4, "relu", name="h", dtype=policy),
            layers.Dense(3, name="last", dtype=policy),
        ]
        return sequential(*stack, shape=(64, 64, 1))

    @parameterized.named_parameters(
        ("float16", "mixed_float16", 0.02), ("bfloat16", "mixed_bfloat16", 0.1)
    )
    def test_measures_are_those_of_float32(self, policy, rtol):
        data = [examples((64, 64, 1), 8)]
        expected, found = (
            similarity.unit_similarities(
                self.model(kind), data, layers="c", loss=CROSS_ENTROPY
            )
            for kind in ("float32", policy)
        )
        for path, matrices in expected.items():
            for name, matrix in matrices.items():
                self.assertAllClose(
                    found[path][name],
                    matrix,
                    atol=rtol * np.max(matrix),
                    rtol=0.0,
                    msg=(path, name),
                )

    def test_an_overflow_is_said_to_be_one(self):
        model = self.model("mixed_float16")
        model.get_layer("last").kernel.assign(np.full((4, 3), 6e4))
        with self.assertRaisesRegex(ValueError, "they overflow in float16"):
            similarity.unit_similarities(
                model, [examples((64, 64, 1), 8)], measures=["covariance"]
            )


class TextTest(tf.test.TestCase):
    def test_has_a_covariance_and_no_derivatives(self):
        words = np.array([["a", "b"], ["b", "b"], ["c", "a"], ["c", "c"]])
        model = keras.Sequential(
            [
                keras.Input((2,), dtype="string"),
                layers.StringLookup(vocabulary=["a", "b", "c"]),
                layers.Embedding(4, 3),
                layers.Dense(3, name="d"),
                layers.Flatten(),
                layers.Dense(2, name="last"),
            ]
        )
        data = (words.astype(object), np.eye(2)[[0, 1, 1, 0]])
        found = similarity.unit_similarities(
            model, data, layers="d", measures=["covariance"]
        )
        units = keras.Sequential(model.layers[:3])(tf.constant(words))
        expected = np.cov(np.mean(units, axis=1), rowvar=False)
        self.assertAllClose(found["d"]["covariance"], np.abs(expected))
        for name in ("input_sensitivity", "output_sensitivity"):
            with self.assertRaisesRegex(ValueError, "got .'string'.*Leave"):
                similarity.unit_similarities(
                    model, data, layers="d", measures=[name]
                )


if __name__ == "__main__":
    tf.test.main()
