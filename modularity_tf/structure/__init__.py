"""Does structure force function? Sparse links, and what modules do."""
