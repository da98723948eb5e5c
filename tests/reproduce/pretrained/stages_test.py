import dataclasses
import pathlib
import tempfile
import types
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

import modularity_tf as mtf
from reproduce.pretrained import stages
from tests.reproduce.pretrained import tiny


def a_stage():
    config = stages.Config(examples=50, checked=50, random_parts=2)
    return types.SimpleNamespace(
        seed=0, config=config, derive_seed=lambda *purpose: len(str(purpose))
    )


class StagesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        for patch in tiny.replaced():
            self.enterContext(patch)

    def test_words_of_each_kind_are_held_out(self):
        for kind in stages.texts.KINDS:
            found, held = stages.words_of(kind, 3)
            self.assertNotEmpty(held)
            self.assertEmpty(set(found) & set(held))

    def test_a_part_that_sees_spaces_is_balanced_right_on_english(self):
        stage = a_stage()
        mask = tiny.spaces_mask(stages.deepcut.load())
        found = stages.accuracy_of(stage, mask)
        self.assertEqual([*found], [*stages.texts.KINDS])
        english = found["latin"]
        self.assertEqual(english["whole"], 1.0)
        self.assertEqual(english["alone"], 1.0)
        self.assertEqual(english["alone_242"], 1.0)
        self.assertEqual(english["without"], 0.5)
        self.assertEqual(english["random_alone"], 0.5)
        self.assertGreater(english["random_without"], english["without"])
        self.assertIn("random_without_242", english)
        self.assertEqual(found["digits"]["alone"], 1.0)
        self.assertLess(found["thai"]["alone"], 0.6)

    def test_a_mask_is_found_with_tensorboard_and_its_warnings_are_kept(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        advance = mock.Mock()
        stage = a_stage()
        stage.steps, stage.log_dir = 10**6, folder
        stage.run = types.SimpleNamespace(
            progress=types.SimpleNamespace(advance=advance)
        )
        stage.config = dataclasses.replace(
            stage.config, examples=300, mask_steps=10
        )
        mask = stages.weights_of_english(stage)
        self.assertBetween(mask.keep_fraction, 1e-6, 0.5)
        self.assertTrue(mask.values["hidden/kernel"][147 - 2, 0])
        self.assertIsInstance(mask.provenance["warnings"], list)
        self.assertNotEmpty([*pathlib.Path(folder).rglob("events.*")])
        advance.assert_called_with(10)

    def test_controls_have_the_penalty_or_the_size_of_the_part(self):
        mask = tiny.spaces_mask(stages.deepcut.load(), alpha=0.25)
        for function, expected in (
            (stages.weights_of_untrained, {"alpha": 0.25}),
            (stages.as_many_of_untrained, {"keep": mask.keep_fraction}),
        ):
            with mock.patch.object(stages, "_find") as find:
                function(a_stage(), mask)
            self.assertEqual(find.call_args.kwargs, expected)
            kernel = find.call_args.args[2].get_layer("hidden").kernel
            trained = stages.deepcut.load().get_layer("hidden").kernel
            self.assertFalse(np.array_equal(kernel, trained))

    def test_a_layer_without_units_keeps_its_best(self):
        selection = mtf.NeuronSelection(
            {
                "a": np.array([False, False, False]),
                "b": np.array([True, False]),
            },
            {},
            {"a": np.array([0.1, 0.3, 0.2]), "b": np.array([1.0, 0.0])},
        )
        found, count = stages.with_a_unit_each(selection)
        self.assertEqual(count, 1)
        self.assertEqual(found.values["a"].tolist(), [False, True, False])
        self.assertEqual(found.values["b"].tolist(), [True, False])

    def test_what_is_kept_of_a_kernel_is_counted_by_kind_of_character(self):
        model = stages.chars2vec.load()
        logits = mtf.MaskedModel(model).mask_logits
        values = {path: np.ones(v.shape, bool) for path, v in logits.items()}
        first = next(p for p, v in values.items() if v.shape[0] == 59)
        values[first][15:25] = False  # the rows of digits
        told = {"alpha": 1e-4, "steps": 9, "warnings": []}
        mask = mtf.WeightMask(values, told)
        found = stages.checked_strings(a_stage(), mask, stages.WORDS)
        self.assertEqual(
            found["rows"],
            {"letters": [416, 416], "digits": [0, 160], "others": [368, 368]},
        )
        self.assertEqual(found["kept"] + 160, found["size"])
        explained = found["explained"]
        self.assertAlmostEqual(explained["words"]["alone"], 1.0)
        self.assertLess(explained["numbers"]["alone"], 0.999)
        self.assertLess(explained["words"]["random"], 1.0)


if __name__ == "__main__":
    absltest.main()
