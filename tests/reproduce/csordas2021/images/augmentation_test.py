import numpy as np
from absl.testing import absltest, parameterized

from reproduce.csordas2021.images import augmentation
from reproduce.data import images

RNG = np.random.default_rng(0)
SPLIT = images.Split(
    RNG.integers(1, 256, (50, 16, 8, 3), "uint8"),
    np.arange(50, dtype="int32"),
)


def cuts(image, flip):
    """Yields every image that a shift, and mirroring, can make of another."""
    height, width, _ = image.shape
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    for row in range(5):
        for column in range(5):
            cut = padded[row : row + height, column : column + width]
            yield cut
            if flip:
                yield cut[:, ::-1]


class BatchesTest(parameterized.TestCase):
    @parameterized.parameters(True, False)
    def test_every_image_is_shifted_by_an_eighth_at_most(self, flip):
        seen = set()
        for pixels, labels in augmentation.batches(SPLIT, 25, 3, 0, 8, flip):
            for image, label in zip(pixels.numpy(), labels.numpy()):
                found = [
                    i
                    for i, cut in enumerate(cuts(SPLIT.images[label], flip))
                    if np.array_equal(image, cut)
                ]
                self.assertLen(found, 1)
                seen.add(found[0])
        # 200 draws of 25 or 50 ways: 49 or 25 of them on average.
        self.assertGreater(len(seen), 40 if flip else 22)

    def test_shifts_and_mirroring_are_independent(self):
        pixels = np.zeros((4000, 8, 8, 1), "float32")
        pixels[:, 3, 2] = 1  # one bright pixel, not in the middle
        found = augmentation.shifted(pixels, (1, 2)).numpy()[..., 0]
        rows, columns = found.any(2).argmax(1) - 3, found.any(1).argmax(1)
        places = np.array(
            [
                [(rows == r) & (columns == c) for c in range(8)]
                for r in (-1, 0, 1)
            ]
        ).mean(-1)
        expected = np.array([0, 1, 1, 1, 1, 1, 1, 0]) / 18
        # 18 rates of 1 / 18 with a standard error of 0.0036: five of them.
        np.testing.assert_allclose(places, [expected] * 3, atol=0.018)

    def test_a_batch_is_a_function_of_seed_and_step(self):
        whole = [x.numpy() for x, _ in augmentation.batches(SPLIT, 8, 1, 0, 6)]
        rest = [x.numpy() for x, _ in augmentation.batches(SPLIT, 8, 1, 4, 6)]
        np.testing.assert_array_equal(whole[4:], rest)
        other = [x.numpy() for x, _ in augmentation.batches(SPLIT, 8, 2, 0, 6)]
        self.assertFalse(np.array_equal(whole, other))

    def test_the_same_image_is_shifted_otherwise_in_another_epoch(self):
        one = images.Split(SPLIT.images[:1], SPLIT.labels[:1])
        found = [x.numpy() for x, _ in augmentation.batches(one, 4, 0, 0, 5)]
        self.assertGreater(len(np.unique(np.concatenate(found), axis=0)), 5)


if __name__ == "__main__":
    absltest.main()
