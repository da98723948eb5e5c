"""How an experiment runs: flags, run folder, stages, engine, progress."""
