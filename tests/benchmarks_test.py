import json
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest


class MaskTrainingTest(absltest.TestCase):
    def test_measures_every_variant_and_writes_it_to_a_file(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = pathlib.Path(folder, "table.json")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.mask_training"),
                *("--networks=fnn_400", "--samples=2", "--batch_size=8"),
                *("--steps=2", "--blocks=1", f"--json={file}"),
            ],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("fnn_400", done.stdout)
        record = json.loads(file.read_text("utf-8"))
        self.assertSameElements(record, ["environment", "options", "results"])
        self.assertContainsSubset(
            ["tensorflow", "keras", "python", "cpu", "cores", "commit"],
            record["environment"],
        )
        results = record["results"]["fnn_400"]
        self.assertSequenceEqual(
            list(results), ["plain", "masked K=2", "literal K=4"]
        )
        for result in results.values():
            self.assertSameElements(
                result,
                [
                    *("block_ms", "first_step_s", "jit_compile", "peak_mib"),
                    *("ratio", "step_ms", "trained"),
                ],
            )
            self.assertGreater(result["step_ms"], 0)
            self.assertGreater(result["peak_mib"], 0)
        self.assertEqual(results["plain"]["ratio"], 1)
