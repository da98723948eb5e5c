"""A Keras model taken apart: its weights, activations, copies and calls."""
