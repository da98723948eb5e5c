"""What is asked of a model that a user brings."""
