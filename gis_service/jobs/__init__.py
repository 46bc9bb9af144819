"""Background work: a queue in the library's own database, by procrastinate."""
