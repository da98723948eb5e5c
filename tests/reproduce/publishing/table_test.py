from absl.testing import absltest

from reproduce.publishing import table


class TableTest(absltest.TestCase):
    def test_a_terminal_shows_all_of_it(self):
        made = table.Table("Numbers", ("a", "b"), [("1", "2")], "A note.")
        shown = made.as_rich()
        cells = [[*column.cells] for column in shown.columns]
        self.assertEqual(cells, [["1"], ["2"]])
        self.assertEqual([c.header for c in shown.columns], ["a", "b"])
        self.assertEqual((shown.title, shown.caption), ("Numbers", "A note."))


if __name__ == "__main__":
    absltest.main()
