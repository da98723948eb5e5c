import os
import pathlib
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from modularity_tf import NeuronSelection, UnitClusters
from modularity_tf.findings import weight_mask
from modularity_tf.findings.unit_clusters import LayerClusters
from reproduce.running import artifacts
from tests.reproduce.running import toy

VALUES = {"a": [1, 2.5, None], "b": {"c": "d"}}
MASK = weight_mask.WeightMask({"d/kernel": np.eye(3) > 0}, {"task": "t"})


class ArtifactsTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.place = pathlib.Path(folder) / "part" / "thing"

    def write_and_read(self, artifact):
        self.assertIsNone(artifacts.find(self.place))
        artifacts.write(artifact, self.place)
        return artifacts.read(artifacts.find(self.place))

    def files(self):
        return sorted(p.name for p in self.place.parent.iterdir())

    @parameterized.parameters(({},), ([],), (VALUES,), ([1, "x"],), (0.5,))
    def test_json_values_come_back(self, *values):
        (values,) = values
        self.assertEqual(self.write_and_read(values), values)
        self.assertEqual(self.files(), ["thing.json"])

    def test_a_mask_comes_back(self):
        found = self.write_and_read(MASK)
        self.assertEqual(found, MASK)
        self.assertEqual(found.provenance, MASK.provenance)
        self.assertEqual(self.files(), ["thing.npz"])

    def test_neurons_and_clusters_come_back_as_what_they_are(self):
        neurons = NeuronSelection({"d": np.array([True, False])})
        one = LayerClusters("d", "covariance", np.eye(2), [0, 1], 0.5)
        clusters = UnitClusters([one])
        found = self.write_and_read({"n": neurons, "c": clusters})
        self.assertEqual(found["n"], neurons)
        self.assertEqual(found["c"], clusters)

    def test_a_model_comes_back_with_its_weights(self):
        model = toy.network()
        found = self.write_and_read(model)
        self.assertIsInstance(found, keras.Model)
        self.assertAllEqual(found.get_weights()[0], model.get_weights()[0])
        self.assertEqual(self.files(), ["thing.keras"])

    def test_a_dict_of_several_comes_back_in_whole(self):
        given = {
            "mask": MASK,
            "accuracy": 0.5,
            "more": {"model": toy.network(), "values": VALUES},
        }
        found = self.write_and_read(given)
        self.assertEqual(self.files(), ["thing.parts"])
        self.assertEqual(found.keys(), given.keys())
        self.assertEqual((found["mask"], found["accuracy"]), (MASK, 0.5))
        self.assertEqual(found["more"]["values"], VALUES)
        self.assertIsInstance(found["more"]["model"], keras.Model)

    @parameterized.named_parameters(
        ("json", VALUES), ("mask", MASK), ("parts", {"m": MASK, "v": VALUES})
    )
    def test_what_is_cut_short_does_not_count(self, artifact):
        with (
            mock.patch.object(os, "replace", side_effect=toy.Killed),
            self.assertRaises(toy.Killed),
        ):
            artifacts.write(artifact, self.place)
        self.assertIsNone(artifacts.find(self.place))
        artifacts.write(artifact, self.place)  # over what was left
        self.assertEqual(artifacts.read(artifacts.find(self.place)), artifact)
        self.assertLen(self.files(), 1)

    @parameterized.parameters(([1],), ({"a": MASK, "b": 1},))
    def test_replacing_cut_short_leaves_none(self, artifact):
        artifacts.write(artifact, self.place, "owner", "of one")
        replace = os.replace

        def killed_at_the_end(partial, path):
            if path.parent == self.place.parent:
                raise toy.Killed
            replace(partial, path)

        with (
            mock.patch.object(os, "replace", killed_at_the_end),
            self.assertRaises(toy.Killed),
        ):
            artifacts.write(artifact, self.place, "owner", "of two")
        self.assertIsNone(artifacts.find(self.place))
        artifacts.write(artifact, self.place, "owner", "of two")
        path = artifacts.find(self.place)
        self.assertEqual(artifacts.made(path), "of two")
        artifacts.read(path, "owner")

    def test_parts_of_a_killed_process_are_not_mixed_in(self):
        left = self.place.parent / "partial-thing.parts"
        left.mkdir(parents=True)
        (left / "old.json").write_text("1")
        self.assertEqual(self.write_and_read({"new": MASK}), {"new": MASK})

    @parameterized.product(
        suffix=(".json", ".npz", ".keras"),
        content=(b"", b"{", b"PK\x03\x04 not a zip", b"\xff\xfe\x00"),
    )
    def test_a_damaged_file_is_named_with_what_to_do(self, suffix, content):
        path = self.place.with_name(f"thing{suffix}")
        path.parent.mkdir()
        path.write_bytes(content)
        self.assertEqual(artifacts.find(self.place), path)
        message = f"{path} is damaged, or .*: delete it, and its stage runs"
        with self.assertRaisesRegex(ValueError, message) as caught:
            artifacts.read(path)
        self.assertNotIn("\n", str(caught.exception))

    def test_a_file_of_another_program_is_named(self):
        path = self.place.with_name("thing.npz")
        path.parent.mkdir()
        np.savez(path, x=np.zeros(3))
        with self.assertRaisesRegex(ValueError, f"{path} is damaged, or some"):
            artifacts.read(path)

    def test_a_file_among_the_parts_is_named(self):
        artifacts.write({"mask": MASK, "x": 1}, self.place)
        path = artifacts.find(self.place)
        (path / "x.json").write_text("{")
        with self.assertRaisesRegex(ValueError, f"{path}/x.json is damaged"):
            artifacts.read(path)
        (path / "x.json").rename(path / "x.txt")
        with self.assertRaisesRegex(ValueError, f"{path}/x.txt is damaged"):
            artifacts.read(path)

    def test_a_missing_or_locked_file_is_no_damaged_one(self):
        with self.assertRaises(FileNotFoundError):
            artifacts.read(self.place.with_name("thing.json"))

    @parameterized.named_parameters(
        ("json", VALUES), ("mask", MASK), ("parts", {"m": MASK, "v": VALUES})
    )
    def test_what_another_stage_wrote_is_refused(self, artifact):
        artifacts.write(artifact, self.place, "run/a")
        path = artifacts.find(self.place)
        self.assertEqual(artifacts.read(path, "run/a"), artifact)
        for owner in ("run/b", "other/a"):
            with self.assertRaisesRegex(ValueError, f"{path} is damaged, or"):
                artifacts.read(path, owner)

    def test_a_file_that_was_changed_or_has_no_sum_is_refused(self):
        artifacts.write({"m": MASK, "x": 1}, self.place, "run/a")
        path = artifacts.find(self.place)
        (path / "x.json").write_text("2")
        with self.assertRaisesRegex(ValueError, f"{path} is damaged, or"):
            artifacts.read(path, "run/a")
        (path / "x.json").write_text("1")
        self.assertEqual(artifacts.read(path, "run/a")["x"], 1)
        (path / "x.json").unlink()  # a part is missing
        with self.assertRaisesRegex(ValueError, f"{path} is damaged, or"):
            artifacts.read(path, "run/a")
        other = self.place.with_name("other")
        artifacts.write(VALUES, other)
        with self.assertRaisesRegex(ValueError, "other.json is damaged, or"):
            artifacts.read(artifacts.find(other), "run/a")

    def test_a_full_disk_is_named_with_the_file_and_leaves_nothing(self):
        full = OSError(28, "No space left on device")
        with (
            mock.patch.object(os, "replace", side_effect=full),
            self.assertRaisesRegex(OSError, "No space left .*thing.json"),
        ):
            artifacts.write(VALUES, self.place)
        self.assertEmpty(self.files())

    def test_keys_of_several_artifacts_are_names(self):
        with self.assertRaisesRegex(ValueError, r"have names, got \[3\]"):
            artifacts.write({3: 1, "mask": MASK}, self.place)

    def test_as_read_is_what_reading_gives(self):
        for given in ({"a": (1, 2), 3: "x"}, {"m": MASK, "a": (1,)}, MASK):
            artifacts.write(given, self.place)
            path = artifacts.find(self.place)
            self.assertEqual(artifacts.as_read(given), artifacts.read(path))
            artifacts._remove(path)


if __name__ == "__main__":
    tf.test.main()
