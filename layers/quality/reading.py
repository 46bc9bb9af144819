"""What a run reads: the layers of an edition and their rows, cell by cell."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from layers.catalog import Catalog, Layer
from layers.content_measures import digest
from layers.crs import Box
from layers.database import Connection, rows
from layers.errors import GaveUp
from layers.quality.cell_check import CellRows
from layers.quality.cells import FeatureBoxes
from layers.quality.findings import CheckedLayer
from layers.quality.levels import Levels
from layers.quality.record import SQL
from layers.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Work:
    """Where a run reads, and where its geometry is worked on."""

    connection: Connection
    sandbox: Sandbox
    levels: Levels
    threads: ThreadPoolExecutor
    workers: int

    def each[K, T](
        self, tasks: Iterable[tuple[K, Callable[..., T], tuple[Any, ...]]]
    ) -> Iterator[tuple[K, T | GaveUp]]:
        """Run tasks in children, a few at a time, and give their answers in order.

        The next task is read from the database while the last ones are worked on.
        """
        waiting: list[tuple[K, Future[T | GaveUp]]] = []
        for key, function, arguments in tasks:
            waiting.append((key, self.threads.submit(self._run, function, arguments)))
            if len(waiting) > self.workers:
                first, future = waiting.pop(0)
                yield first, future.result()
        for key, future in waiting:
            yield key, future.result()

    def conclude[T](self, function: Callable[..., T], *arguments: Any) -> T | GaveUp:
        """Run one task that joins what the cells said; it may take ten times as long as a cell."""
        return self._run(function, arguments, 10)

    def _run[T](
        self, function: Callable[..., T], arguments: tuple[Any, ...], times: int = 1
    ) -> T | GaveUp:
        limit_s = times * self.levels.limits.cell_deadline_s
        try:
            return self.sandbox.run(function, *arguments, deadline_s=limit_s)
        except GaveUp as error:
            return error


@dataclass(frozen=True, slots=True)
class LayerRows:
    """One content of an edition, as the run reads it."""

    facts: CheckedLayer
    definition: Layer
    parts: tuple[int, ...]
    sha256: str
    blocking_issues: int
    issue_counts: Mapping[str, int]

    @classmethod
    def of(
        cls,
        connection: Connection,
        catalog: Catalog,
        levels: Levels,
        content: Mapping[str, Any],
    ) -> Self:
        """From a row of the statements ``contents`` and ``counterpart``.

        The digest of a draft that was edited row by row is made here: the run has to say which
        rows it looked at.
        """
        definition = catalog.layer(content["layer_id"])
        number, base = content["content_id"], content["base_id"]
        return cls(
            facts=CheckedLayer(
                layer=definition.id,
                title=definition.title,
                content=number,
                kind=definition.geometry,
                accuracy_m=content["accuracy_m"],
                tessellation=definition.tessellation,
                levels=levels.of_layer(definition.id),
            ),
            definition=definition,
            parts=(number,) if base is None else (number, base),
            sha256=content["content_sha256"] or digest(connection, number, base),
            blocking_issues=content["blocking_issues"],
            issue_counts=content["issue_counts"] or {},
        )

    @property
    def key(self) -> dict[str, Any]:
        """The values that name the content in statements."""
        return {"content_id": self.facts.content, "parts": list(self.parts)}

    def boxes(self, connection: Connection) -> FeatureBoxes:
        """Boxes and vertex counts of all features, through a cursor."""
        blocks: list[np.ndarray[Any, np.dtype[np.float64]]] = [np.empty((0, 6))]
        with connection.cursor(name="quality_boxes") as cursor:
            cursor.execute(SQL["boxes"], self.key)
            while batch := cursor.fetchmany(20_000):
                blocks.append(np.array(batch, dtype=float))
        table = np.concatenate(blocks)
        return FeatureBoxes(
            table[:, 0].astype(np.int64), table[:, 1:5], table[:, 5].astype(np.int64)
        )

    def meeting(self, connection: Connection, box: Box) -> list[dict[str, Any]]:
        """The features whose boxes meet a cell, in the order of their fids."""
        west, south, east, north = box
        return rows(
            connection, SQL["cell_rows"], **self.key, west=west, south=south, east=east, north=north
        )


def cell_rows(box: Box, found: list[dict[str, Any]], home: set[int]) -> CellRows:
    """What the child gets of the rows that meet a cell."""
    return CellRows(
        box,
        [one["feature_id"] for one in found],
        [bytes(one["wkb"]) for one in found],
        [one["fid"] in home for one in found],
    )
