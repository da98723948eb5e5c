"""The library says which backend of Keras it needs."""

import os
import subprocess
import sys

from absl.testing import absltest


class BackendTest(absltest.TestCase):
    def test_refuses_another_backend_with_the_way_out(self):
        done = subprocess.run(
            [sys.executable, "-c", "import modularity_tf"],
            env={**os.environ, "KERAS_BACKEND": "numpy"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 1)
        last = done.stderr.rstrip().splitlines()[-1]
        self.assertRegex(
            last, "ImportError: .* uses 'numpy': .*KERAS_BACKEND=tensorflow"
        )


if __name__ == "__main__":
    absltest.main()
