"""Networks that answer with sequences: SCAN and Mathematics."""
