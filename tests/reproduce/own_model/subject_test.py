import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from reproduce.own_model import stages, subject
from reproduce.own_model.subject import Subject
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

    def test_neurons_need_class_numbers_and_weights_do_not(self):
        user = Subject(None, *map(np.float32, blobs()))
        with self.assertRaisesRegex(ValueError, "=neurons needs class numbers"):
            user.check_labels((), ("neurons",))
        with self.assertRaisesRegex(
            ValueError, "--task_label needs class numb"
        ):
            user.check_labels((1,), ("weights",))
        self.assertEqual(user.check_labels((), ("weights",)), [])


if __name__ == "__main__":
    tf.test.main()
