"""HTTP routes, one file a subject; each gives a list of Starlette routes."""
