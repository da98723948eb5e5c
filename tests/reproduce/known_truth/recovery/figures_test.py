import numpy as np
from absl.testing import absltest

from reproduce.known_truth.recovery import cases, figures


def network(case, seed, value=0.5):
    scores = {"average_precision": value, "curve": [1.0, value]}
    own = {"precision": 1.0, "recall": value, "false_positives": {"pair": 0.25}}
    record = {
        "scores": {"mask": {**scores, **own}, "gradient": scores},
        "neurons": {"threshold": {"average_precision": 0.25}},
        "clusters": {"covariance": value, "loss_hessian": -0.1},
        "drawing": {
            "hidden/kernel": [[4, 1, 0], [3, 2, 0]],
            "output/kernel": [[4], [1], [3]],
        },
    }
    return {"case": case, "seed": seed, "found": record}


def control(case):
    answer = {"value": 0.5, "chance": 0.25, "p": 0.02}
    methods = [*figures.NEURONS, *figures.CLUSTERS]
    return {"case": case, "seed": 0, "answers": dict.fromkeys(methods, answer)}


def drawn(fig, panel=0):
    (image,) = fig.axes[panel].images
    return image.get_array()


class DrawTest(absltest.TestCase):
    def test_methods_for_units_have_rows(self):
        records = [network("simple", 0), network("pairs", 0)]
        for record in records:
            record["found"]["neurons"]["gates"] = {
                "average_precision": 1.0,
                "precision": 0.5,
                "recall": 1.0,
            }
        found = figures.draw(records)
        methods = drawn(found["figA_methods"])
        np.testing.assert_allclose(methods[-1], [1.0, 1.0])
        np.testing.assert_allclose(
            drawn(found["figB_own_threshold"])[-1], [0.5, 0.5]
        )

    def test_draws_every_method_and_case(self):
        records = [network("simple", s, v) for s, v in ((0, 0.5), (1, 1.0))]
        records += [network("pairs", 0), control("aligned"), control("rotated")]
        found = figures.draw(records)
        self.assertEqual(
            [name.split("_")[0] for name in found],
            [f"fig{letter}" for letter in "ABCDEFG"],
        )
        methods = drawn(found["figA_methods"])
        np.testing.assert_allclose(methods[:3, 0], [0.75, 0.75, 0.25])
        self.assertTrue(
            np.ma.getmaskarray(methods)[3, 0] or np.isnan(methods[3, 0])
        )
        np.testing.assert_allclose(
            drawn(found["figB_own_threshold"], 1), [[0.75, 0.5]]
        )
        np.testing.assert_allclose(
            drawn(found["figC_false_alarms"]), [[0.25, 0.25]]
        )
        np.testing.assert_allclose(
            drawn(found["figE_clusters"]), [[0.75, 0.5], [0, 0]]
        )
        columns = [
            each.get_text()
            for each in found["figA_methods"].axes[0].get_xticklabels()
        ]
        self.assertEqual(
            columns, [cases.TITLES["simple"], cases.TITLES["pairs"]]
        )

    def test_draws_what_there_is(self):
        self.assertEqual(
            [*figures.draw([control("rotated")])], ["figG_rotated"]
        )
        record = network("attention", 0)
        del record["found"]["drawing"], record["found"]["clusters"]
        found = [name.split("_")[0] for name in figures.draw([record])]
        self.assertEqual(found, ["figA", "figB", "figC", "figD"])


if __name__ == "__main__":
    absltest.main()
