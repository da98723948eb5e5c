import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from modularity_tf import WeightMask
from reproduce.known_truth.others import (
    circuits,
    decoys,
    methods,
    programs,
    transformer,
)
from tests.reproduce.known_truth.others import programs_by_hand


class BuildTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.product(
        ablation=transformer.ABLATIONS, has_decoys=[False, True]
    )
    def test_is_the_program(self, ablation, has_decoys):
        program = programs_by_hand.proportion()
        if has_decoys:
            truth = circuits.truth(program)
            program, _, _ = decoys.with_decoys(program, truth, 0)
        model = transformer.build(program, ablation)
        (inputs, right, weights), _ = transformer.data(program, ablation, 0)
        self.assertAllClose(model(inputs), right, rtol=0, atol=1e-5)
        self.assertAllEqual(right[weights == 0], 0 * right[weights == 0])

    def test_by_resample_ablation_nothing_is_what_the_other_list_gives(self):
        program = programs_by_hand.proportion()
        model = transformer.build(program, "resample")
        for path in program.kernels:
            layer = model.get_layer(path)
            layer.set_weights([0 * layer.get_weights()[0]])
        layer = model.get_layer("end")  # as it is: it has no mask
        tokens = programs.numbers(program)[-256:]  # those of 5 tokens
        others = tokens[::-1]
        expected = circuits.answers(program, others)
        found = model(transformer.arrays(program, tokens, others))
        self.assertAllClose(found, expected, rtol=0, atol=1e-5)

    def test_halves_are_all_lists_with_other_ones(self):
        program = programs_by_hand.proportion()
        halves = transformer.data(program, "resample", 3)
        rows = np.concatenate([inputs[0] for inputs, _, _ in halves])
        lists = {row.tobytes() for row in rows}
        self.assertLen(lists, len(programs.lists("proportion")))
        for inputs, _, _ in halves:
            own, _, others = ({r.tobytes() for r in each} for each in inputs)
            self.assertEqual(own, others)
            self.assertNotAllEqual(inputs[0], inputs[2])


class EdgesTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(*transformer.ABLATIONS)
    def test_edges_of_a_mask_are_those_above_a_threshold(self, ablation):
        program = programs_by_hand.proportion()
        truth = circuits.truth(program)
        program, _, own = decoys.with_decoys(program, truth, 0)
        model = transformer.build(program, ablation)
        rng = np.random.default_rng(0)
        scores = {p: rng.random(k.shape) for p, k in program.kernels.items()}
        for kept in (own, {p: v > 0.9 for p, v in scores.items()}):
            mask = WeightMask({f"{p}/kernel": v for p, v in kept.items()})
            found = methods.edges_of(program, mask, model)
            _, expected = circuits.scores_of_parts(
                program, {p: v.astype(float) for p, v in kept.items()}
            )
            self.assertEqual(found, {e: s > 0.5 for e, s in expected.items()})


if __name__ == "__main__":
    absltest.main()
