import tensorflow as tf

from modularity_tf.units import graph_paths


class GraphPathsTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.enterContext(tf.Graph().as_default())
        self.x = tf.compat.v1.placeholder(tf.float32, (None, 3))
        self.w = tf.ones((3, 3))

    def linear(self, tensor, *outputs):
        dependent = graph_paths.depending_on([self.x])
        return tensor.name in graph_paths.piecewise_linear(
            [*outputs], dependent
        )

    def test_relu_networks_are_piecewise_linear_and_others_not(self):
        h = self.x @ self.w
        y = tf.nn.relu(h) @ self.w + 1.0
        self.assertTrue(self.linear(h, y))
        self.assertFalse(self.linear(h, y, tf.tanh(y)))
        self.assertFalse(self.linear(h, tf.matmul(tf.tanh(h), self.w) + h))
        self.assertTrue(self.linear(h, h))

    def test_a_product_is_linear_while_one_factor_is_constant(self):
        h = self.x @ self.w
        self.assertTrue(self.linear(h, h * self.w[0]))
        self.assertFalse(self.linear(h, h * h))
        self.assertFalse(self.linear(h, tf.matmul(h, h, transpose_b=True)))

    def test_integers_carry_no_derivative(self):
        h = self.x @ self.w
        size = tf.cast(tf.shape(h)[0], tf.float32)
        self.assertTrue(self.linear(h, h * size))

    def test_finds_what_units_are_functions_of(self):
        z = self.x @ self.w
        plain = tf.nn.relu(z + self.w[0])
        mixed = z + tf.reduce_sum(z, axis=1, keepdims=True)
        for units, expected in (
            (plain, z),
            (tf.tanh(mixed), mixed),
            (z * tf.sigmoid(z), None),  # a path and another
            (tf.nn.softmax(z), None),
        ):
            dependent = graph_paths.depending_on([self.x])
            found = graph_paths.before_functions(units, dependent)
            self.assertIs(found, units if expected is None else expected)

    def test_finds_the_only_product(self):
        z = tf.reshape(self.x, (-1, 3)) @ self.w
        dependent = graph_paths.depending_on([self.x])
        self.assertIs(graph_paths.only_product(self.x, dependent), z.op)
        _ = tf.nn.relu(self.x)
        self.assertIsNone(graph_paths.only_product(self.x, dependent))

    def test_what_multiplies_examples_by_each_other_is_no_product(self):
        _ = tf.matmul(self.w, self.x)
        dependent = graph_paths.depending_on([self.x])
        self.assertIsNone(graph_paths.only_product(self.x, dependent))

    def test_sees_what_leads_past_the_outputs(self):
        logits = self.x @ self.w
        y = tf.nn.softmax(logits)
        past = graph_paths.leads_past
        self.assertFalse(past(tf.reduce_sum(y), [y], [self.x]))
        self.assertTrue(past(tf.reduce_sum(y + logits), [y], [self.x]))


if __name__ == "__main__":
    tf.test.main()
