"""Tiles and the map's symbology."""
