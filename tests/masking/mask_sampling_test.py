import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import stats

from modularity_tf.masking import mask_sampling, masked_model

FALSE_FAIL_RATE = 1e-9


def sample(logits, seed, num_samples=None, temperature=1.0):
    """Returns masks alone: weights of 1 under them."""
    logits = tf.convert_to_tensor(logits, tf.float32)
    drawn = mask_sampling.sample_weights(
        tf.ones_like(logits), logits, seed, num_samples or 1, temperature
    )
    return drawn[0] if num_samples is None else tf.stack(drawn)


def hoeffding(n):
    """Returns a bound on |mean - expectation| of n values in [0, 1]."""
    return np.sqrt(np.log(2 / FALSE_FAIL_RATE) / (2 * n))


def normal_bound(n, comparisons=1):
    """Returns a bound on the correlation of n independent pairs.

    6.5 standard deviations and more: below 1e-9 even over 100 comparisons.
    """
    return (6.5 + np.log10(comparisons) / 4) / np.sqrt(n)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, "float64")))


def hashed_words(size, key):
    return mask_sampling._mix(size, *tf.constant(key, tf.uint32)).numpy()


def slopes(logits, seed, num_samples=1, temperature=1.0):
    """Returns the gradient of each mask value with respect to its logit."""
    logits = tf.constant(logits, "float32")
    rows = []
    for k in range(num_samples):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            drawn = sample(logits, seed, num_samples, temperature)
            value = tf.reduce_sum(drawn[k])
        rows.append(tape.gradient(value, logits).numpy())
    return np.array(rows)


class TopScoresTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(0, 1, 5, 19, 20)
    def test_keeps_the_highest_of_all_tensors(self, count):
        rng = np.random.default_rng(0)
        scores = {
            "a": rng.normal(size=(3, 4)).astype("float32"),
            "b": rng.normal(size=8).astype("float32"),
        }
        kept = mask_sampling.top_scores(scores, count)
        flat = np.concatenate([scores["a"].ravel(), scores["b"]])
        limit = np.sort(flat)[::-1][count - 1] if count else np.inf
        for name, value in scores.items():
            self.assertAllEqual(kept[name], value >= limit)

    @parameterized.parameters(True, False)
    def test_of_equal_scores_the_first_are_kept(self, compiled):
        top = mask_sampling.top_scores
        if compiled:
            top = tf.function(top)
        scores = {"a": tf.zeros(3), "b": tf.constant([[1.0, 0.0], [0.0, 1.0]])}
        kept = top(scores, 4)
        self.assertAllEqual(kept["a"], [True, True, False])
        self.assertAllEqual(kept["b"], [[True, False], [False, True]])

    @parameterized.parameters(-1, 4)
    def test_refuses_a_count_out_of_range(self, count):
        with self.assertRaisesRegex(ValueError, r"`count` must be in \[0, 3"):
            mask_sampling.top_scores({"a": tf.zeros(3)}, count)


class SampleTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters(-4.0, -2.0, 0.0, 0.9, 2.197, 6.0)
    def test_keeps_with_the_sigmoid_of_the_logit(self, logit):
        n = 200_000
        drawn = sample(np.full(n, logit, "float32"), seed=1)
        self.assertAllInSet(drawn, [0.0, 1.0])
        rate = np.mean(drawn)
        bound = hoeffding(n) + 2.0**-mask_sampling.BITS_PER_SAMPLE
        self.assertLess(abs(rate - sigmoid(logit)), bound)

    @parameterized.parameters(-4.0, 0.0, 0.9, 2.197)
    def test_law_is_that_of_tfp_relaxed_bernoulli(self, logit):
        from tensorflow_probability import distributions as tfd

        n = 200_000
        oracle = tfd.RelaxedBernoulli(temperature=1.0, logits=logit)
        soft = oracle.sample(n, seed=(1, 2))
        expected = np.mean(soft > 0.5)
        rate = np.mean(sample(np.full(n, logit, "float32"), seed=3))
        self.assertLess(abs(rate - expected), 2 * hoeffding(n))

    @parameterized.product(temperature=(0.3, 1.0, 4.0), logit=(-2.0, 0.7))
    def test_gradient_law_is_that_of_tfp_relaxed_bernoulli(
        self, temperature, logit
    ):
        from tensorflow_probability import distributions as tfd

        n = 100_000
        oracle = tfd.RelaxedBernoulli(temperature=temperature, logits=logit)
        soft = np.asarray(oracle.sample(n, seed=(1, 2)), "float64")
        expected = soft * (1 - soft) / temperature
        slope = slopes(np.full(n, logit), 3, temperature=temperature)[0]
        # s (1 - s) / tau lies in [0, 1 / (4 tau)]: two samples, Hoeffding.
        bound = 2 * hoeffding(n) / (4 * temperature)
        self.assertLess(abs(slope.mean() - expected.mean()), bound)
        self.assertLess(
            abs((slope**2).mean() - (expected**2).mean()),
            bound / (4 * temperature),
        )

    def test_gradient_is_the_slope_of_the_sample_that_was_drawn(self):
        # Invert s (1 - s) for s: it must be above 1/2 just where b is 1.
        logits = np.random.default_rng(0).normal(size=5_000).astype("float32")
        drawn = sample(logits, 5, 3).numpy()
        slope = slopes(logits, 5, 3).astype("float64")
        distance = np.sqrt(np.maximum(0.25 - slope, 0))
        soft = np.where(drawn > 0, 0.5 + distance, 0.5 - distance)
        # s = p u / (p u + q (1 - u)) gives back u, a multiple of 2^-16.
        p = sigmoid(logits)
        uniform = soft * (1 - p) / (soft * (1 - p) + (1 - soft) * p)
        bins = uniform * 2.0**mask_sampling.BITS_PER_SAMPLE - 0.5
        middle = (soft > 0.05) & (soft < 0.95) & (abs(soft - 0.5) > 0.05)
        self.assertGreater(middle.mean(), 0.5)
        self.assertAllClose(bins[middle], np.round(bins[middle]), atol=0.05)

    @parameterized.parameters(0.1, 0.5, 1.0, 10.0)
    def test_the_temperature_changes_no_sample(self, temperature):
        # Appendix A.4.
        logits = np.linspace(-5, 5, 1_001).astype("float32")
        expected = sample(logits, seed=4, num_samples=4)
        drawn = sample(logits, 4, 4, temperature)
        self.assertAllEqual(drawn, expected)

    @parameterized.parameters(0.5, 2.0)
    def test_the_temperature_scales_gradients(self, temperature):
        logits = np.linspace(-3, 3, 101).astype("float32")
        slope = slopes(logits, 1)[0].astype("float64")
        # From s at tau = 1, sigmoid(logit(s) / tau) is s at tau.
        drawn = sample(logits, 1).numpy()
        distance = np.sqrt(np.maximum(0.25 - slope, 0))
        soft = np.where(drawn > 0, 0.5 + distance, 0.5 - distance)
        middle = (soft > 0.01) & (soft < 0.99) & (distance > 0.02)
        tempered = sigmoid(np.log(soft / (1 - soft)) / temperature)
        expected = tempered * (1 - tempered) / temperature
        actual = slopes(logits, 1, temperature=temperature)[0]
        self.assertAllClose(actual[middle], expected[middle], rtol=2e-2)

    def test_saturated_logits_are_certain_and_their_gradient_is_finite(self):
        logits = np.array([-1e30, -200.0, 200.0, 1e30], "float32")
        for seed in range(50):
            self.assertAllEqual(sample(logits, seed), [0, 0, 1, 1])
            for temperature in (1.0, 0.5):
                slope = slopes(logits, seed, 1, temperature)
                self.assertAllEqual(slope, np.zeros((1, 4)))

    def test_masked_weights_are_the_product_with_the_mask(self):
        rng = np.random.default_rng(0)
        weights = rng.normal(size=(5, 3)).astype("float32")
        logits = rng.normal(size=(5, 3)).astype("float32")
        drawn = mask_sampling.sample_weights(weights, logits, 9, num_samples=3)
        self.assertAllEqual(drawn, weights * sample(logits, 9, 3))

    def test_gradients_of_masked_weights_match_numpy(self):
        rng = np.random.default_rng(0)
        weights = tf.constant(rng.normal(size=(5, 3)), "float32")
        logits = tf.constant(rng.normal(size=(5, 3)), "float32")
        upstream = tf.constant(rng.normal(size=(3, 5, 3)), "float32")
        with tf.GradientTape() as tape:
            tape.watch([weights, logits])
            drawn = mask_sampling.sample_weights(
                weights, logits, 2, num_samples=3
            )
            value = tf.reduce_sum(upstream * tf.stack(drawn))
        to_weights, to_logits = tape.gradient(value, [weights, logits])
        mask, slope = sample(logits, 2, 3), slopes(logits, 2, 3)
        self.assertAllClose(to_weights, np.sum(upstream * mask, axis=0))
        self.assertAllClose(
            to_logits, np.sum(upstream * slope, axis=0) * weights, atol=1e-6
        )

    def test_float64_weights_stay_float64(self):
        weights = tf.constant(np.pi * np.arange(1, 9), tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            drawn = mask_sampling.sample_weights(weights, np.zeros(8), 1, 2)
            value = tf.reduce_sum(drawn[0] + 1e-12 * drawn[1])
        masks = sample(np.zeros(8), 1, 2).numpy()
        for values, mask in zip(drawn, masks, strict=True):
            self.assertEqual(values.dtype, tf.float64)
            self.assertAllEqual(values, weights * mask)
        gradient = tape.gradient(value, weights)
        self.assertAllEqual(gradient, masks[0] + 1e-12 * masks[1].astype("d"))

    def test_samples_weights_and_steps_are_independent(self):
        n = 2**18
        logits = np.zeros(n, "float32")
        series = {
            f"step {step} sample {k}": drawn
            for step in range(3)
            for k, drawn in enumerate(
                sample(logits, tf.constant([7, step]), 5).numpy() - 0.5
            )
        }
        series["another seed"] = sample(logits, 8).numpy() - 0.5
        stacked = np.array(list(series.values()))
        correlation = 4 * stacked @ stacked.T / n - np.eye(len(stacked))
        bound = normal_bound(n, len(stacked) ** 2)
        self.assertLess(np.abs(correlation).max(), bound)
        lags = [2**i for i in range(17)]
        for lag in (*lags, 3, 48, 100, 15_360, 17_408, 61_441):
            shifted = 4 * np.mean(stacked[:, lag:] * stacked[:, :-lag], axis=1)
            self.assertLess(np.abs(shifted).max(), normal_bound(n - lag, 200))

    def test_neighboring_weights_have_unrelated_bits(self):
        n = 2**16
        words = hashed_words(n, [0x12345678, 0x9ABCDEF0])
        plain = np.unpackbits(words.view("uint8").reshape(n, 4), axis=1)
        self.assertLess(abs(plain.mean(axis=0) - 0.5).max(), hoeffding(n))
        for bit in range(16):
            others = plain[np.arange(n) ^ (1 << bit)]
            changed = np.mean(plain != others, axis=0)
            self.assertLess(abs(changed - 0.5).max(), 2 * hoeffding(n))

    def test_bits_at_any_distance_correlate_as_chance_has_it(self):
        # One key shows no more than chance; over keys, the squares of the
        # standardized correlations must add up to a chi-squared variable.
        n, num_keys = 2**17, 50
        rng, lags = np.random.default_rng(0), np.arange(n - 2**10)
        squares = np.zeros((3, len(lags)))
        for _ in range(num_keys):
            words = hashed_words(n, rng.integers(2**32, size=2))
            halves = np.stack([words & 0xFFFF, words >> 16]).astype("float32")
            halves = (halves + 0.5) / 2**16 - 0.5
            low, high = np.fft.rfft(np.sqrt(12) * halves, 2 * n)
            pairs = np.stack([low, high, low]), np.stack([low, high, high])
            sums = np.fft.irfft(pairs[0] * pairs[1].conj())[:, : len(lags)]
            squares += sums**2 / (n - lags)
        bound = stats.chi2.isf(FALSE_FAIL_RATE / squares.size, num_keys)
        self.assertLess(squares[:, 1:].max(), bound)
        self.assertLess(squares[2].max(), bound)  # within a word

    def test_the_same_seed_draws_the_same_masks(self):
        logits = np.zeros((30, 30), "float32")
        first = sample(logits, seed=1)
        self.assertAllEqual(first, sample(logits, seed=1))
        self.assertNotAllEqual(first, sample(logits, seed=2))
        generator = keras.random.SeedGenerator(1)
        once, twice = (sample(logits, generator) for _ in range(2))
        self.assertNotAllEqual(once, twice)

    def test_shapes_follow_the_logits(self):
        for shape in ((), (1,), (3, 4), (2, 3, 4, 5)):
            logits = np.zeros(shape, "float32")
            self.assertEqual(sample(logits, 0).shape, shape)
            self.assertEqual(sample(logits, 0, 3).shape, (3, *shape))

    @parameterized.parameters(
        ({"num_samples": 0}, "`num_samples` must be .* 0"),
        ({"num_samples": 1.5}, "`num_samples` must be .* 1.5"),
        ({"temperature": 0.0}, "`temperature` must be .* 0.0"),
    )
    def test_refuses(self, kwargs, message):
        weights = np.zeros(3, "float32")
        with self.assertRaisesRegex(ValueError, message):
            mask_sampling.sample_weights(weights, weights, seed=0, **kwargs)

    def test_runs_on_a_gpu_with_the_same_bits(self):
        if not tf.config.list_physical_devices("GPU"):
            self.skipTest("needs a GPU")
        logits = np.linspace(-4, 4, 10_000).astype("float32")
        with tf.device("CPU:0"):
            expected = sample(logits, 1, 4)
        with tf.device("GPU:0"):
            drawn = sample(logits, 1, 4)
        # sigmoid may round another way: at most a few borderline samples.
        self.assertLess(np.mean(expected.numpy() != drawn.numpy()), 1e-3)


class SampleWeightDictTest(tf.test.TestCase):
    def test_small_weights_share_a_kernel_and_large_ones_do_not(self):
        sizes = {"a": 10, "b": 2**17, "c": 20, "d": 2**16 - 1, "e": 1, "f": 1}
        tensors = {k: tf.zeros((v,)) for k, v in sizes.items()}
        groups = mask_sampling._group(tensors)
        self.assertEqual(groups, [["a", "c"], ["b"], ["d", "e"], ["f"]])

    def test_weights_of_different_dtypes_stay_what_they_are(self):
        weights = {
            "a": tf.constant([np.pi], tf.float64),
            "b": tf.constant([np.pi], tf.float32),
            "c": tf.constant([np.e], tf.float64),
        }
        logits = {key: tf.constant([50.0]) for key in weights}
        drawn = mask_sampling.sample_weight_dict(weights, logits, 1)[0]
        for key, value in weights.items():
            self.assertEqual(drawn[key].dtype, value.dtype)
            self.assertAllEqual(drawn[key], value)

    def test_values_and_gradients_go_to_the_right_weight(self):
        rng = np.random.default_rng(0)
        shapes = {"a": (3, 2), "b": (), "c": (5,), "d": (2**17,), "e": (4,)}
        weights = {
            k: tf.constant(rng.normal(size=s), "float32")
            for k, s in shapes.items()
        }
        # Certain logits: a weight is kept, or it is not.
        kept = {k: rng.random(s) < 0.5 for k, s in shapes.items()}
        certain = {
            k: tf.constant(np.where(v, 50.0, -50.0), "float32")
            for k, v in kept.items()
        }
        drawn = mask_sampling.sample_weight_dict(weights, certain, 1, 2)
        self.assertLen(drawn, 2)
        for key in shapes:
            for sample in drawn:
                self.assertAllClose(sample[key], weights[key] * kept[key])

        logits = {k: tf.zeros(s) for k, s in shapes.items()}
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([weights, logits])
            drawn = mask_sampling.sample_weight_dict(weights, logits, 1, 2)
            plain = sum(tf.reduce_sum(x[key]) for x in drawn for key in x)
            weighted = sum(
                (1 + i) * tf.reduce_sum(x[key])
                for x in drawn
                for i, key in enumerate(shapes)
            )
        self.assertEqual(
            tape.gradient(plain, weights), dict.fromkeys(shapes)
        )  # constants
        plain = tape.gradient(plain, logits)
        weighted = tape.gradient(weighted, logits)
        for i, key in enumerate(shapes):
            self.assertAllClose(weighted[key], (1 + i) * plain[key])
            slope = plain[key] / weights[key]
            self.assertAllInRange(slope, 1e-9, 2 * 0.25)
        self.assertEqual([*drawn[0]], [*shapes])

    def test_weights_draw_independently_and_seeds_alone_decide(self):
        logits = {k: tf.zeros((2**17,)) for k in "ab"}  # a kernel each
        ones = {k: tf.ones((2**17,)) for k in "ab"}
        first = mask_sampling.sample_weight_dict(ones, logits, 7)[0]
        again = mask_sampling.sample_weight_dict(ones, logits, 7)[0]
        other = mask_sampling.sample_weight_dict(ones, logits, 8)[0]
        self.assertAllEqual(first["a"], again["a"])
        for x, y in ((first["a"], first["b"]), (first["a"], other["a"])):
            correlation = np.corrcoef(x, y)[0, 1]
            self.assertLess(abs(correlation), normal_bound(2**17, 2))


class SoftAndHardTest(tf.test.TestCase):
    def test_both_have_the_gradient_of_the_soft_mask(self):
        logits = {"a": tf.constant([-2.0, 0.5]), "b": tf.constant([[3.0]])}
        weights = {"a": tf.constant([4.0, 5.0]), "b": tf.constant([[-6.0]])}
        into = {"a": np.array([1.0, 10.0]), "b": np.array([[100.0]])}
        with tf.GradientTape() as tape:
            tape.watch(logits)
            soft, hard = mask_sampling.soft_and_hard_weight_dict(
                weights, logits
            )
            total = sum(
                tf.reduce_sum(into[key] * soft[key] + 2 * into[key] * hard[key])
                for key in weights
            )
        gradients = tape.gradient(total, logits)
        for key, weight in weights.items():
            keep = 1 / (1 + np.exp(-logits[key].numpy()))
            self.assertAllClose(soft[key], weight * keep)
            self.assertAllClose(hard[key], np.where(logits[key] > 0, weight, 0))
            slope = weight * keep * (1 - keep)
            self.assertAllClose(gradients[key], 3 * into[key] * slope)


class CompiledTest(tf.test.TestCase):
    def test_training_is_the_same_with_and_without_xla(self):
        def trained_logits(jit_compile):
            keras.utils.set_random_seed(0)
            layers = [keras.Input((4,)), keras.layers.Dense(3)]
            masked = masked_model.MaskedModel(
                keras.Sequential(layers), num_samples=3, seed=5
            )
            masked.compile(loss="mse", jit_compile=jit_compile)
            x = np.random.default_rng(0).normal(size=(18, 4))
            masked.fit(x, x[:, :3], 6, shuffle=False, verbose=0)
            (logits,) = masked.mask_logits.values()
            return logits.numpy()

        plain, compiled = trained_logits(False), trained_logits(True)
        # Adam moved each logit by about 0.03, this way or that.
        self.assertAllClose(plain, compiled, rtol=0, atol=1e-5)

    def test_keys_are_the_same_with_and_without_xla(self):
        def draw(seed):
            return mask_sampling._draw_keys(seed, groups=11, num_samples=5)

        compiled = tf.function(draw, jit_compile=True)
        for seed in (tf.constant([7, 10**6]), tf.constant([-7, 0])):
            self.assertAllEqual(compiled(seed), draw(seed))


class ThresholdTest(tf.test.TestCase):
    def test_a_tie_is_removed(self):
        logits = np.array([-1.0, -1e-30, 0.0, 1e-30, 2.0], "float32")
        expected = [False, False, False, True, True]
        self.assertAllEqual(mask_sampling.threshold(logits), expected)


class PenaltyTest(tf.test.TestCase):
    def test_matches_numpy(self):
        logits = np.random.default_rng(0).normal(size=(7, 3))
        self.assertAllClose(
            mask_sampling.penalty(logits.astype("float32"), 0.01),
            0.01 * np.sum(logits),
        )

    def test_gradient_is_alpha_for_every_logit(self):
        logits = tf.constant([-50.0, 0.0, 50.0])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = mask_sampling.penalty(logits, 2e-9)
        self.assertAllClose(tape.gradient(value, logits), [2e-9] * 3, atol=0)


class LogitTest(parameterized.TestCase):
    def test_inverts_the_sigmoid(self):
        self.assertAlmostEqual(mask_sampling.logit(0.9), 2.1972, places=4)
        self.assertAlmostEqual(
            sigmoid(mask_sampling.logit(1e-7)), 1e-7, places=12
        )

    @parameterized.parameters(0.0, 1.0, -0.1, float("nan"))
    def test_refuses_what_is_no_probability(self, value):
        with self.assertRaisesRegex(ValueError, r"in \(0, 1\), got"):
            mask_sampling.logit(value)


class SplitBatchTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters((8, 4), (10, 4), (5, 4), (4, 4), (3, 1))
    def test_parts_make_up_the_batch_and_differ_by_one_row(self, batch, k):
        inputs = {"a": tf.range(batch), "b": tf.random.normal((batch, 2))}
        parts = mask_sampling.split_batch(inputs, k)
        self.assertLen(parts, k)
        sizes = [len(part["a"]) for part in parts]
        self.assertLessEqual(max(sizes) - min(sizes), 1)
        for name, whole in inputs.items():
            joined = tf.concat([part[name] for part in parts], axis=0)
            self.assertAllEqual(joined, whole)

    @parameterized.named_parameters(
        ("sparse", tf.sparse.from_dense(np.eye(5)), tf.sparse.to_dense),
        (
            "ragged",
            tf.ragged.constant([[1], [2, 3], [], [4, 5, 6], [7]]),
            lambda x: x.to_tensor(shape=[None, 3]),
        ),
    )
    def test_splits_what_is_not_dense(self, inputs, densify):
        spec = tf.type_spec_from_value(inputs)
        spec = type(spec)([None, *spec.shape[1:]], spec.dtype)
        split = tf.function(
            lambda x: mask_sampling.split_batch(x, 2), input_signature=[spec]
        )
        for parts in (split(inputs), mask_sampling.split_batch(inputs, 2)):
            dense = [*map(densify, parts)]
            self.assertEqual([len(part) for part in dense], [2, 3])
            self.assertAllEqual(tf.concat(dense, 0), densify(inputs))

    def test_refuses_a_batch_smaller_than_the_samples(self):
        with self.assertRaisesRegex(ValueError, "`num_samples`=4.* batch of 3"):
            mask_sampling.split_batch(tf.zeros((3, 2)), 4)

    def test_refuses_a_small_batch_of_unknown_size_when_it_comes(self):
        split = tf.function(
            lambda x: mask_sampling.split_batch(x, 4),
            input_signature=[tf.TensorSpec((None, 2))],
        )
        self.assertLen(split(tf.zeros((4, 2))), 4)
        with self.assertRaisesRegex(
            tf.errors.InvalidArgumentError, "`num_samples`=4"
        ):
            split(tf.zeros((3, 2)))


if __name__ == "__main__":
    tf.test.main()
