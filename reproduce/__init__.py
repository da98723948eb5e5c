"""The experiments of the four papers, one binary each."""

import os

# TensorFlow's notices would hide what a binary has to say.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
