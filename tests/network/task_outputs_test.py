import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf.network import task_outputs
from tests import shipped_networks

X = np.zeros((6, 8, 8, 2), "float32")
BOX, FACE = np.ones((6, 4), "float32"), np.arange(6) % 2
LOSS = "sparse_categorical_crossentropy"


class TwoHeads(keras.Model):
    """A subclassed model of two outputs that have no names."""

    def __init__(self):
        super().__init__()
        self.heads = [keras.layers.Dense(3), keras.layers.Dense(2)]

    def call(self, x):
        return [head(x) for head in self.heads]


def named_outputs():
    inputs = keras.Input((2,))
    heads = {name: keras.layers.Dense(1)(inputs) for name in ("b", "a")}
    return keras.Model(inputs, heads)


class TaskTest(parameterized.TestCase, tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = shipped_networks.faces()

    @parameterized.named_parameters(
        ("by_name", {"loss": LOSS, "outputs": "out_face"}),
        ("by_names", {"loss": ["mse", LOSS], "outputs": ["out_face"]}),
        ("dict", {"loss": {"out_face": LOSS}}),
        ("dict_with_none", {"loss": {"out_face": LOSS, "out_box": None}}),
        ("list_with_none", {"loss": [None, LOSS]}),
    )
    def test_a_task_of_one_output_asks_nothing_of_the_others(self, arguments):
        found = task_outputs.task(self.model, metrics=["acc"], **arguments)
        self.assertEqual(found.chosen, ("out_face",))
        self.assertEqual(found.objective["loss"], [None, LOSS])
        self.assertEqual(found.objective["metrics"], [None, ["acc"]])

    @parameterized.named_parameters(
        ("of_the_task", ["acc", "mae"], {}, ["acc", "mae"]),
        ("by_output", [None, "acc"], {}, "acc"),
        ("by_name", {"out_face": ["acc"]}, {}, ["acc"]),
        ("as_compiled", None, {"metrics": ["mae", "acc"]}, ["acc"]),
    )
    def test_metrics_are_those_of_the_output(self, metrics, compiled, expected):
        model = shipped_networks.faces()
        model.compile(loss=["mse", LOSS], **compiled)
        found = task_outputs.task(model, None, metrics, "out_face")
        names = found.objective["metrics"][1]
        if compiled:
            names = [getattr(x, "name", x) for x in keras.tree.flatten(names)]
        self.assertEqual(names, expected)

    @parameterized.named_parameters(
        ("one_for_all", {"loss": "mse"}),
        ("list", {"loss": ["mse", LOSS]}),
        ("dict", {"loss": {"out_box": "mse", "out_face": LOSS}}),
    )
    def test_a_task_of_all_outputs_is_left_as_it_is(self, arguments):
        found = task_outputs.task(self.model, **arguments)
        self.assertTrue(found.is_whole)
        self.assertEqual(found.objective["loss"], arguments["loss"])
        data = X, [BOX, FACE]
        self.assertIs(found.data("data", data, self.model), data)

    @parameterized.named_parameters(
        ("one_array", FACE),
        ("all", [BOX, FACE]),
        ("those_of_the_task", [FACE]),
        ("none_for_others", [None, FACE]),
        ("dict", {"out_face": FACE}),
        ("dict_of_all", {"out_face": FACE, "out_box": BOX}),
    )
    def test_labels_of_the_task_are_enough(self, labels):
        asked = task_outputs.task(self.model, LOSS, outputs="out_face")
        _, (box, face) = asked.data("data", (X, labels), self.model)
        self.assertAllEqual(face, FACE)
        self.assertAllEqual(box, np.zeros((6, 1)))

    @parameterized.parameters("list", "dataset", "generator", "py_dataset")
    def test_batches_of_any_kind_have_labels_for_all(self, kind):
        class Both(keras.utils.PyDataset):
            num_batches = 2

            def __getitem__(self, index):
                return X[:3], FACE[:3]

        both = [(X[:3], FACE[:3])] * 2
        data = {
            "list": both,
            "dataset": tf.data.Dataset.from_tensor_slices((X, FACE)).batch(3),
            "generator": (batch for batch in both),
            "py_dataset": Both(),
        }[kind]
        asked = task_outputs.task(self.model, LOSS, outputs="out_face")
        found = asked.data("data", data, self.model)
        if kind == "py_dataset":
            self.assertEqual(found.num_batches, 2)
            found = [found[0], found[1]]
        passes = [[*found]] if kind == "generator" else [[*found], [*found]]
        for batches in passes:
            self.assertLen(batches, 2)
            for _, (box, face) in batches:
                self.assertEqual((box.shape[0], face.shape[0]), (3, 3))

    def test_weights_are_those_of_the_task(self):
        asked = task_outputs.task(self.model, LOSS, outputs="out_face")
        data = X, FACE, {"out_face": FACE}
        *_, (box, face) = asked.data("data", data, self.model)
        self.assertAllEqual(face, FACE)
        self.assertAllEqual(box, np.ones(6))
        *_, weights = asked.data("data", (X, FACE, FACE), self.model)
        self.assertAllEqual(weights, FACE)

    def test_outputs_without_names_are_numbered(self):
        model = TwoHeads()
        model(np.zeros((1, 2), "float32"))
        self.assertEqual(task_outputs.names_of(model), ("output_0", "output_1"))
        self.assertEqual(task_outputs.shape_of(model, "output_1"), (None, 2))
        asked = task_outputs.task(model, "mse", outputs="output_1")
        self.assertEqual(asked.objective["loss"], [None, "mse"])

    def test_a_dict_of_a_subclassed_model_has_its_own_names(self):
        class Named(TwoHeads):
            def call(self, inputs):
                first, second = super().call(inputs)
                return {"b": first[..., :1], "a": second}

        model = Named()
        model(np.zeros((1, 2), "float32"))
        self.assertEqual(task_outputs.names_of(model), ("a", "b"))
        self.assertEqual(task_outputs.shape_of(model, "b"), (None, 1))
        asked = task_outputs.task(model, {"a": "mse"})
        self.assertEqual(asked.objective["loss"], ["mse", None])

    def test_outputs_in_a_dict_keep_their_structure(self):
        model = named_outputs()
        asked = task_outputs.task(model, {"a": "mse"})
        self.assertEqual(asked.objective["loss"], {"a": "mse", "b": None})
        labels = np.ones((3, 1))
        _, found = asked.data("data", (np.ones((3, 2)), labels), model)
        self.assertEqual({*found}, {"a", "b"})
        self.assertAllEqual(found["a"], labels)

    def test_loss_weights_of_a_compiled_model_stay(self):
        model = shipped_networks.faces()
        model.compile(
            loss={"out_box": "mse", "out_face": LOSS}, loss_weights=[2.0, 3.0]
        )
        asked = task_outputs.task(model, outputs="out_face")
        self.assertEqual(asked.objective["loss_weights"], [None, 3.0])

    @parameterized.named_parameters(
        ("name", {"outputs": "nose"}, "`outputs` must be of .'out_box', 'out_"),
        ("none", {"outputs": []}, "`outputs` must be of"),
        ("loss_of", {"loss": {"nose": "mse"}}, "`loss` has .'nose'., which"),
        (
            "losses",
            {"loss": ["mse"] * 3},
            "`loss` must be a dict, or a",
        ),
        ("no_loss", {"loss": [None, None]}, "`loss` has none for the outputs"),
        (
            "none_for_it",
            {"loss": {"out_box": "mse"}, "outputs": "out_face"},
            "`loss` has none for the outputs .'out_face'.",
        ),
    )
    def test_refuses(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            task_outputs.task(self.model, **{"loss": LOSS, **arguments})

    @parameterized.named_parameters(
        ("unknown", {"nose": FACE}, "`data` has labels of .'nose'."),
        ("missing", {"out_box": BOX}, "`data` has no labels for .'out_face'."),
        ("too_many", [BOX, FACE, FACE], "`data` has a list of 3 arrays"),
    )
    def test_refuses_labels(self, labels, message):
        asked = task_outputs.task(self.model, LOSS, outputs="out_face")
        with self.assertRaisesRegex(ValueError, message):
            asked.data("data", (X, labels), self.model)

    def test_a_single_output_may_be_named(self):
        model = shipped_networks.emotions()
        (name,) = task_outputs.names_of(model)
        for arguments in (
            {"loss": {name: LOSS}, "metrics": {name: ["acc"]}},
            {"loss": [LOSS], "metrics": ["acc"], "outputs": name},
        ):
            found = task_outputs.task(model, **arguments)
            self.assertEqual(found.objective["loss"], LOSS)
            self.assertEqual(found.objective["metrics"], ["acc"])
            self.assertTrue(found.is_whole)

    def test_one_array_for_several_outputs_is_refused(self):
        inputs = keras.Input((2,))
        ends = [keras.layers.Dense(1, name=name)(inputs) for name in "abc"]
        model = keras.Model(inputs, ends)
        asked = task_outputs.task(model, "mse", outputs=["a", "c"])
        with self.assertRaisesRegex(ValueError, "one array of labels for the"):
            asked.data("data", (np.ones((3, 2)), np.ones((3, 1))), model)


if __name__ == "__main__":
    tf.test.main()
