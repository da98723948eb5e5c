"""Settings of every test run; Bazel also starts each test through this file."""

import os
import sys

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # workers share it

import tensorflow as tf  # reads what is set above

# Most graphs run a few steps: to optimize them costs a fifth of all time.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[1:]))
