from absl.testing import absltest, parameterized

from reproduce.publishing import titles


class TitlesTest(parameterized.TestCase):
    @parameterized.parameters(
        ("cnn_nodropout", "CNN without dropout"),
        ("not add", "¬ addition"),
        ("pair3", "pair3"),
    )
    def test_a_name_without_a_title_stays(self, name, expected):
        self.assertEqual(titles.title_of(name), expected)

    @parameterized.parameters(
        ("cnn: it drops", "CNN with dropout: it drops"),
        (
            "cnn - cnn_nodropout: it drops: more",
            "CNN with dropout less CNN without dropout: it drops: more",
        ),
        ("add and mul agree", "add and mul agree"),
    )
    def test_a_statement_begins_with_titles(self, statement, expected):
        self.assertEqual(titles.in_statement(statement), expected)


if __name__ == "__main__":
    absltest.main()
