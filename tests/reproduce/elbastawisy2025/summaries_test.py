from absl.testing import absltest

from reproduce.elbastawisy2025 import summaries


def scores(first, second):
    return {"accuracy": 0.5, "confusion": [[first, 1 - first], [0.0, second]]}


class SummarizeTest(absltest.TestCase):
    def summary(self, **found):
        record = {"seed": 3, "methods": {"bayesian": found}}
        record = summaries.summarize(record)
        self.assertEqual(record["seed"], 3)
        return record["methods"]["bayesian"]

    def test_pairs_without_active_neurons_do_not_count(self):
        entries = [{"total": {"share": s}} for s in (0.2, None, 0.4)]
        found = self.summary(
            sharing={
                "specialize": entries,
                "random_pairs": [0, 1],
                "reuse": entries,
                "random_classes": [1, 1],
                "active": [{"conv": 0.2}, {"conv": 0.4}],
            }
        )["sharing"]
        self.assertAlmostEqual(found["active"]["conv"], 0.3)
        for question, every, as_in_text in (
            ("specialize", 0.3, 0.2),
            ("reuse", 0.3, None),
        ):
            shares = {
                name: pairs["total"]["share"]
                for name, pairs in found[question].items()
            }
            self.assertAlmostEqual(shares["every"], every)
            self.assertEqual(shares["as_in_text"], as_in_text)

    def test_of_an_ablation_stays_what_is_shown(self):
        calibration = {"error_before": 0.2, "error_after": 0.1, "bins": {}}
        one = {"active": 0.1, "subnetwork": scores(0.9, 0.2)}
        one["calibration"] = calibration
        both = {**one, "ablated": scores(0.1, 0.8), "random": scores(0.7, 0.6)}
        found, less = self.summary(ablation=[both, one])["ablation"]
        self.assertEqual(
            found["right"],
            {
                "subnetwork": [0.9, 0.2],
                "ablated": [0.1, 0.8],
                "random": [0.7, 0.6],
            },
        )
        self.assertEqual(found["confusion"], [[0.1, 0.9], [0.0, 0.8]])
        self.assertEqual(
            less,
            {
                "active": 0.1,
                "right": {"subnetwork": [0.9, 0.2]},
                "calibration": {"error_before": 0.2, "error_after": 0.1},
            },
        )


if __name__ == "__main__":
    absltest.main()
