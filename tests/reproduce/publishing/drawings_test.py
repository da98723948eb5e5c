from absl.testing import absltest

from modularity_tf import plots
from reproduce.publishing import drawings


class DrawingsTest(absltest.TestCase):
    def test_a_figure_is_drawn_once_and_only_if_it_is_asked_for(self):
        asked = []

        def draw(name):
            asked.append(name)
            return plots.new_figure(2, 2, name)

        made = drawings.Drawings(
            {name: lambda name=name: draw(name) for name in ("one", "two")}
        )
        self.assertEqual(["one", "two"], [*made])
        self.assertLen(made, 2)
        self.assertIn("one", made)
        self.assertNotIn("three", made)
        self.assertEmpty(asked)
        self.assertEqual("two", made["two"].get_suptitle())
        self.assertIs(made["two"], made["two"])
        self.assertEqual(["two"], asked)
        with self.assertRaises(KeyError):
            made["three"]


if __name__ == "__main__":
    absltest.main()
