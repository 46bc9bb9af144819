"""Filters in CQL2 (OGC 21-065r2), as text and as JSON, from a request to one SQL condition.

``cql2_text`` and ``cql2_json`` read the two forms into one tree (``tree``), ``values`` reads the
literals, ``condition`` makes SQLAlchemy of it. Names come from the catalogue, functions from a
list, values are bound: nothing of a caller's text reaches the database as SQL. What is too deep,
too long or has too many vertices is refused before any work is done.
"""

from layers.cql2.cql2_json import parse_json_filter
from layers.cql2.cql2_text import parse_text_filter
from layers.cql2.tree import Expression

__all__ = ["Expression", "parse_json_filter", "parse_text_filter"]
