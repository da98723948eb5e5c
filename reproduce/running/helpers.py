"""What runs in processes beside the workers, without TensorFlow.

A process of Ray imports the module of what it runs: here it starts at once.
"""


class Reports:
    """An actor that hears from all workers what they do."""

    def __init__(self):
        self._steps = {}

    def report(self, name, steps):
        """Takes how many steps of a stage are done; `None` at its end."""
        if steps is None:
            self._steps.pop(name, None)
        else:
            self._steps[name] = steps

    def working(self):
        """Returns a dict from the stages at work to the steps done."""
        return self._steps


def has_token(file, token):
    """Returns whether this machine reads `token` in a file."""
    try:
        with open(file) as f:
            return f.read() == token
    except OSError:
        return False
