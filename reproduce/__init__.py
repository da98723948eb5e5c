"""The experiments of the four papers, one binary each."""

import importlib.machinery
import os
import sys
import tempfile

# TensorFlow's notices would hide what a binary has to say.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class _QuietTensorFlow:
    """Finder that imports TensorFlow with its standard error held back.

    It prints notices before it reads the level above. Where the import fails
    they are shown.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            loud = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _quietly(loud, module)
        return spec


def _quietly(function, argument):
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)  # C++ writes past `sys.stderr`
        try:
            function(argument)
        except BaseException:
            held_back.seek(0)
            os.write(stderr, held_back.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


sys.meta_path.insert(0, _QuietTensorFlow)
