"""Reads of features by place: candidates of a check, and what lies at a point."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, LiteralString, NamedTuple

import shapely
from psycopg import sql
from psycopg.rows import dict_row

from layers.crs import Box
from layers.database import Connection, row, rows, statements
from layers.errors import LimitExceeded

_SQL: Final = statements("layers", "features.sql")
_NOWHERE: Final = shapely.to_wkb(shapely.Polygon())
_UNION_ALL: Final = sql.SQL("\nUNION ALL\n")
_KEPT_STATEMENTS: Final = 64
"""One for each choice of contents: it changes with a publish."""

MOST_PIECES: Final = 200_000
"""A province-wide site would carry the province through the memory of one check."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A feature near a submission, with the WKB of those of its pieces that are near."""

    fid: int
    feature_id: str
    attributes: dict[str, Any]
    pieces: tuple[bytes, ...]


def candidates(
    connection: Connection,
    searches: Mapping[int, Sequence[Box]],
    bases: Mapping[int, int | None] | None = None,
) -> dict[int, tuple[Candidate, ...]]:
    """Features whose pieces' boxes meet one of the boxes (lon/lat degrees), by content number.

    A corridor comes as many small boxes, so that its bounding box does not fetch the province.
    One statement for all contents: planning each of twenty alone took longer than running it.
    ``bases`` tells what each content stands on, None = it is whole; asked for if not given.
    """
    found: dict[int, list[Candidate]] = {content: [] for content in searches}
    pieces = 0
    known = content_parts(connection, searches).bases if bases is None else bases
    statement = _candidates_of(tuple((content, known.get(content)) for content in sorted(searches)))
    for record in _search(connection, statement, searches, most=MOST_PIECES + 1):
        pieces += len(record["pieces"])
        found[record["content_id"]].append(
            Candidate(
                record["fid"],
                record["feature_id"],
                record["attributes"],
                tuple(record["pieces"]),
            )
        )
    if pieces > MOST_PIECES:
        raise LimitExceeded(
            f"The site meets more than {MOST_PIECES:,} pieces of plan features; check it in parts.",
            f"项目范围涉及的规划图斑超过 {MOST_PIECES:,} 块；请分块检查。",
            code="site-too-large",
        )
    return {content: tuple(features) for content, features in found.items()}


def coverage_near(
    connection: Connection, searches: Mapping[int, Sequence[Box]]
) -> dict[int, bytes]:
    """Where contents have data near their boxes, as WKB (lon/lat); an empty polygon = nowhere."""
    statement = _coverage_of(tuple(sorted(searches)))
    covered = {
        record["content_id"]: bytes(record["coverage"])
        for record in _search(connection, statement, searches)
    }
    return {content: covered.get(content, _NOWHERE) for content in searches}


@lru_cache(maxsize=_KEPT_STATEMENTS)
def _candidates_of(contents: tuple[tuple[int, int | None], ...]) -> bytes:
    """The statement for contents and what each stands on."""
    pieces, features = [], []
    for content, base in contents:
        parts = [("whole_pieces", content)] + ([] if base is None else [("base_pieces", base)])
        for name, part in parts:
            numbers = {"content": sql.Literal(content), "part": sql.Literal(part)}
            pieces.append(sql.SQL(_SQL[name]).format(**numbers))
            features.append(sql.SQL(_SQL["part_features"]).format(**numbers))
    return (
        sql.SQL(_SQL["candidates"])
        .format(pieces=_UNION_ALL.join(pieces), features=_UNION_ALL.join(features))
        .as_bytes()
    )


@lru_cache(maxsize=_KEPT_STATEMENTS)
def _coverage_of(contents: tuple[int, ...]) -> bytes:
    branch = sql.SQL(_SQL["coverage_pieces"])
    pieces = [branch.format(content=sql.Literal(content)) for content in contents]
    return sql.SQL(_SQL["coverage_near"]).format(pieces=_UNION_ALL.join(pieces)).as_bytes()


def _search(
    connection: Connection, statement: bytes, searches: Mapping[int, Sequence[Box]], **values: Any
) -> list[dict[str, Any]]:
    """Run a statement on boxes; its plan stays with the connection."""
    asked = [(content, box) for content, boxes in searches.items() for box in boxes]
    if not asked:
        return []
    contents = [content for content, _ in asked]
    sides = _sides([box for _, box in asked])
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        cursor.execute(statement, {"content_ids": contents, **sides, **values}, prepare=True)
        return cursor.fetchall()


class Parts(NamedTuple):
    """The contents that store the rows of some: themselves and what they stand on."""

    parts: list[int]
    have_base: bool
    """Whether one of them stands on another one."""
    bases: Mapping[int, int]
    """Which one stands on which."""

    def on(self, statement: LiteralString) -> LiteralString:
        """A statement on views of ``reading``, for these contents.

        Whole ones are found without a look into bases: planned and run as if there were none.
        """
        if not self.have_base:
            return statement
        for row_name in ("op", "feature", "t"):
            statement = statement.replace(f"AND NOT {row_name}.from_base", "")
        return statement


def content_parts(connection: Connection, content_ids: Iterable[int]) -> Parts:
    """The parts of contents, for statements on the views of ``reading``."""
    found = rows(connection, _SQL["content_parts"], content_ids=sorted(set(content_ids)))
    return Parts(
        sorted({record["part_id"] for record in found}),
        any(record["from_base"] for record in found),
        {record["content_id"]: record["part_id"] for record in found if record["from_base"]},
    )


def _sides(boxes: Sequence[Box]) -> dict[str, list[float]]:
    west, south, east, north = (list(side) for side in zip(*boxes, strict=True))
    return {"west": west, "south": south, "east": east, "north": north}


def at_place(
    connection: Connection, content_ids: Sequence[int], lon: float, lat: float, radius_deg: float
) -> list[dict[str, Any]]:
    """Features of the contents at a place; lines and points within ``radius_deg`` of it."""
    statement = content_parts(connection, content_ids).on(_SQL["at_place"])
    return rows(
        connection, statement, content_ids=list(content_ids),
        lon=lon, lat=lat, radius_deg=radius_deg,
    )  # fmt: skip


def covered_at(
    connection: Connection, content_ids: Sequence[int], lon: float, lat: float
) -> set[int]:
    """Those of the contents that have data at the place; for the others "no data" is the answer."""
    found = rows(connection, _SQL["covered_at"], content_ids=list(content_ids), lon=lon, lat=lat)
    return {record["id"] for record in found}


def library_version(connection: Connection) -> int:
    """A number that changes with every publish and withdrawal."""
    found = row(connection, _SQL["changes"])
    return int(found["version"]) if found else 0
