"""Rows of a long result in a file of their own, so that a province of them needs no memory."""

import hashlib
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from planning_rules.canonical_json import canonical


class RowSpool:
    """Rows in canonical JSON (RFC 8785), one a line; the file goes with the object.

    ``sha256`` is over the lines as they stand: equal rows in equal order give equal digests.
    """

    def __init__(self) -> None:
        """Empty."""
        self._file = tempfile.TemporaryFile(prefix="gis-rows-")  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._digest = hashlib.sha256()
        self._count = 0

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put rows behind those there are."""
        self._file.seek(0, 2)
        for row in rows:
            line = canonical(row) + b"\n"
            self._digest.update(line)
            self._file.write(line)
            self._count += 1

    def __len__(self) -> int:
        """How many rows."""
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows in their order; one reader at a time."""
        self._file.seek(0)
        for line in self._file:
            yield orjson.loads(line)

    @property
    def sha256(self) -> str:
        """Hex digest of all lines."""
        return self._digest.hexdigest()
