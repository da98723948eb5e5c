"""Networks that others trained: packages, texts, masks and claims."""
