"""What an experiment says: claims, records, archives, the report."""
