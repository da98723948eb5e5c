"""Known truth: networks whose modules are planted, and who finds them."""
