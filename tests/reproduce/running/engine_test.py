import dataclasses
import json
import pathlib
import socket
import sys
import tempfile
from unittest import mock

import tensorflow as tf

from reproduce.publishing import experiment
from reproduce.running import engine
from reproduce.running.run import Run
from tests.reproduce.running import toy


def plan(run):
    """Plans two stages a seed, the second of which needs the first."""
    records = toy.plan(run)
    for record in records:
        record["double"] = run.stage(
            f"seed{record['seed']}/double", toy.double, record["x"]
        )
    return records


EXPERIMENT = dataclasses.replace(toy.EXPERIMENT, plan=plan)


class EngineTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory())
        )

    def config(self, name, **changes):
        return toy.Config(output_dir=str(self.folder / name), **changes)

    def records(self, name):
        (path,) = (self.folder / name).glob("*/results.json")
        return json.loads(path.read_text())["records"]

    def test_lost_workers_are_replaced_and_failing_stages_named(self):
        config = self.config("two", seeds=(0, 1, 2, 3), workers=2)
        failing = dataclasses.replace(config, mode="lose_workers")
        with self.assertRaisesRegex(
            ValueError,
            "1 stages failed 3 times, and 1 that need them were left out.*"
            r"seed2/work: ValueError\('seed2/work: seed 2 fails.'\)",
        ):
            experiment.carry_out(EXPERIMENT, failing)
        (run,) = (self.folder / "two").iterdir()
        finished = sorted(
            str(path.relative_to(run)) for path in run.glob("seed*/*.json")
        )
        self.assertEqual(
            finished,
            [
                f"seed{seed}/{name}.json"
                for seed in (0, 1, 3)
                for name in ("double", "work")
            ],
        )
        self.assertTrue((run / "killed").exists())
        log = (run / "logs/seed2/work.failed.txt").read_text()
        self.assertIn("seed 2 fails", log)
        # What failed runs again, what is done does not, whoever did it.
        before = (run / "seed1/work.json").stat().st_mtime_ns
        experiment.carry_out(EXPERIMENT, dataclasses.replace(config, workers=1))
        self.assertEqual((run / "seed1/work.json").stat().st_mtime_ns, before)

        alone = self.config("one", seeds=config.seeds)
        experiment.carry_out(EXPERIMENT, alone)
        several, one = self.records("two"), self.records("one")
        processes = set()
        for record in (*several, *one):
            processes.add(record["double"].pop("process"))
        self.assertEqual(several, one)
        self.assertGreater(len(processes), 1)

    def test_a_cluster_of_two_nodes_gives_the_same(self):
        from ray import cluster_utils

        cluster = cluster_utils.Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1}
        )
        self.addCleanup(cluster.shutdown)
        cluster.add_node(num_cpus=1)
        config = self.config("c", seeds=(0, 1, 2), address=cluster.address)
        experiment.carry_out(EXPERIMENT, config)
        found = [record["x"]["x"] for record in self.records("c")]
        self.assertEqual(found, [0.5, 1.5, 2.5])
        self.assertEmpty([*self.folder.glob("*/*/shared.txt")])

    def test_says_what_to_install(self):
        config = self.config("none", workers=2)
        with (
            mock.patch.dict(sys.modules, {"ray": None}),
            self.assertRaisesRegex(ValueError, r"pip install .*\[cluster\]"),
        ):
            experiment.carry_out(EXPERIMENT, config)
        self.assertFalse((self.folder / "none").exists())

    def test_refuses_workers_that_do_not_fit(self):
        config = self.config("many", workers=50)
        with self.assertRaisesRegex(ValueError, "--workers=50 need 1000.0 GiB"):
            engine.check_memory(config, peak=1000.0)
        engine.check_memory(self.config("one", workers=1), peak=1000.0)
        engine.check_memory(config, peak=1e-6)

    def test_a_folder_that_others_can_t_read_is_refused(self):
        ray = mock.Mock()
        ray.nodes.return_value = [
            {
                "Alive": True,
                "NodeManagerAddress": "10.0.0.1",
                "NodeManagerHostname": host,
            }
            for host in ("a", "b")
        ]
        ray.get.return_value = [True, False]
        with self.assertRaisesRegex(ValueError, "share: b can't read it"):
            engine._check_folder_is_shared(ray, self.folder)
        self.assertEmpty([*self.folder.iterdir()])

    def test_cores_are_shared_out(self):
        with mock.patch.object(engine.provenance, "available_cores", lambda: 8):
            shares = [
                engine.cores_a_task(self.config("c", **changes))
                for changes in (
                    {"workers": 4},
                    {"workers": 3, "cpus_per_task": 1.5},
                    {"address": "auto"},
                )
            ]
        self.assertEqual(shares, [2, 1.5, 1.0])

    def test_there_are_as_many_workers_as_asked_for(self):
        config = self.config("w", workers=3, cpus_per_task=2.0)
        ray = mock.Mock()
        ray.init.side_effect = ConnectionError("none")
        run = Run(config, "toy")
        plan(run)
        with (
            mock.patch.object(engine, "import_ray", lambda: ray),
            self.assertRaisesRegex(ValueError, "is no Ray cluster: none"),
        ):
            engine.carry_out(plan, run)
        told = ray.init.call_args.kwargs
        # Not those of a cluster that runs here, too.
        self.assertEqual((told["num_cpus"], told["address"]), (3, "local"))

    def test_an_address_where_nobody_listens_is_refused_at_once(self):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))  # bound, and does not listen
            address = f"127.0.0.1:{one.getsockname()[1]}"
            run = Run(self.config("n", address=address), "toy")
            plan(run)
            ray = mock.Mock()
            with (
                mock.patch.object(engine, "import_ray", lambda: ray),
                self.assertRaisesRegex(ValueError, f"{address} is no Ray clus"),
            ):
                engine.carry_out(plan, run)
        ray.init.assert_not_called()

    def test_a_stage_goes_to_the_worker_that_has_its_network(self):
        hands = [mock.Mock(kept=frozenset(kept)) for kept in ("", "ab", "c")]
        needs = {"new": set(), "of_c": {"c"}, "of_ab": {"a", "b", "c"}}
        for ready, expected in (
            (["new"], ("new", hands[0])),
            (["new", "of_c"], ("of_c", hands[2])),
            (["of_ab", "of_c"], ("of_ab", hands[1])),
        ):
            self.assertEqual(engine._choose(ready, hands, needs), expected)

    def test_as_many_workers_as_a_cluster_has_room_for(self):
        ray = mock.Mock()
        ray.cluster_resources.return_value = {"CPU": 9.0, "GPU": 2.0}
        for changes, expected in (
            ({"workers": 3}, 3),
            ({"address": "auto"}, 9),
            ({"address": "auto", "cpus_per_task": 2.0}, 4),
            ({"address": "auto", "gpus_per_task": 1.0}, 2),
            ({"address": "auto", "cpus_per_task": 16.0}, 1),
        ):
            config = self.config("m", **changes)
            self.assertEqual(engine._most_workers(ray, config), expected)

    def test_a_worker_makes_room_for_another_one(self):
        for gpus, most in ((0.0, engine.STAGES_A_WORKER), (1.0, 1)):
            ray = mock.Mock()
            config = self.config("r", address="auto", gpus_per_task=gpus)
            hand = engine._Hand(ray, config, None, None)
            for _ in range(most - 1):
                self.assertTrue(hand.keeps_working({"a"}))
            ray.kill.assert_not_called()
            self.assertFalse(hand.keeps_working({"a"}))
            ray.kill.assert_called_once_with(hand.actor)

    def test_nothing_to_do_starts_nothing(self):
        run = Run(self.config("n", workers=2), "toy")
        with mock.patch.object(engine, "import_ray") as ray:
            engine.carry_out(plan, run)
        ray.return_value.init.assert_not_called()


if __name__ == "__main__":
    tf.test.main()
