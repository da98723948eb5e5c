"""One bar for a whole run: training steps done, by whom, and the time left."""

import re

import rich.console
import rich.progress


def in_words(name):
    """Returns the name of a stage in words.

    That is "mask 0 (cnn, seed 1)" for cnn/seed1/mask_0.

    Args:
        name: Str, a path in the run folder without suffix.
    """
    *places, what = name.replace("_", " ").split("/")
    places = [re.sub(r"^seed(\d+)$", r"seed \1", place) for place in places]
    return f"{what} ({', '.join(places)})" if places else what


class Progress:
    """A progress bar over the training steps of all stages.

    Args:
        console: `rich.console.Console`, or `None` for standard output.
    """

    def __init__(self, console=None):
        # Paths may hold brackets, which are no markup.
        self.console = console or rich.console.Console(markup=False)
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description:<28}", markup=False),
            rich.progress.BarColumn(bar_width=None),
            rich.progress.TextColumn(
                "{task.completed:,.0f} of {task.total:,.0f} steps"
            ),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("left"),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=False),
            console=self.console,
        )
        self._task = self._bar.add_task("")
        self._finished = 0

    def start(self, total, finished):
        """Shows the bar.

        Args:
            total: Int, the steps of all stages.
            finished: Int, those of stages that are finished.
        """
        self._finished = finished
        self._bar.update(self._task, total=total, completed=finished)
        self._bar.start()

    def stop(self):
        """Takes the bar off the screen."""
        self._bar.stop()

    def begin(self, name):
        """Says which stage is worked on."""
        self._bar.update(self._task, description=in_words(name))

    def advance(self, steps):
        """Counts steps of the stage that is worked on."""
        self._bar.advance(self._task, steps)

    def extend(self, steps):
        """Adds steps that were not planned to the whole."""
        (task,) = self._bar.tasks
        self._bar.update(self._task, total=(task.total or 0) + steps)

    def finish(self, steps):
        """Counts a stage of so many steps as finished."""
        self._finished += steps
        self._bar.update(self._task, completed=self._finished)

    def show(self, working):
        """Shows what several workers do at once.

        Args:
            working: Dict from stage to steps done.
        """
        names = ", ".join(in_words(name) for name in sorted(working))
        self._bar.update(
            self._task,
            description=f"{len(working)} at work: {names}",
            completed=self._finished + sum(working.values()),
        )
