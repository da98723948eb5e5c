"""What a network is made of, for every question: weights, units, sets."""
