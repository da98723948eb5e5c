import dataclasses
from unittest import mock

import tensorflow as tf

from reproduce.data import images
from reproduce.lange2022 import analysis, stages
from reproduce.running.run import Run

CONFIG = stages.Config(
    dataset="digits",
    seeds=(0, 3),
    l2=(1e-5, 1e-3),
    l1=(1e-5, 1e-3),
    dropout=(0.1, 0.5),
    sizes=(4, 4),
    untrained=30,
    batch_size=8,
    network_steps=20,
    log_steps=10,
    call_steps=5,
)


class PlanTest(tf.test.TestCase):
    def test_counts_steps_of_training_and_networks_to_analyze(self):
        run = Run(CONFIG, "test")
        stages.plan(run)
        self.assertEqual(
            run.steps_left(), {"networks": 2 * 20, "analysis": 2 * 6 + 30}
        )
        self.assertContainsSubset(
            {"seed3/networks", "untrained/0to25", "untrained/25to30"},
            run.stages,
        )

    def test_refuses_more_images_than_there_are(self):
        config = dataclasses.replace(CONFIG, score_images=501)
        with self.assertRaisesRegex(
            ValueError, "--score_images=501 must be at most 500: digits has"
        ):
            stages.plan(Run(config, "test"))


class RecordsTest(tf.test.TestCase):
    def test_name_the_setting_of_each_network_and_keep_examples_apart(self):
        found = [
            [{"accuracy": 10 * seed + i} for i in range(6)] for seed in (0, 3)
        ]
        matrix = [[0, 0.314, 1], [0.314, 0, 0.1], [1, 0.1, 0]]
        found[0][4]["example"] = {"q": 0.5, "matrix": matrix}
        records = stages.describe(CONFIG, found)
        self.assertLen(records, 12)
        last = {"seed": 3, "kind": "dropout", "strength": 0.5, "accuracy": 35}
        self.assertEqual(records[-1], last)
        self.assertTrue(all("example" not in r for r in records))
        self.assertEqual(
            stages.find_examples(CONFIG, found[0]),
            [{"strength": 0.1, "q": 0.5, "matrix": [[], [31], [100, 10]]}],
        )

    def test_agreements_are_means_over_the_layers_where_they_are_known(self):
        layer = {key: [1, None] for key in stages.TRAINED} | {"null": []}
        layers = [
            {**layer, "q": 1, "agreement": [0.2, None, None]},
            {**layer, "q": 2, "agreement": [0.4, 0.5, None]},
        ]
        found = stages.thinned({"layers": layers}, stages.TRAINED)
        self.assertAllClose(found["agreement"][:2], [0.3, 0.5])
        self.assertIsNone(found["agreement"][2])
        self.assertEqual([one["q"] for one in found["layers"]], [1, 2])
        self.assertEqual(found["layers"][0]["clusters"], [1.0, None])
        self.assertNotIn("null", found["layers"][0])
        self.assertEqual(found["layers"][0]["q_restarts"], [1.0])

    def test_a_stack_of_untrained_networks_has_a_number(self):
        found = stages.number_stacks(
            [[{"loss": 1}, {"loss": 2}], [{"loss": 3}]]
        )
        self.assertEqual([r["stack"] for r in found], [0, 0, 1])
        self.assertEqual([r["loss"] for r in found], [1, 2, 3])


class UntrainedTest(tf.test.TestCase):
    def test_each_network_has_its_regularization_and_mild_l2_beside(self):
        settings = [("l2", 0.1), ("l1", 0.01), ("dropout", 0.3)]
        data = images.load("digits")
        stack = stages.untrained(CONFIG, data, settings, seed=0)
        layer = stack.get_layer("hidden1").kernel_regularizer
        self.assertEqual(layer.l2, [0.1, 1e-5, 1e-5])
        self.assertEqual(layer.l1, [0.0, 0.01, 0.0])
        self.assertEqual(stack.get_layer("dropout2").rates, [0.0, 0.0, 0.3])


class PhasesTest(tf.test.TestCase):
    def test_do_whole_calls_and_as_many_networks_as_asked_for(self):
        made = []

        def untrained(*args, **kwargs):
            made.append(build(*args, **kwargs))
            return made[-1]

        build = stages.untrained
        with mock.patch.object(stages, "untrained", untrained):
            phases = stages.phases(CONFIG)
        phases["networks"].work(2)
        steps = 2 * phases["networks"].unit
        self.assertEqual(int(made[0].optimizer.iterations), steps)
        with mock.patch.object(analysis, "analyze") as analyze:
            phases["analysis"].work(8)
        networks = analyze.call_args.args[2]
        self.assertLen(networks, 8)  # of six: two come again
        self.assertAllEqual(networks[6][0][0], networks[0][0][0])


if __name__ == "__main__":
    tf.test.main()
