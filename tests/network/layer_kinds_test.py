import keras
from absl.testing import absltest

from modularity_tf.network import layer_kinds


class KindsTest(absltest.TestCase):
    def test_every_kind_is_there_in_all_dimensions(self):
        """A list with 1-D and 2-D layers has the 3-D one, too, if Keras has."""
        for name, kinds in vars(layer_kinds).items():
            if not name.isupper() or name.endswith("OPS"):
                continue
            names = {getattr(kind, "__name__", "") for kind in kinds}
            for kind in names:
                stem, is_flat, rest = kind.partition("2D")
                others = {f"{stem}{d}D{rest}" for d in "123" if is_flat}
                there = {o for o in others if hasattr(keras.layers, o)}
                self.assertEmpty(there - names, name)


if __name__ == "__main__":
    absltest.main()
