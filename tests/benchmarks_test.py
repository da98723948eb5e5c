import json
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest

from benchmarks import mask_training

OPTIONS = {"steps": 2, "blocks": 1, "batch_size": 8, "jit_compile": "auto"}


class MaskTrainingTest(absltest.TestCase):
    def test_times_every_variant_and_writes_it_to_a_file(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        file = pathlib.Path(folder, "table.json")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.mask_training"),
                *("--networks=fnn_400", "--samples=2", "--nomemory"),
                *("--steps=2", "--blocks=1", "--batch_size=8"),
                f"--json={file}",
            ],
            cwd=pathlib.Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("fnn_400", done.stdout)
        record = json.loads(file.read_text("utf-8"))
        self.assertSameElements(record, ["environment", "options", "results"])
        self.assertEqual(record["options"], OPTIONS)
        self.assertContainsSubset(
            ["tensorflow", "keras", "python", "cpu", "cores", "commit"],
            record["environment"],
        )
        results = record["results"]["fnn_400"]
        variants = ["plain", "masked K=2", "literal K=4"]
        self.assertSequenceEqual(list(results), variants)
        keys = ["block_ms", "first_step_s", "jit_compile", "ratio", "step_ms"]
        for result in results.values():
            self.assertSameElements(result, [*keys, "trained"])
            self.assertGreater(result["step_ms"], 0)
        self.assertEqual(results["plain"]["ratio"], 1)

    def test_memory_is_what_training_adds(self):
        used = mask_training.peak_memory("fnn_400", "plain", OPTIONS)
        self.assertBetween(used, 0, 2**12)  # MiB
