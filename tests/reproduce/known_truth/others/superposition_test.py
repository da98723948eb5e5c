import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized
from keras import ops

from reproduce.known_truth.others import superposition

_KINDS = {
    "plain": superposition.Kind(5, 2),
    "identity": superposition.Kind(5, 2, identity=True),
    "residual": superposition.Kind(6, 4, form="residual"),
}


def numpy_outputs(kind, weights, x):
    """Returns what one network puts out, in NumPy."""
    if kind.form == "residual":
        hidden = np.maximum(x @ weights["into"] + weights["bias"], 0)
        return hidden @ weights["out"]
    hidden = x @ weights["columns"]
    if kind.identity:
        hidden = hidden @ weights["inner"]
    return np.maximum(hidden @ weights["columns"].T + weights["bias"], 0)


class KindTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(*_KINDS)
    def test_networks_side_by_side_match_numpy(self, name):
        kind, rng = _KINDS[name], np.random.default_rng(0)
        networks = [kind.initial(rng) for _ in range(3)]
        for each in networks:
            each["bias"] = rng.normal(size=each["bias"].shape)
            if kind.identity:
                each["inner"] = rng.normal(size=(2, 2))
        weights = {
            name: ops.convert_to_tensor(
                np.stack([each[name] for each in networks]), "float32"
            )
            for name in networks[0]
        }
        x = rng.random((7, kind.features)).astype("float32")
        expected = np.stack([numpy_outputs(kind, n, x) for n in networks])
        self.assertAllClose(kind.outputs(weights, x), expected, atol=1e-5)
        own = ops.convert_to_tensor([4, 0, 3])
        found = kind.outputs(weights, x, own)
        expected = [e[:, i] for e, i in zip(expected, (4, 0, 3))]
        self.assertAllClose(found, expected, atol=1e-5)

    def test_a_feature_is_active_once_in_twenty(self):
        n, false_fail_rate = 20_000, 1e-9
        draws = tf.random.Generator.from_seed(0)
        for kind, least in ((_KINDS["plain"], 0), (_KINDS["residual"], -1)):
            x = superposition.drawn(kind, n, draws).numpy()
            bound = np.sqrt(np.log(2 / false_fail_rate) / (2 * x.size))
            self.assertLess(abs(np.mean(x != 0) - 0.05), bound)
            self.assertLess(x.max(), 1)
            self.assertLess(abs(x.min() - least), 0.02)


class TrainedTest(tf.test.TestCase):
    def test_networks_learn_apart_and_the_same_seed_repeats(self):
        kind = _KINDS["plain"]
        settings = {"steps": 600, "batch_size": 64, "seed": 3}
        found = superposition.trained(kind, networks=3, **settings)
        draws = tf.random.Generator.from_seed(1)
        x = superposition.drawn(kind, 2048, draws)
        weights = {k: ops.convert_to_tensor(v) for k, v in found.items()}
        errors = np.mean(np.square(kind.outputs(weights, x) - x), axis=(1, 2))
        self.assertTrue(np.all(errors < 0.7 * np.mean(np.square(x))))
        self.assertNotAllClose(found["columns"][0], found["columns"][1])
        again = superposition.trained(kind, networks=3, **settings)
        self.assertAllEqual(again["columns"], found["columns"])

    def test_the_identity_stays(self):
        found = superposition.trained(
            _KINDS["identity"], networks=2, steps=100, batch_size=16, seed=0
        )
        self.assertAllEqual(found["inner"], np.stack([np.eye(2)] * 2))


if __name__ == "__main__":
    absltest.main()
