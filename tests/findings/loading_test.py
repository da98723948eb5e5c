import tempfile

import numpy as np
from absl.testing import absltest

from modularity_tf import NeuronSelection
from modularity_tf.findings import loading


class LoadTest(absltest.TestCase):
    """Of each kind in `finding_test`."""

    def test_a_file_of_another_program_is_named(self):
        file = f"{self.enterContext(tempfile.TemporaryDirectory())}/a.npz"
        np.savez(file, header=np.array('{"kind": "neurons"}'))
        with self.assertRaisesRegex(
            ValueError, "holds no NeuronSelection: its"
        ):
            loading.load(file)
        NeuronSelection({"a": np.ones(2, bool)}).save(file)
        self.assertIsInstance(loading.load(file), NeuronSelection)


if __name__ == "__main__":
    absltest.main()
