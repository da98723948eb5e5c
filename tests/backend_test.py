"""The library says which backend of Keras it needs."""

import subprocess
import sys

from absl.testing import absltest


class BackendTest(absltest.TestCase):
    def test_refuses_another_backend_with_the_way_out(self):
        script = (  # as if it were installed
            "import keras; keras.config.backend = lambda: 'jax'\n"
            "import modularity_tf"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 1)
        last = done.stderr.rstrip().splitlines()[-1]
        self.assertRegex(
            last, "ImportError: .* uses 'jax': .*KERAS_BACKEND=tensorflow"
        )


if __name__ == "__main__":
    absltest.main()
