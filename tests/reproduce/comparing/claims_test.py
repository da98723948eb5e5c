import numpy as np
from absl.testing import absltest

from modularity_tf.findings import comparison
from reproduce.comparing import claims, stages
from tests.reproduce.checking import checked


def record(seed, value=0.6, own=0.7, gates=False):
    """Returns a record of two classes in which chance is 0.3."""
    pairs = {**claims.PAIRS, **(claims.GATE_PAIRS if gates else {})}
    methods = (*stages.METHODS, *([stages.GATES] if gates else []))
    rows = [
        {
            "class": name,
            "layer": layer,
            "first": first,
            "second": second,
            "measure": "shared",
            "value": value + shift,
            "chance": 0.3,
            "p": 0.01,
        }
        for first, second in pairs
        for layer in ("conv", comparison.ALL)
        for name, shift in (("cat", -0.1), ("dog", 0.1))
    ]
    shares = [[own, 0.4], [0.4, own]]
    return {
        "data": "MNIST",
        "class_names": ["cat", "dog"],
        "seed": seed,
        "dense": {"accuracy": 0.9},
        "control": {"accuracy": 0.9},
        "comparison": {
            "rows": rows,
            "shares": {method: shares for method in methods},
        },
    }


class ClaimsTest(absltest.TestCase):
    def checked(self, *args, **kwargs):
        records = [record(seed, *args, **kwargs) for seed in (0, 1)]
        return checked(claims.claims(records))

    def test_are_means_over_the_classes_less_chance(self):
        found = self.checked()
        self.assertEqual(
            {each["verdict"] for each in found.values()}, {"agrees"}
        )
        for first, second in claims.PAIRS:
            self.assertAlmostEqual(found[f"{first}_and_{second}"]["mean"], 0.3)
        for method in stages.METHODS:
            each = found[f"own_neurons_{method}"]
            self.assertAlmostEqual(each["mean"], 0.7 - 0.4)

    def test_gates_are_a_further_kind_where_there_are_some(self):
        found = self.checked(gates=True)
        for first, second in claims.GATE_PAIRS:
            self.assertAlmostEqual(found[f"{first}_and_{second}"]["mean"], 0.3)
        self.assertIn("own_neurons_gates", found)
        self.assertNotIn("own_neurons_gates", self.checked())
        self.assertIn("figA_by_layer", claims.draw([record(0, gates=True)]))

    def test_differ_where_marks_are_as_by_chance(self):
        found = self.checked(value=0.25, own=0.35)
        control = found.pop("control_keeps_accuracy")
        self.assertEqual(control["verdict"], "agrees")
        self.assertEqual(
            {each["verdict"] for each in found.values()}, {"differs"}
        )

    def test_classes_without_a_unit_do_not_count(self):
        one = record(0)
        for row in one["comparison"]["rows"]:
            if row["class"] == "cat":
                row["value"] = row["chance"] = None
        value, chance = claims.means(one, *next(iter(claims.PAIRS)))
        self.assertAlmostEqual(value, 0.7)
        self.assertAlmostEqual(chance, 0.3)
        np.testing.assert_allclose(
            stages.own_and_others([[None, 0.2], [0.4, 0.5]]), (0.5, 0.3)
        )


class DrawTest(absltest.TestCase):
    def test_draws_means_over_classes_and_seeds(self):
        found = claims.draw([record(0), record(1, value=0.8)])
        self.assertEqual([*found], ["figA_by_layer", "figB_by_class"])
        bars = found["figA_by_layer"].axes[0].patches
        np.testing.assert_allclose([bar.get_height() for bar in bars], 70)


if __name__ == "__main__":
    absltest.main()
