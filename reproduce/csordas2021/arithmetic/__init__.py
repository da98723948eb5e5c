"""Networks that add and multiply, and the masks of their tasks."""
