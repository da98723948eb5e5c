"""What the import of the library asks for, and what it costs."""

import functools
import subprocess
import sys

from absl.testing import absltest

# Once as it is, and once as if another backend were installed.
SCRIPT = """
import sys
import keras
before = {name.partition(".")[0] for name in sys.modules}
import modularity_tf
print(*{name.partition(".")[0] for name in sys.modules} - before)
from modularity_tf.units import clustering, unit_modularity
print(*{"numba", "clusim", "modularity_tf.plots"} & set(sys.modules))
for name in [x for x in sys.modules if x.startswith("modularity_tf")]:
    del sys.modules[name]
keras.config.backend = lambda: "jax"
import modularity_tf
"""


@functools.cache
def imported():
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
    )


class ImportTest(absltest.TestCase):
    def test_needs_no_package_that_keras_has_not_imported(self):
        self.assertEqual(imported().stdout.splitlines()[0], "modularity_tf")

    def test_finding_units_loads_no_plots_numba_or_clusim(self):
        self.assertEqual(imported().stdout.splitlines()[1:], [""])

    def test_refuses_another_backend_with_the_way_out(self):
        self.assertEqual(imported().returncode, 1)
        last = imported().stderr.rstrip().splitlines()[-1]
        self.assertRegex(
            last, "ImportError: .* uses 'jax': .*KERAS_BACKEND=tensorflow"
        )


if __name__ == "__main__":
    absltest.main()
