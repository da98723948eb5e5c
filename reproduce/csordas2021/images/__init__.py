"""Networks that tell images apart, and masks without one class."""
