import io

import rich.console
from absl.testing import absltest

from reproduce.running import progress


class ProgressTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        console = rich.console.Console(file=io.StringIO(), width=200)
        self.progress = progress.Progress(console)

    def shown(self):
        (task,) = self.progress._bar.tasks
        return task.description, task.completed, task.total

    def test_finished_stages_count_from_the_start(self):
        self.progress.start(total=100, finished=30)
        self.assertEqual(self.shown(), ("", 30, 100))

    def test_steps_count_while_a_stage_is_at_work(self):
        self.progress.start(100, 0)
        self.progress.begin("seed0/network")
        self.progress.advance(7)
        self.progress.advance(3)
        self.assertEqual(self.shown(), ("network (seed 0)", 10, 100))
        with self.progress._bar.console.capture() as printed:
            self.progress._bar.console.print(self.progress._bar)
        self.assertIn("10 of 100 steps", printed.get())

    def test_stages_are_named_in_words(self):
        for name, words in (
            ("network", "network"),
            ("cnn/seed1/mask_0", "mask 0 (cnn, seed 1)"),
            ("seeded_2/a_b", "a b (seeded 2)"),
        ):
            self.assertEqual(progress.in_words(name), words)

    def test_a_finished_stage_counts_whole_whatever_it_told(self):
        self.progress.start(100, 20)
        self.progress.advance(7)
        self.progress.finish(40)
        self.assertEqual(self.shown()[1], 60)

    def test_what_was_not_planned_makes_the_whole_longer(self):
        self.progress.start(100, 0)
        self.progress.extend(20)
        self.progress.advance(5)
        self.progress.finish(20)
        self.assertEqual(self.shown()[1:], (20, 120))

    def test_several_workers_are_shown_together(self):
        self.progress.start(100, 20)
        self.progress.show({"a/mask_1": 5, "a/mask_0": 9})
        text, completed, _ = self.shown()
        self.assertEqual(text, "2 at work: mask 0 (a), mask 1 (a)")
        self.assertEqual(completed, 34)
        self.progress.finish(10)
        self.progress.show({"a/mask_1": 6})
        self.assertEqual(self.shown()[1], 36)


if __name__ == "__main__":
    absltest.main()
