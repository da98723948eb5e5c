import numpy as np
from absl.testing import absltest, parameterized

from modularity_tf import WeightMask
from reproduce.csordas2021.mask_training import AGAIN
from reproduce.csordas2021.sequences import scan, scan_data
from reproduce.csordas2021.sequences.scan_data import SIMPLE
from reproduce.running.run import Run


def mask(*rows):
    return WeightMask({"decoder/output/kernel": np.array(rows, bool)})


class RemovedTest(absltest.TestCase):
    def test_removed_are_shares_of_what_the_full_problem_keeps(self):
        masks = {
            SIMPLE: mask([1, 1, 0], [1, 0, 0]),
            SIMPLE + AGAIN: mask([1, 1, 1], [1, 1, 1]),
            "length": mask([0, 1, 1], [1, 1, 1]),
            "length" + AGAIN: mask([0, 0, 0], [0, 0, 0]),
        }
        found = scan.removed_by_token(masks)
        self.assertEqual(
            found,
            {SIMPLE + AGAIN: [0.0, 0.0, 0.0], "length": [0.5, 0.0, 0.0]},
        )


class PlanTest(absltest.TestCase):
    def test_every_split_has_two_masks_and_a_network_of_its_own(self):
        run = Run(scan.Config(seeds=(3,)), "test")
        scan.plan(run)
        tasks = ["simple", "length", "addprim_jump", "addprim_turn_left"]
        names = ["network", "scores_dense"]
        for task in tasks:
            for name in (task, f"{task}_again"):
                names += [f"mask_{name}", f"scores_{name}"]
        for task in tasks[1:]:
            names += [f"alone_{task}", f"scores_alone_{task}"]
        self.assertCountEqual(
            run.stages,
            [
                f"{network}/seed3/{name}"
                for network in ("lstm", "transformer")
                for name in names
            ],
        )
        left = run.steps_left()
        self.assertEqual(left["lstm: network"], 4 * 25_000)
        self.assertEqual(left["transformer: masks"], 8 * 25_000)


class SubjectTest(absltest.TestCase):
    def test_each_network_has_the_papers_penalty(self):
        lstm, transformer = scan.subjects(scan.Config(), 0)
        self.assertAlmostEqual(lstm.settings.alpha, 3e-5 / 256)
        self.assertAlmostEqual(transformer.settings.alpha, 1e-3 / 256)
        self.assertEqual(lstm.settings.clip_norm, 5.0)
        self.assertEqual(lstm.optimizer().global_clipnorm, 5.0)
        for subject, share in ((lstm, 0.5), (transformer, 1.0)):
            batches = subject.batches("simple")
            self.assertEqual(batches.keywords, {"teacher_forcing": share})

    def test_networks_have_the_sizes_of_the_configuration(self):
        config = scan.Config(hidden_size=4, model_size=8, heads=2, inner_size=6)
        lstm, transformer = (each.build() for each in scan.subjects(config, 0))
        self.assertEqual(lstm.get_layer("encoder_lstm1").units, 4)
        self.assertEqual(transformer.get_layer("encoder3_inner").units, 6)
        self.assertEqual(transformer.output_shape[-1], 7)

    def test_the_longest_command_fits_the_positions(self):
        longest = max(len(e.actions.split()) for e in scan_data.every_example())
        self.assertEqual(longest + 1, scan.POSITIONS)


class ConfigTest(parameterized.TestCase):
    @parameterized.parameters(
        ({"splits": ("jump",)}, "--splits must be .*one of length, .*'jump'"),
        ({"networks": ()}, "--networks must be one value or more"),
        ({"heads": 3}, "--heads=3 must divide --model_size=100"),
        (
            {"find_beta": True, "transformer_beta": 0.0},
            "--find_beta starts at --transformer_beta",
        ),
        ({"teacher_forcing": 1.5}, "--teacher_forcing must be .* at most 1"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            scan.Config(**changes)


if __name__ == "__main__":
    absltest.main()
