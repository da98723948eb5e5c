import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from reproduce.known_truth.others import (
    circuits,
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
            program, _, _ = programs_by_hand.with_decoys()
        model = transformer.build(program, ablation)
        (inputs, right, weights), _ = transformer.data(program, ablation, 0)
        self.assertAllClose(model(inputs), right, rtol=0, atol=1e-5)
        self.assertAllEqual(right[weights == 0], 0 * right[weights == 0])

    @parameterized.parameters(*transformer.ABLATIONS)
    def test_with_a_weight_for_each_edge_it_is_the_program_less_cut_edges(
        self, ablation
    ):
        program = programs_by_hand.proportion()
        model = transformer.build(program, ablation, edges=True)
        tokens = programs.numbers(program)[::5]
        others = tokens[::-1]
        inputs = transformer.arrays(
            program, tokens, others if ablation == "resample" else None
        )
        right = circuits.answers(program, tokens)
        self.assertAllClose(model(inputs), right, rtol=0, atol=1e-5)
        layer = model.get_layer(transformer.edge_layer("a1h0_value"))
        writers = [w for w, r in circuits.edges(program) if r == "a1h0_value"]
        kernel = layer.get_weights()[0]
        self.assertAllEqual(kernel, np.ones((len(writers), 1)))
        kernel[writers.index("m0")] = 0
        layer.set_weights([kernel])
        found = model(inputs)
        if ablation == "zero":
            cut = [("m0", "a1h0_value")]
            expected = circuits.answers(program, tokens, cut=cut)
            self.assertAllClose(found, expected, rtol=0, atol=1e-5)
        else:  # what is x is that of the other list, where both go on
            both = circuits.is_token(program, tokens)
            both &= circuits.is_token(program, others)
            expected = circuits.answers(program, others)
            self.assertAllClose(found[both], expected[both], rtol=0, atol=1e-5)

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


if __name__ == "__main__":
    absltest.main()
