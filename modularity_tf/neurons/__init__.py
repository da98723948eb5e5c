"""Which neurons does a class use? Activations, and what to make of them."""
