"""The quality report of an edition: what is wrong with its stored layers, and where."""
