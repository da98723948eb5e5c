import itertools

import numpy as np
from absl.testing import absltest

from modularity_tf.units import relu_similarity


class ReluProductsTest(absltest.TestCase):
    def test_sums_match_jacobians_written_out_example_by_example(self):
        rng = np.random.default_rng(0)
        sizes = [9, 6, 5, 4, 3]
        kernels = [
            rng.normal(size=s).astype("float32")
            for s in itertools.pairwise(sizes)
        ]
        biases = [rng.normal(size=n).astype("float32") for n in sizes[1:]]
        inputs = rng.normal(size=(7, 9)).astype("float32")
        found = relu_similarity.sums_over_examples(kernels, biases, inputs)
        expected = [np.zeros((3, n, n)) for n in sizes[1:-1]]
        for x in inputs:
            hidden, gates = x, []
            for kernel, bias in zip(kernels[:-1], biases, strict=False):
                hidden = np.maximum(hidden @ kernel + bias, 0)
                gates.append(np.diag(hidden > 0))
            p = np.exp(hidden @ kernels[-1] + biases[-1])
            p /= p.sum()
            up, down = np.eye(9), np.eye(3)
            for i, gate in enumerate(gates):
                up = gate @ kernels[i].T @ up
                expected[i][0] += up @ up.T
            for i in (2, 1, 0):
                down = down @ kernels[i + 1].T
                expected[i][1] += down.T @ down
                curvature = np.diag(p) - np.outer(p, p)
                expected[i][2] += down.T @ curvature @ down
                down = down @ gates[i]
        kinds = ("input_sensitivity", "output_sensitivity", "loss_hessian")
        for sums, matrices in zip(found, expected, strict=True):
            for kind, matrix in zip(kinds, matrices, strict=True):
                scale = np.abs(matrix).max()
                np.testing.assert_allclose(
                    sums[kind], matrix, atol=1e-5 * scale, err_msg=kind
                )

    def test_a_constant_unit_has_exactly_no_variance(self):
        kernels = [np.zeros((4, 2), "float32"), np.ones((2, 3), "float32")]
        biases = [np.array([0.1, 0.7], "float32"), np.zeros(3, "float32")]
        inputs = np.ones((1000, 4), "float32")
        (sums,) = relu_similarity.sums_over_examples(kernels, biases, inputs)
        self.assertLess(np.abs(sums["covariance"]).max(), 1e-25)
        np.testing.assert_allclose(sums["mean"], biases[0], rtol=1e-12)


if __name__ == "__main__":
    absltest.main()
