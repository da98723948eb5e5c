"""The experiments of the four papers, one binary each."""
