"""Settings of every test run; Bazel also starts each test through this file."""

import os
import sys

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as `make test` does
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # workers share it

import keras  # reads what is set above, as TensorFlow does
import tensorflow as tf

# Most graphs run a few steps: to optimize them costs a fifth of all time.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_configure() -> None:
    from tests import forked  # not where this file starts Bazel's tests

    forked.start_server()


def pytest_unconfigure() -> None:
    from tests import forked

    forked.stop_server()


def _traced_once(make_function):
    """Has Keras make a model's variables before it traces the first step.

    Keras makes those of the optimizer and of metrics within that step, which
    TensorFlow then traces twice: half of the time of a short training.
    """

    def make(model, step):
        function, waiting = make_function(model, step), [step]

        def each(batches):
            if waiting:
                _make_variables(model, waiting.pop(), batches)
            return function(batches)

        return each

    return make


def _make_variables(model, step, batches):
    own = {"train_step", "make_train_function"}  # models that see to it
    if not model.built or any(
        getattr(type(model), name) is not getattr(keras.Model, name)
        for name in own
    ):
        return
    optimizer, variables = model.optimizer, model.trainable_variables
    is_training = step == model.train_step and optimizer is not None
    if is_training and variables and not optimizer.built:
        optimizer.build(variables)
    outputs = getattr(model, "outputs", None) or ()
    spec = getattr(batches, "element_spec", ())
    y = spec[1] if isinstance(spec, tuple) and len(spec) > 1 else None
    if len(outputs) == 1 and isinstance(y, tf.TensorSpec) and y.shape.rank:
        for metric in model.metrics:
            if not getattr(metric, "built", True):
                metric.build(y, outputs[0])


keras.Model._make_function = _traced_once(keras.Model._make_function)

if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[1:]))
