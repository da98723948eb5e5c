"""Which weights does a task need? Binary masks over frozen weights."""
