import keras
import numpy as np
import tensorflow as tf

from modularity_tf.network import evaluation

OBJECTIVE = {"loss": "mse", "metrics": None}


def model():
    """Two inputs of three are noticed; the second unit never fires."""
    net = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(2, activation="relu", name="hidden"),
            keras.layers.Dense(1, name="out"),
        ]
    )
    hidden = np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, 1.0]])
    values = hidden, [0.5, -99.0], [[2.0], [3.0]], [0.1]
    net.set_weights([np.array(value) for value in values])
    return net


X = np.float32(np.random.default_rng(0).normal(size=(70, 3)))


class EvaluationTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.model = model()
        y = np.array(self.model(X)) + 0.1 * X[:, :1]
        self.data = evaluation.examples_of((X, y), 64, 0)
        self.nothing = {
            "hidden/kernel": np.zeros((3, 2), bool),
            "out/kernel": np.zeros((2, 1), bool),
        }
        self.evaluation = evaluation.OnExamples(
            self.model, self.data, OBJECTIVE, self.nothing
        )

    def test_the_loss_of_each_example_without_some_weights(self):
        kept = {path: ~value for path, value in self.nothing.items()}
        kept["hidden/kernel"][0, 0] = False
        found = self.evaluation.values(kept)
        changed = model()
        changed.layers[0].kernel.assign([[0, 1], [-1, 1], [0, 1]])
        x, y = (np.concatenate(each) for each in zip(*self.data))
        expected = np.square(np.array(changed(x)) - y)[:, 0]
        self.assertAllClose(found, expected, atol=1e-5)
        self.assertEqual(self.evaluation.count, 64)

    def test_one_mask_has_one_loss_whichever_way_it_is_asked(self):
        kept = {path: ~value for path, value in self.nothing.items()}
        kept["hidden/kernel"][1, 0] = False
        asked = evaluation.Evaluation(self.model, OBJECTIVE)
        (measured,) = asked.measure(kept, self.data)
        expected = asked.by_example(kept, self.data).mean()
        self.assertAllClose(measured.loss, expected)
        weights = dict(zip(kept, self.model.get_weights()[::2]))
        values = {p: tf.constant(w * kept[p]) for p, w in weights.items()}
        losses = [asked.losses(values, x, y) for x, y in self.data]
        self.assertAllClose(np.mean(np.concatenate(losses)), expected)
        # Nothing was written.
        self.assertAllClose(
            self.evaluation.performance(
                self.evaluation.values({p: ~v for p, v in self.nothing.items()})
            ),
            1,
        )

    def test_the_scale_is_from_nothing_to_the_whole(self):
        whole = self.evaluation.performance(self.evaluation.whole)
        nothing = self.evaluation.values(self.nothing)
        self.assertEqual(whole, 1)
        self.assertEqual(self.evaluation.performance(nothing), 0)
        self.assertEqual(self.evaluation.interval(nothing, 0), (0, 0))

    def test_copies_are_found_in_any_nest_of_any_kind(self):
        text = np.array(["a", "b", "a", "a", "b"])
        numbers = np.array([[1.0], [2.0], [1.0], [3.0], [2.0]], "float16")
        for leaf in (text.astype(object), tf.constant(text)):
            batch = {"text": leaf, "more": (numbers, numbers)}, [text != "a"]
            found = evaluation.copies_of([batch, batch])
            self.assertAllEqual(found, [0, 1, 0, 2, 1] * 2)
        ragged = tf.ragged.constant([[1], [1, 0], [1]])
        self.assertAllEqual(
            evaluation.copies_of([(ragged, np.zeros(3))]), [0, 1, 0]
        )
        sparse = tf.sparse.from_dense([[0, 1], [0, 0], [0, 1]])
        self.assertAllEqual(
            evaluation.copies_of([(sparse, np.zeros(3))]), [0, 1, 0]
        )
        other = np.arange(3)  # equal inputs with other targets
        self.assertAllEqual(evaluation.copies_of([(ragged, other)]), [0, 1, 2])

    def test_notices_what_reaches_an_output(self):
        found = self.evaluation.notice(self.nothing, 0)
        self.assertAllEqual(
            found["hidden/kernel"], [[True, False], [True, False], [False] * 2]
        )
        self.assertAllEqual(found["out/kernel"], [[True], [False]])

    def test_notices_the_words_that_are_looked_up(self):
        net = keras.Sequential(
            [
                keras.Input((2,), dtype="int32"),
                keras.layers.Embedding(5, 2, name="words"),
                keras.layers.Flatten(),
                keras.layers.Dense(1, name="out"),
            ]
        )
        x = np.array([[1, 3], [3, 4]])
        found = evaluation.OnExamples(
            net,
            evaluation.examples_of((x, np.array(net(x))), 9, 0),
            OBJECTIVE,
            {"words/embeddings": np.zeros((5, 2), bool)},
        ).notice(["words/embeddings"], 0)
        used = np.isin(np.arange(5), x)
        self.assertAllEqual(found["words/embeddings"], np.c_[used, used])

    def test_few_examples_are_drawn_once_each(self):
        data = np.arange(3000.0)[:, None]
        found = evaluation.examples_of((data, data), 2500, 1)
        self.assertLen(found, 3)
        drawn = np.concatenate([np.array(x)[:, 0] for x, _ in found])
        self.assertLen({*drawn}, 2500)
        again = evaluation.examples_of((data, data), 2500, 2)
        self.assertNotAllClose(found[0][0], again[0][0])


if __name__ == "__main__":
    tf.test.main()
