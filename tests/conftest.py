"""Settings of every test run; Bazel also starts each test through this file."""

import os
import sys

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # workers share it

if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[1:]))
