"""What every experiment shares: flags, run folders, stages, claims."""
