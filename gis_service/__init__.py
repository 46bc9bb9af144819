"""The service: HTTP, OGC, command line, embedded database."""
