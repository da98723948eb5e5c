import contextlib
import io
from unittest import mock

from absl.testing import absltest

from modularity_tf.network import progress


def printed(seconds, **options):
    """Returns what is printed of three items, at some time after the first."""
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        mock.patch.object(progress, "SHOWN_AFTER", -seconds),
    ):
        items = list(progress.shown(iter("abc"), "layer", **options))
    return items, out.getvalue()


class ShownTest(absltest.TestCase):
    def test_shows_a_bar_of_the_items_once_it_takes_long(self):
        items, text = printed(1, total=3)
        self.assertEqual(items, [*"abc"])
        self.assertIn("3/3", text)
        self.assertIn("layer", text)

    def test_the_number_of_items_may_be_unknown(self):
        items, text = printed(1)
        self.assertEqual(items, [*"abc"])
        self.assertIn("3/", text)

    def test_shows_nothing_of_what_is_short_or_if_told_so(self):
        for found in (printed(-60, total=3), printed(1, total=3, verbose=0)):
            self.assertEqual(found, ([*"abc"], ""))


if __name__ == "__main__":
    absltest.main()
