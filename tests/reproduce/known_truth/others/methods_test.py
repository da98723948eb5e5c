from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import modularity_tf as mtf
from reproduce.known_truth.others import (
    circuits,
    methods,
    transformer,
)
from tests.reproduce.known_truth.others import programs_by_hand


class EdgesTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(*transformer.ABLATIONS)
    def test_edges_of_a_mask_are_those_above_a_threshold(self, ablation):
        program, _, own = programs_by_hand.with_decoys()
        model = transformer.build(program, ablation)
        rng = np.random.default_rng(0)
        scores = {p: rng.random(k.shape) for p, k in program.kernels.items()}
        for kept in (own, {p: v > 0.9 for p, v in scores.items()}):
            mask = mtf.WeightMask({f"{p}/kernel": v for p, v in kept.items()})
            found = methods.edges_of(program, mask, model)
            _, expected = circuits.scores_of_parts(
                program, {p: v.astype(float) for p, v in kept.items()}
            )
            self.assertEqual(found, {e: s > 0.5 for e, s in expected.items()})


class LookTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.program = programs_by_hand.proportion()
        self.truth = programs_by_hand.truth()

    def looked(self, method, ablation="zero", steps=None, program=None):
        program, truth, own = program or (
            self.program,
            self.truth,
            {p: v != 0 for p, v in self.program.kernels.items()},
        )
        return methods.look(
            program, truth, own, method, ablation, steps=steps, seed=0
        )

    def test_a_mask_is_exactly_the_circuit(self):
        found = self.looked(methods.MASK)
        self.assertTrue(found["performs"])
        for parts in ("nodes", "edges"):
            self.assertTrue(found[parts]["exact"], parts)
            self.assertEqual(found[parts]["auc"], 1.0, parts)
        self.assertEqual(found["weights"]["precision"], 1.0)
        self.assertEqual(found["weights"]["recall"], 1.0)

    def test_gates_know_nodes(self):
        values = {
            path: np.zeros(kernel.shape[1])
            for path, kernel in self.program.kernels.items()
            if path.endswith("_out")
        }
        (where,) = np.flatnonzero(self.program.kernels["m0_out"].any(axis=0))
        values["m0_out"][where] = 2.0
        values["a0h0_out"][:] = 3.0  # writes nothing: its gates do not count
        selection = mtf.NeuronSelection(
            {p: v > 0 for p, v in values.items()}, {}, scores=values
        )
        with mock.patch.object(
            mtf, "find_neurons", return_value=selection
        ) as find:
            found = self.looked(methods.GATES)
        self.assertEqual(find.call_args.kwargs["layers"], [*values])
        self.assertEqual({*found}, {"nodes", "performs"})
        self.assertEqual(found["nodes"]["precision"], 1.0)
        self.assertEqual(found["nodes"]["recall"], 0.5)  # one head is missed

    def test_a_mask_is_learned_in_what_gates_keep(self):
        program, truth, own = programs_by_hand.with_decoys()
        values = {
            path: np.full(kernel.shape[1], truth.nodes[path[:-4]])
            for path, kernel in program.kernels.items()
            if path.endswith("_out")
        }
        gates = mtf.NeuronSelection(values, {})
        mask = mtf.WeightMask(
            {f"{path}/kernel": v for path, v in own.items()},
            scores={f"{path}/kernel": 1.0 * v for path, v in own.items()},
        )
        for error in (None, mtf.NoMaskError):
            with (
                mock.patch.object(
                    mtf, "find_neurons", side_effect=[error or gates, gates]
                ),
                mock.patch.object(
                    mtf, "find_weights", return_value=mask
                ) as find,
            ):
                found = self.looked(
                    methods.GATES_MASK, program=(program, truth, own)
                )
            self.assertTrue(found["nodes"]["exact"])
            self.assertEqual(found["performs"], error is None)
            (model,) = find.call_args.args[:1]
            for path, kept in values.items():
                kernel = program.kernels[path]
                if error is None:  # what gates remove is not there to be found
                    kernel = np.where(kept, kernel, 0)
                self.assertAllEqual(model.get_layer(path).kernel, kernel)

    @parameterized.product(
        method=["gradient", "magnitude", "random"],
        ablation=transformer.ABLATIONS,
    )
    def test_scores_have_no_threshold(self, method, ablation):
        found = self.looked(method, ablation)
        self.assertEqual({*found["edges"]}, {"auc"})
        # What is not there scores lowest: without decoys, nearly all.
        self.assertGreater(found["edges"]["auc"], 0.9)

    def test_with_decoys_random_scores_say_little(self):
        decoys = programs_by_hand.with_decoys()
        found = self.looked("random", program=decoys)
        self.assertLess(found["edges"]["auc"], 0.9)

    def test_areas_are_those_of_ranks(self):
        needed = {"a": True, "b": True, "c": False, "d": False}
        scores = {"a": np.inf, "b": 1.0, "c": 2.0, "d": -np.inf}
        found = methods._judged(needed, scores, None)
        self.assertEqual(found, {"auc": 0.75})  # one pair of four is wrong
        found = methods._judged(needed, scores, {**needed, "b": 0, "c": 1})
        self.assertEqual(found["precision"], 0.5)
        self.assertEqual(found["recall"], 0.5)
        self.assertFalse(found["exact"])


if __name__ == "__main__":
    absltest.main()
