import importlib
import sys
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.own_model import stages, subject
from reproduce.own_model.subject import Subject
from tests import shipped_networks
from tests.reproduce.own_model.brought import BroughtTestCase, blobs, network


class SubjectTest(BroughtTestCase):
    def test_findings_and_checks_have_examples_of_their_own(self):
        user = Subject(network(), *blobs())
        found, checked = user.parts(0.3, seed=0)
        self.assertEmpty({*found} & {*checked})
        self.assertLen({*found} | {*checked}, 60)
        self.assertLen(checked, 18)
        for rows in (found, checked):
            self.assertEqual({*user.data(rows)[1]}, {0, 1, 2})
        self.assertEqual({*user.data(found, label=1)[1]}, {1})
        self.assertEqual({*user.data(found, without=1)[1]}, {0, 2})

    def test_several_inputs_are_read_in_order(self):
        x, y = blobs()
        np.savez(self.data, x1=x + 1, x0=x, y=y[:, None])
        (first, second), labels = subject._arrays(self.data)
        self.assertAllEqual(first, x)
        self.assertAllEqual(second, x + 1)
        self.assertAllEqual(labels, y)

    @parameterized.named_parameters(
        ("no_y", {"x": 1}, r"must hold the arrays x and y .*, it holds x\."),
        ("no_x", {"y": 1, "a": 1}, r".*, it holds y, a\."),
        ("a_gap", {"x0": 1, "x2": 1, "y": 1}, ".*, it holds x0, x2, y"),
    )
    def test_wrong_arrays_are_named(self, names, message):
        np.savez(self.data, **{name: np.zeros((4, 1)) for name in names})
        with self.assertRaisesRegex(
            ValueError, f"^--data={self.data} {message}"
        ):
            Subject.load(self.model, self.data)

    def test_a_model_without_a_loss_is_refused(self):
        network(is_compiled=False).save(self.model)
        with self.assertRaisesRegex(ValueError, "has no loss: call `compile`"):
            Subject.load(self.model, self.data)
        loss = "sparse_categorical_crossentropy"
        user = Subject.load(self.model, self.data, loss=(loss,))
        self.assertEqual(user.model.loss, loss)
        with self.assertRaisesRegex(ValueError, "^--loss=mist: .*mist"):
            Subject.load(self.model, self.data, loss=("mist",))

    def test_a_module_is_imported_and_a_missing_loss_is_asked_for(self):
        name = "layers_of_a_user"
        (self.folder / f"{name}.py").write_text(
            "import keras\n\n\n"
            "@keras.saving.register_keras_serializable(package='users')\n"
            "class Twice(keras.layers.Layer):\n"
            "    def call(self, x):\n"
            "        return 2 * x\n\n\n"
            "def own_loss(y, x):\n"
            "    return keras.losses.sparse_categorical_crossentropy(y, x)\n"
        )
        self.enterContext(mock.patch.object(sys, "path", [*sys.path]))
        sys.path.insert(0, str(self.folder))
        module = importlib.import_module(name)
        model = keras.Sequential(
            [keras.Input((3,)), module.Twice(), keras.layers.Dense(3)]
        )
        model.compile("adam", module.own_loss)
        model.save(self.model)
        registered = keras.saving.get_custom_objects()
        registered.pop("users>Twice")
        del sys.modules[name]
        with self.assertRaisesRegex(ValueError, "--import=MODULE"):
            Subject.load(self.model, self.data)
        with self.assertRaisesRegex(ValueError, "trained can't be read .*--lo"):
            Subject.load(self.model, self.data, imports=(name,))
        loss = "sparse_categorical_crossentropy"
        user = Subject.load(
            self.model, self.data, imports=(name,), loss=(loss,)
        )
        self.assertEqual(type(user.model.layers[0]).__name__, "Twice")
        with self.assertRaisesRegex(ValueError, "^--import=nowhere can't"):
            Subject.load(self.model, self.data, imports=("nowhere",))

    def test_one_output_of_several_is_named(self):
        model = shipped_networks.faces()
        model.compile(
            loss={
                "out_box": "mse",
                "out_face": "sparse_categorical_crossentropy",
            }
        )
        model.save(self.model)
        y = np.arange(10) % 2
        np.savez(self.data, x=np.zeros((10, 8, 8, 2)), y=y)
        user = Subject.load(self.model, self.data, output="out_face")
        self.assertEqual(user.classes, [0, 1])
        self.assertTrue(user.has_few_classes)
        self.assertEqual(user.task.chosen, ("out_face",))
        with self.assertRaisesRegex(ValueError, "out_box, out_face: say with"):
            Subject.load(self.model, self.data)
        with self.assertRaisesRegex(ValueError, "^--output=nose is none of"):
            Subject.load(self.model, self.data, output="nose")

    def test_labels_of_positions_are_left_out_by_weight(self):
        model = shipped_networks.splice_sites()
        x, y = np.zeros((4, 16, 4)), np.zeros((4, 10), int)
        y[:2, 3], y[1, 4] = 2, 1
        for labels in (y, np.eye(3)[y]):
            user = Subject(model, x, labels)
            self.assertEqual(user.classes, [0, 1, 2])
            rows = np.arange(4)
            own, targets, weights = user.data(rows, label=2)
            self.assertLen(own, 2)
            self.assertAllEqual(targets, labels[:2])
            self.assertAllEqual(weights, y[:2] == 2)
            *_, weights = user.data(rows, without=2)
            self.assertAllEqual(weights, y != 2)

    def test_maps_are_not_taken_for_one_hot(self):
        model = keras.Sequential(
            [
                keras.Input((3, 3, 2)),
                keras.layers.Dense(1),
                keras.layers.Reshape((3, 3)),
            ]
        )
        x, y = np.zeros((4, 3, 3, 2)), np.zeros((4, 3, 3), int)
        y[:, :, 2] = 1  # at most one in a row
        for labels in (y, y[..., None], y.astype("float32")):
            user = Subject(model, x, labels)
            self.assertEqual(user.classes, [0, 1])
            *_, weights = user.data(np.arange(4), label=1)
            self.assertAllEqual(weights, y)

    def test_a_task_of_two_classes_has_no_weights_of_one_alone(self):
        x, y = blobs()
        user = Subject(None, x, np.float32(y > 0))
        self.assertEqual(user.classes, [0, 1])
        ((question, reason),) = user.not_asked(stages.QUESTIONS)
        self.assertIn("weights of a class", question)
        self.assertIn("two classes", reason)
        self.assertEmpty(Subject(None, x, y).not_asked(stages.QUESTIONS))

    @parameterized.parameters(-1, 3)
    def test_a_class_that_the_model_has_no_output_for_is_named(self, label):
        x, y = blobs()
        np.savez(self.data, x=x, y=np.where(np.arange(60) < 5, label, y))
        with self.assertRaisesRegex(
            ValueError, f"from 0 to 2, as the model has 3 .*, it has {label}"
        ):
            Subject.load(self.model, self.data)

    def test_a_damaged_model_and_data_are_named(self):
        model = self.folder / "bad.keras"
        model.write_text("no model")
        with self.assertRaisesRegex(
            ValueError, f"--model={model} can't be loa"
        ):
            Subject.load(str(model), self.data)
        data = self.folder / "bad.npz"
        data.write_text("no data")
        with self.assertRaisesRegex(ValueError, f"--data={data} is no .npz"):
            Subject.load(self.model, str(data))

    @parameterized.named_parameters(
        ("unknown", (7,), r"--task_label=7 is no class .* has 0, 1, 2\."),
        ("lonely", (2,), "one example of class 2, and a class needs two"),
    )
    def test_labels_are_checked(self, labels, message):
        x, y = blobs()
        y = np.where(np.arange(60) == 0, 2, np.minimum(y, 1))
        user = Subject(None, x, y)
        with self.assertRaisesRegex(ValueError, message):
            user.check_labels(labels, stages.QUESTIONS)
        self.assertEqual(user.check_labels((), stages.QUESTIONS), [0, 1])
        ((question, reason),) = user.not_asked(stages.QUESTIONS)
        self.assertEqual(question, "class 2")
        self.assertIn("one example", reason)

    def test_rows_and_positions_without_a_class_are_left_out(self):
        x, y = blobs()
        y[::3] = -1
        user = Subject(network(), x, y)
        self.assertEqual(user.classes, [1, 2])
        found = user.with_classes(np.arange(9))
        self.assertAllEqual(found[0], x[:9][y[:9] >= 0])
        self.assertAllEqual(found[1], y[:9][y[:9] >= 0])
        steps = keras.Sequential([keras.Input((5, 3)), keras.layers.Dense(3)])
        x = np.zeros((4, 5, 3), "float32")
        y = np.tile(np.arange(5) % 4 - 1, (4, 1))
        found = Subject(steps, x, y).with_classes(np.arange(2))
        self.assertAllEqual(found[1], [[0, 0, 1, 2, 0]] * 2)
        self.assertAllEqual(found[2], [[0, 1, 1, 1, 0]] * 2)

    def test_inputs_that_the_model_does_not_take_are_refused_in_one_line(self):
        x, y = blobs()
        np.savez(self.data, x=np.concatenate([x, x], axis=1), y=y)
        with self.assertRaisesRegex(
            ValueError, "'corners' does not take these inputs. .* value 3, but"
        ) as raised:
            Subject.load(self.model, self.data)
        self.assertNotRegex(str(raised.exception), "[\n\x1b]")

    def test_a_layer_that_the_model_has_not_is_named_with_those_it_has(self):
        user = Subject(network(), *blobs())
        user.check_layers(())
        user.check_layers(("hidden",))
        with self.assertRaisesRegex(
            ValueError, "--layers names 'hiden'.*'out'"
        ):
            user.check_layers(("hiden",))

    def test_neurons_need_class_numbers_and_weights_do_not(self):
        user = Subject(None, *map(np.float32, blobs()))
        with self.assertRaisesRegex(ValueError, "=neurons needs class numbers"):
            user.check_labels((), ("neurons",))
        with self.assertRaisesRegex(
            ValueError, "--task_label needs class numb"
        ):
            user.check_labels((1,), ("weights",))
        self.assertEqual(user.check_labels((), ("weights",)), [])
        self.assertEqual(user.check_labels((), stages.QUESTIONS), [])
        ((question, reason),) = user.not_asked(stages.QUESTIONS)
        self.assertEqual(question, "neurons of a class")
        self.assertIn("class numbers", reason)


if __name__ == "__main__":
    tf.test.main()
