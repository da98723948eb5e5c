"""Which units act alike? Similarities, and clusters of maximal modularity."""
