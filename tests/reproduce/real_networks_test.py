import dataclasses
from unittest import mock

import tensorflow as tf
from absl.testing import parameterized

import modularity_tf as mtf
from reproduce import real_networks
from reproduce.pretrained import packages, stages
from tests.reproduce import run_test_case
from tests.reproduce.pretrained import tiny

TINY = stages.Config(
    seeds=(0,),
    examples=60,
    checked=50,
    controls=1,
    random_parts=2,
)


class MainTest(parameterized.TestCase, run_test_case.RunTestCase):
    def test_records_figures_and_claims_of_a_small_run(self):
        for patch in tiny.replaced():
            self.enterContext(patch)
        for name in ("find_weights", "find_neurons"):
            self.enterContext(mock.patch.object(mtf, name, getattr(tiny, name)))
        _, results = self.run_tiny(
            real_networks, TINY, ["figA_weights", "figB_units", "figC_rows"]
        )
        (record,) = results["records"]
        found = record["deepcut"]
        self.assertEqual(found["weights"]["kept"], 3)
        self.assertLen(found["weights"]["members"], 3)
        before, after = found["smaller"]["parameters"]
        self.assertLess(after, before)
        self.assertLess(found["smaller"]["difference"], 1e-4)
        self.assertNotEmpty(found["soundness"]["rows"])
        self.assertEqual(found["control_of_size"]["kept"], 3)
        self.assertEqual([*found["control_accuracy"]], [*stages.texts.KINDS])
        rows = record["chars2vec"]["words"]["rows"]
        self.assertEqual(rows["digits"], [0, 160])
        claims = {(one["id"], one["subject"]): one for one in results["claims"]}
        self.assertEqual(claims["alone", "deepcut"]["mean"], 1.0)
        self.assertEqual(claims["own_rows", "chars2vec, words"]["mean"], 1.0)

    @parameterized.named_parameters(
        ("network", {"networks": ("bert",)}, "--networks must be one value"),
        ("examples", {"examples": 3}, "--examples must be at least 50"),
    )
    def test_refuses(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(TINY, **changes)

    def test_a_package_that_is_not_there_is_refused_before_any_work(self):
        def read(package, member):
            raise ValueError(f"put {package.file} there")

        self.enterContext(mock.patch.object(packages.Package, "read", read))
        with self.assertRaisesRegex(ValueError, "put deepcut-0.7.0.0.* there"):
            self.run_tiny(real_networks, TINY, [])


if __name__ == "__main__":
    tf.test.main()
