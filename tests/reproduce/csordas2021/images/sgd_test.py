import keras
import numpy as np
from absl.testing import absltest

from reproduce.csordas2021.images import sgd


class SGDWithL2Test(absltest.TestCase):
    def test_the_penalty_s_gradient_goes_through_the_momentum(self):
        optimizer = sgd.SGDWithL2(0.1, momentum=0.9, l2=0.5)
        weight = keras.Variable(np.array([2.0, -1.0], "float32"))
        optimizer.build([weight])
        expected, speed = np.array([2.0, -1.0]), np.zeros(2)
        for gradient in ([1.0, 0.0], [0.0, 0.5], [0.2, 0.2]):
            gradient = np.array(gradient, "float32")
            optimizer.apply([keras.ops.convert_to_tensor(gradient)])
            speed = 0.9 * speed - 0.1 * (gradient + 0.5 * expected)
            expected = expected + speed
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5)

    def test_its_arguments_come_back(self):
        config = sgd.SGDWithL2(0.2, momentum=0.8, l2=0.3).get_config()
        again = sgd.SGDWithL2.from_config(config)
        self.assertEqual((again.l2, again.momentum), (0.3, 0.8))
        np.testing.assert_allclose(again.learning_rate, 0.2)


class SteppedTest(absltest.TestCase):
    def test_falls_at_half_and_three_quarters_of_the_steps(self):
        rate = sgd.stepped(0.1, 64_000)
        for step, expected in (
            (0, 0.1),
            (31_999, 0.1),
            (32_000, 0.01),
            (47_999, 0.01),
            (48_000, 0.001),
            (63_999, 0.001),
        ):
            np.testing.assert_allclose(rate(step), expected, rtol=1e-6)


if __name__ == "__main__":
    absltest.main()
