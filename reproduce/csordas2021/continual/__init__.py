"""A network that learns task after task: permuted MNIST."""
