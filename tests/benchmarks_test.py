import contextlib
import dataclasses
import io
import json
import pathlib
import tempfile
from unittest import mock

import keras
import numpy as np
from absl import flags
from absl.testing import absltest

import modularity_tf as mtf
from benchmarks import (
    clustering,
    mask_training,
    shrinking,
    sweep,
    unit_similarity,
    which_method,
)
from modularity_tf.masking import weight_scores
from modularity_tf.units import monte_carlo

OPTIONS = {"steps": 2, "blocks": 1, "batch_size": 8, "jit_compile": "auto"}


def run(test, binary, *args):
    """Runs a benchmark with command-line arguments.

    Returns:
        What it wrote to its JSON file, and the text of what it printed.
    """
    folder = test.enterContext(tempfile.TemporaryDirectory())
    file = pathlib.Path(folder, "table.json")
    values = flags.FlagValues()
    binary.define_flags(values)
    values(["benchmark", *args, f"--json={file}"])
    with (
        mock.patch.object(flags, "FLAGS", values),
        contextlib.redirect_stdout(io.StringIO()) as printed,
    ):
        binary.main(["benchmark"])
    return json.loads(file.read_text("utf-8")), printed.getvalue()


class WhichMethodTest(absltest.TestCase):
    def test_every_method_is_timed_and_ablations_of_few_weights_alone(self):
        small = mock.patch.dict(
            which_method.NETWORKS,
            small=dataclasses.replace(
                which_method.NETWORKS["digits_mlp"], epochs=1
            ),
        )
        find = mock.patch.object(mtf, "find_weights")  # which has its own
        with small, find, mock.patch.object(which_method, "ABLATED", 100):
            record, printed = run(self, which_method, "--networks=small")
        found = record["time"]["small"]
        self.assertEqual(found["weights"], 64 * 64 + 64 * 10)
        self.assertSameElements(
            [*found["methods"], "ablation"],
            ["mask", "edge_popup", *weight_scores.METHODS],
        )
        self.assertIn("| `small`, 4,736 weights |", printed)
        for line in which_method.truth_table():
            self.assertIn(line, printed)

    def test_the_page_says_what_the_archives_say(self):
        page = which_method.PAGE
        self.assertIn(
            "\n".join(which_method.truth_table()),
            page.read_text("utf-8"),
            "run python -m benchmarks.which_method",
        )

    def test_the_picture_has_every_method_with_its_time_and_its_precision(self):
        page = which_method.PAGE.read_text("utf-8")
        (ax,) = which_method.draw(page).axes
        names = [tick.get_text() for tick in ax.get_yticklabels()]
        self.assertLen(names, 2 + len(weight_scores.METHODS))
        truth = which_method.truth()
        best = [100 * each["mask"] for each in truth.values()]
        self.assertRegex(names[0], r"^find_weights, [0-9.]+ s$")
        line, point = ax.lines[:2]
        np.testing.assert_allclose(line.get_xdata(), [min(best), max(best)])
        np.testing.assert_allclose(point.get_xdata(), [np.mean(best)])


class ShrinkingTest(absltest.TestCase):
    def test_methods_are_compared_at_the_same_multiply_adds(self):
        short = dataclasses.replace(
            shrinking.NETWORKS["digits_cnn"], steps=3, more=2
        )
        with mock.patch.dict(shrinking.NETWORKS, digits_cnn=short):
            record, printed = run(
                self,
                shrinking,
                *("--networks=digits_cnn", "--seeds=0", "--keep=0.3"),
                *("--calls=1", "--methods=magnitude,taylor,random"),
            )
        rows = record["rows"]["digits_cnn"]
        self.assertEqual(
            [row["method"] for row in rows], ["magnitude", "taylor", "random"]
        )
        self.assertIn("taylor", printed)
        for row in rows:
            before, after = row["multiply_adds"]
            self.assertBetween(after / before, 0.2, 0.3)
            self.assertEqual(row["stays"], 0)
            self.assertGreater(row["faster"], 0.0)

    def test_the_page_says_what_was_measured(self):
        record = json.loads(shrinking.MEASURED.read_text("utf-8"))
        page = shrinking.ROOT / "docs" / "smaller_models_numbers.md"
        self.assertIn(
            "\n".join(shrinking.markdown(record)),
            page.read_text("utf-8"),
            "run python -m benchmarks.shrinking --draw",
        )
        names = shrinking.PICTURES["shrinking"]
        (ax,) = shrinking.draw(record, names).axes
        groups = [c for c in ax.containers if len(c)]
        rows = [each for name in names for each in record["rows"][name]]
        lost = [
            100 * (row["whole_after"] - row["after"])
            for row in rows
            if (row["method"], row["part"]) == ("gates", 0.25)
        ]
        heights = [bar.get_height() for bar in groups[0].patches]
        self.assertIn(
            round(float(np.mean(lost[:3])), 6), np.round(heights, 6).tolist()
        )

    def test_scores_are_those_of_their_formulas(self):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, "relu", name="hidden"),
                keras.layers.Dense(2, name="logits"),
            ]
        )
        kernel, bias, heads, shift = model.get_weights()
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(6, 3)), rng.integers(2, size=6)
        hidden = np.maximum(x @ kernel + bias, 0)
        logits = hidden @ heads + shift
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        slopes = (shares - np.eye(2)[y]) @ heads.T
        found = shrinking.taylor_scores(model, (x, y), 0)
        np.testing.assert_allclose(
            found["hidden"], np.abs(hidden * slopes).mean(axis=0), rtol=1e-4
        )
        found = shrinking.magnitude_scores(model, (x, y), 0)
        expected = np.sqrt(np.square(kernel).sum(axis=0))
        np.testing.assert_allclose(found["hidden"], expected, rtol=1e-5)
        chosen = shrinking.select({"hidden": np.array([1.0, 3, 0, 2])}, 0.5)
        self.assertEqual([0, 1, 0, 1], chosen.values["hidden"].tolist())

    def test_gates_rank_the_units_of_all_layers_together(self):
        scores = {"a": np.array([5.0, 9, 8, 7]), "b": np.array([1.0, 2])}
        chosen = shrinking.select(scores, 0.5, across=True)
        self.assertEqual([0, 1, 1, 0], chosen.values["a"].tolist())
        self.assertEqual([0, 1], chosen.values["b"].tolist())  # one at least
        rng = np.random.default_rng(0)
        x = rng.normal(size=(400, 3)).astype("float32")
        y = (x[:, 0] > 0).astype(int)
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(8, "relu", name="hidden"),
                keras.layers.Dense(2, name="logits"),
            ]
        )
        reads = np.zeros((8, 2))
        reads[0] = [-9.0, 9.0]  # the one unit that the answer needs
        kernel = rng.normal(size=(3, 8))
        kernel[:, 0] = [1.0, 0.0, 0.0]
        model.set_weights([kernel, np.zeros(8), reads, np.array([0.5, -0.5])])
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        found = shrinking.gate_scores(model, (x, y), 0)
        self.assertEqual(np.argmax(found["hidden"]), 0)


class MaskTrainingTest(absltest.TestCase):
    def test_times_every_variant_and_writes_it_to_a_file(self):
        record, printed = run(
            self,
            mask_training,
            *("--networks=fnn_400", "--samples=2", "--nomemory"),
            *("--steps=2", "--blocks=1", "--batch_size=8"),
        )
        self.assertIn("fnn_400", printed)
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


class ClusteringTest(absltest.TestCase):
    def test_times_steps_and_compares_searches(self):
        record, printed = run(
            self, clustering, "--sizes=16,32", "--steps=50", "--graphs=2"
        )
        self.assertSameElements(
            record,
            ["environment", "steps", "exponents", "graphs", "summary", "units"],
        )
        self.assertEqual(list(record["steps"]), ["16", "32"])
        for row in record["steps"].values():
            self.assertGreater(row["literal_us"], row["step_us"])
        self.assertLen(record["graphs"], 2)
        self.assertEqual(
            [row["units"] for row in record["units"]], [16] * 3 + [32] * 3
        )
        for row in record["units"]:
            self.assertGreaterEqual(row["q"], 0.995 * row["leiden"])
        self.assertContainsSubset(
            ["leiden", "greedy", "found", "restarted"], record["summary"]
        )
        self.assertIn("restarted", printed)

    def test_literal_steps_are_those_of_the_kernel(self):
        # Both reach the same clusters where the choice is greedy.
        weights = clustering.graph(2, 16)
        adjacency, start = weights / weights.sum(), np.zeros(16, int)
        uniforms = np.random.default_rng(0).random((200, 2))
        literal = clustering.literal_steps(adjacency, start, 0.0, uniforms)
        found, _ = monte_carlo.refine(adjacency, start, 0.0, uniforms)
        pairs = set(zip(literal.tolist(), found.tolist(), strict=True))
        self.assertLen(pairs, len(set(found)))
        self.assertLen(pairs, len(set(literal)))


class UnitSimilarityTest(absltest.TestCase):
    def test_times_every_variant_and_writes_it_to_a_file(self):
        record, printed = run(
            self,
            unit_similarity,
            *("--examples=8", "--units=4", "--batch_size=4", "--repeats=1"),
        )
        self.assertIn("autodiff, loss_hessian", printed)
        self.assertSameElements(record, ["environment", "options", "results"])
        results = record["results"]
        self.assertLen(results, 7)
        self.assertEqual(results["closed form"]["ratio"], 1)
        for row in results.values():
            self.assertGreater(row["processor_s"], 0)
        traced = results["autodiff"]
        self.assertGreater(traced["first_s"], 2 * traced["wall_s"])


class SweepTest(absltest.TestCase):
    def test_without_costs_equal_tasks_keep_workers_busy(self):
        self.assertEqual(sweep.efficiency([2.0] * 12, 4, 0.0, 0.0), 1.0)

    def test_a_last_task_that_is_left_over_keeps_one_busy(self):
        found = sweep.efficiency([2.0] * 5, 4, 0.0, 0.0)
        self.assertAlmostEqual(found, 10.0 / (4 * 4.0))

    def test_a_driver_that_is_too_slow_limits_all(self):
        found = sweep.efficiency([1.0] * 1000, 512, 0.1, 0.0)
        self.assertAlmostEqual(found, 1000 / (512 * 101), places=4)

    def test_workers_cost_their_start(self):
        found = sweep.efficiency([1.0] * 4, 4, 0.0, 3.0)
        self.assertAlmostEqual(found, 0.25)

    def test_tables_show_the_record(self):
        record = {
            "seconds": {"1": [20.0, 22.0], "2": [11.0, 12.0]},
            "speed_up": 1.82,
            "costs": {"ray": 3.0, "worker": 1.0, "task": 0.001},
            "mean_duration": 2.5,
            "efficiency": {"8": 0.9},
            "efficiency_of_10_s_tasks": {"8": 0.95},
        }
        first, costs, simulated = sweep.tables(record)
        self.assertEqual([*first.columns[2].cells], ["", "1.82"])
        self.assertEqual([*costs.columns[1].cells][2], "0.0010")
        self.assertEqual([*simulated.columns[1].cells], ["90.0%"])
