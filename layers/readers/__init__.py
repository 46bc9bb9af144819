"""Readers: one file for each format departments send."""
