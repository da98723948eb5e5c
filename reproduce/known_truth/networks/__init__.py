"""Networks with parts that are known."""
