import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import stats

from modularity_tf.structure import rewiring

FALSE_FAIL_RATE = 1e-9  # of each statistical test, were its seed free


def seed_pair(seed):
    return tf.constant([seed, 0], tf.int64)


def fresh(strength):
    strength = tf.constant(strength, tf.float32)
    return rewiring.Connections(strength, *[tf.zeros_like(strength)] * 3)


def draw_connections(shape, count, seed):
    """Returns `count` active connections of strength 0.05 to 0.1."""
    active = rewiring.initial_connections(shape, count, seed).numpy()
    values = np.random.default_rng(seed).uniform(0.05, 0.1, shape)
    return fresh(np.where(active, values, 0.0))


def twin(
    state,
    gradient,
    rate,
    iterations,
    beta_1,
    beta_2,
    epsilon,
    wake_strength,
    gentle_wake,
    l1,
):
    """One step of Deep-R in NumPy, up to who wakes.

    Returns the survivors' state and which connections died.
    """
    phi, momentum, velocity, age = (np.array(x, "float64") for x in state)
    active, died = phi > 0, np.zeros(phi.shape, bool)
    for i in np.ndindex(phi.shape):
        if not active[i]:
            continue
        age[i] += 1
        momentum[i] += (1 - beta_1) * (gradient[i] - momentum[i])
        velocity[i] += (1 - beta_2) * (gradient[i] ** 2 - velocity[i])
        mean = momentum[i] / (1 - beta_1 ** age[i])
        root = np.sqrt(velocity[i] / (1 - beta_2 ** age[i]))
        has_woken = gentle_wake and age[i] <= iterations
        slow = min(rate, age[i] * wake_strength) if has_woken else rate
        phi[i] -= slow * mean / (root + epsilon) + rate * l1
        if phi[i] <= 0:
            died[i] = True
            phi[i] = momentum[i] = velocity[i] = age[i] = 0.0
    return (phi, momentum, velocity, age), died


class RewiringTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("one_connection", 1),
        ("some", 12),
        ("all_but_one", 29),
        ("all", 30),
    )
    def test_steps_match_numpy(self, count):
        settings = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}
        wake = {"wake_strength": 0.02, "gentle_wake": True, "l1": 0.1}
        settings |= wake
        rng = np.random.default_rng(count)
        state, deaths = draw_connections((5, 6), count, 1), 0
        for number in range(60):
            gradient = rng.normal(0.5, size=(5, 6))  # downhill to 0
            expected, died = twin(state, gradient, 0.05, number, **settings)
            stepped, rewired = rewiring.step(
                state,
                tf.constant(gradient, tf.float32),
                count,
                seed_pair(number),
                0.05,
                iterations=number,
                **settings,
            )
            woken = (expected[0] == 0) & (stepped.strength.numpy() > 0)
            self.assertEqual(woken.sum(), died.sum())
            self.assertEqual(rewired, (woken & ~died).sum())
            expected[0][woken] = 0.02
            for value, numpy_value in zip(stepped, expected, strict=True):
                self.assertAllClose(value, numpy_value, atol=1e-5)
            self.assertEqual(np.count_nonzero(stepped.strength), count)
            state, deaths = stepped, deaths + died.sum()
        self.assertGreater(deaths, 0)

    def test_full_connections_wake_where_they_died(self):
        state = draw_connections((4, 5), 20, 0)
        gradient = tf.where(tf.range(20.0) < 7, 1.0, 0.0)
        stepped, rewired = rewiring.step(
            state, tf.reshape(gradient, (4, 5)), 20, seed_pair(0), 2.0
        )
        self.assertAllClose(np.ravel(stepped.strength)[:7], [1e-3] * 7)
        self.assertAllEqual(
            np.ravel(stepped.strength)[7:], np.ravel(state.strength)[7:]
        )
        self.assertEqual(rewired, 0)

    def test_lost_connections_come_back(self):
        state = draw_connections((5, 6), 9, 0)
        gradient = tf.zeros((5, 6))
        after, _ = rewiring.step(state, gradient, 12, seed_pair(1), 0.1)
        self.assertEqual(np.count_nonzero(after.strength), 12)

    def test_without_rewiring_connections_stay(self):
        state = draw_connections((6, 6), 9, 0)
        for number in range(20):
            stepped, rewired = rewiring.step(
                state,
                tf.ones((6, 6)),
                9,
                seed_pair(number),
                0.06,
                rewire=False,
            )
            self.assertAllEqual(stepped.strength > 0, state.strength > 0)
            self.assertEqual(rewired, 0)
            state = stepped

    def test_each_dormant_connection_is_as_likely_to_wake(self):
        # Entries 0 to 2 die each time; 3 to 9 live; the rest is dormant.
        strength = np.where(np.arange(30) < 10, 1.0, 0.0)
        gradient = tf.constant(np.where(np.arange(30) < 3, 1.0, 0.0), "float32")
        draws = 1_500

        @tf.function(autograph=False)
        def draw(number):
            seed = tf.stack([number, 7])
            stepped, _ = rewiring.step(
                fresh(strength), gradient, 10, seed, 2.0, wake_strength=0.5
            )
            return stepped.strength

        wakings = tf.map_fn(draw, tf.range(draws), tf.float32) == 0.5
        wakings = np.sum(wakings, axis=0)
        self.assertAllEqual(wakings[3:10], np.zeros(7))
        wakings = np.delete(wakings, np.arange(3, 10))
        expected = 3 * draws / 23
        # Three of 23 without replacement: the counts vary 20 / 22 as much as
        # multinomial ones, so this has a chi-square law with 22 degrees.
        statistic = np.sum((wakings - expected) ** 2 / expected) * 22 / 20
        self.assertLess(statistic, stats.chi2.isf(FALSE_FAIL_RATE, 22))

    def test_those_of_the_least_gradient_wake(self):
        strength = np.array([0.1, 0.1, 0.1, 1.0, 0.0, 0.0, 0.0, 0.0])
        gradient = np.array([1.0, 1.0, 1.0, -9.0, -1.0, 3.0, -2.0, 0.5])
        for rewire, woken in ((True, [4, 6, 7]), (False, [0, 1, 2])):
            stepped, rewired = rewiring.step(
                fresh(strength),
                tf.constant(gradient, tf.float32),
                4,
                seed_pair(1),
                0.5,
                wake_strength=0.25,
                grow="gradient",
                rewire=rewire,
            )
            expected = np.zeros(8)
            expected[3], expected[woken] = 1.5, 0.25
            self.assertAllClose(stepped.strength, expected, atol=1e-5)
            self.assertEqual(rewired, 3 * rewire)

    @parameterized.parameters(
        {"noise": 0.02},
        {"temperature": 0.002},
        {"noise": 0.012, "temperature": 0.00128},
    )
    def test_the_walk_moves_active_connections_alone(self, **walk):
        strength = np.where(np.arange(8_000) < 4_000, 1.0, 0.0)
        stepped, _ = rewiring.step(
            fresh(strength),
            tf.zeros(8_000),
            4_000,
            seed_pair(3),
            0.1,
            **walk,
        )
        walk = stepped.strength.numpy() - strength  # all 0.02 a step
        self.assertAllEqual(walk[4_000:], np.zeros(4_000))
        squares = np.sum((walk[:4_000] / 0.02) ** 2)
        low, high = stats.chi2.interval(1 - FALSE_FAIL_RATE, 4_000)
        self.assertBetween(squares, low, high)
        bound = stats.norm.isf(FALSE_FAIL_RATE / 2) * 0.02 / np.sqrt(4_000)
        self.assertLess(abs(np.mean(walk[:4_000])), bound)

    def test_draws_exactly_as_many_connections(self):
        for count in (1, 37, 99, 100):
            active = rewiring.initial_connections((10, 10), count, 5).numpy()
            self.assertEqual(active.sum(), count)

    def test_the_same_seed_draws_the_same(self):
        one, again, other = (
            rewiring.initial_connections((20, 20), 40, seed).numpy()
            for seed in (1, 1, 2)
        )
        self.assertAllEqual(one, again)
        self.assertNotAllEqual(one, other)
        steps = [
            rewiring.step(
                fresh(one), tf.ones(one.shape), 40, seed_pair(seed), 2.0
            )[0].strength
            for seed in (1, 1, 2)
        ]
        self.assertAllEqual(steps[0], steps[1])
        self.assertNotAllEqual(steps[0], steps[2])

    def test_steps_are_the_same_with_and_without_xla(self):
        state = draw_connections((8, 8), 10, 0)
        gradient = tf.constant(
            np.random.default_rng(0).normal(size=(8, 8)), tf.float32
        )

        def step(state, seed):
            return rewiring.step(state, gradient, 10, seed, 0.07, noise=0.01)

        compiled = tf.function(step, jit_compile=True, autograph=False)
        for seed in (seed_pair(0), seed_pair(2**40 + 1)):
            expected, rewired = step(state, seed)
            stepped, rewired_compiled = compiled(state, seed)
            self.assertEqual(np.count_nonzero(stepped.strength), 10)
            self.assertGreater(rewired, 0)
            self.assertEqual(rewired, rewired_compiled)
            self.assertAllClose(stepped.strength, expected.strength, atol=1e-6)

    def test_the_walk_is_standard_normal(self):
        n = 100_000
        walk = rewiring._random_normal((n,), seed_pair(3)).numpy()
        _, p_value = stats.kstest(walk, "norm")
        self.assertGreater(p_value, FALSE_FAIL_RATE)
        halves = np.corrcoef(walk[1:], walk[:-1])[0, 1]
        self.assertLess(abs(halves), 6.2 / np.sqrt(n))

    @parameterized.parameters(
        (1, 1),
        (100, 100),
        (1.0, 100),
        (0.01, 1),
        (0.25, 25),
        (0.126, 13),
        (np.int64(7), 7),
        (np.float32(0.25), 25),
    )
    def test_counts_connections(self, connections, expected):
        self.assertEqual(rewiring.check_count(connections, 100), expected)

    @parameterized.parameters(0, 101, 0.0, 0.004, 1.5, -1, "all", None, True)
    def test_refuses_a_count_of(self, connections):
        with self.assertRaisesRegex(ValueError, r"`connections` .* \[1, 100\]"):
            rewiring.check_count(connections, 100)


if __name__ == "__main__":
    tf.test.main()
