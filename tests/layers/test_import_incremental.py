"""An import of what changed gives what a full import of the same file gives, row by row."""

import datetime
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely

from layers.catalog import Catalog
from layers.contents import build_pieces
from layers.database import Connection, statements
from layers.deltas import put_feature
from layers.editions import publish
from layers.errors import BadInput, Conflict, NotFound
from layers.import_report import ImportReport
from layers.plan_import import import_file
from layers.sandbox import Sandbox
from layers.source_rows import source_row

REGION = (107.9, 17.6, 111.9, 20.7)
DAY = datetime.date(2024, 1, 1)
FARMLAND, LANDUSE = "permanent_basic_farmland", "planned_landuse"
Run = Callable[..., ImportReport]


@dataclass(frozen=True)
class Parcel:
    id: str
    code: str
    name: str
    shape: shapely.Geometry | None


def lattice(count: int) -> list[Parcel]:
    """Parcels that share edges, coordinates off the storage grid."""
    side = int(count**0.5) + 1
    return [
        Parcel(f"P{n:04d}", "0101", f"图斑 {n}", shapely.box(
            110 + x / 300, 19 + y / 300, 110 + (x + 1) / 300, 19 + (y + 1) / 300))
        for n in range(count) for y, x in (divmod(n, side),)
    ]  # fmt: skip


def write(path: Path, parcels: Sequence[Parcel], **options: Any) -> Path:
    pyogrio.raw.write(
        str(path),
        np.array([shapely.to_wkb(p.shape) if p.shape else None for p in parcels], dtype=object),
        [np.array([getattr(p, name) for p in parcels], dtype=object)
         for name in ("id", "code", "name")],
        options.get("fields", ["BSM", "landuse_code", "name"]),
        geometry_type="Unknown",
        crs="EPSG:4490",
    )  # fmt: skip
    return path


@pytest.fixture
def run(connection: Connection, sandbox: Sandbox, catalog: Catalog) -> Run:
    def call(path: Path, layer_id: str = FARMLAND, **options: Any) -> ImportReport:
        chosen = {"valid_from": DAY, "region_bbox": REGION, **options}
        return import_file(
            connection, sandbox, catalog, path, plan_id="overall-plan", layer_id=layer_id, **chosen
        )

    return call


def held(connection: Connection, report: ImportReport) -> set[tuple[Any, ...]]:
    found = connection.execute(
        "SELECT feature_id, attributes::text, area_m2, ST_AsBinary(geom) FROM reading.feature"
        " WHERE content_id = %s",
        (report.content,),
    ).fetchall()
    rows = {(row[0], row[1], row[2], bytes(row[3])) for row in found}
    assert len(rows) == len(found)
    return rows


def issues(connection: Connection, report: ImportReport) -> list[tuple[Any, ...]]:
    return sorted(
        connection.execute(
            "SELECT code, severity, coalesce(source_row, 0), coalesce(field, ''),"
            " coalesce(value, ''), reason::text FROM library.import_issue WHERE content_id = %s",
            (report.content,),
        ).fetchall()
    )


def coverage(connection: Connection, report: ImportReport) -> Any:
    found = connection.execute(
        "SELECT ST_AsBinary(coverage), blocking_issues, feature_count FROM library.layer_content"
        " WHERE id = %s",
        (report.content,),
    ).fetchone()
    assert found is not None
    area = shapely.from_wkb(found[0]) if found[0] else shapely.Polygon()
    return area, found[1], found[2]


def moved(parcel: Parcel, share: float) -> Parcel:
    assert parcel.shape is not None
    west, south, east, north = parcel.shape.bounds
    return replace(parcel, shape=shapely.box(west, south, west + (east - west) * share, north))


def bow_tie(parcel: Parcel) -> Parcel:
    assert parcel.shape is not None
    w, s, e, n = parcel.shape.bounds
    return replace(parcel, shape=shapely.Polygon([(w, s), (e, n), (e, s), (w, n)]))


def changed(one: Parcel, kind: str, dice: random.Random) -> Parcel:
    ways = {
        "shape": lambda: moved(one, dice.uniform(0.3, 0.9)),
        "name": lambda: replace(one, name=f"{one.name} 调整"),
        "broken": lambda: bow_tie(one),
        "odd": lambda: replace(one, code="99ZZ"),
        "lost": lambda: replace(one, shape=None),
        "swap": lambda: one,
    }
    return ways[kind]()


def edited(
    parcels: Sequence[Parcel], dice: random.Random, edits: int, *, lost: bool = False
) -> list[Parcel]:
    """A file of the next year: changed, deleted, new, broken, repeated, odd and reordered rows."""
    rows = list(parcels)
    kinds = ["shape", "name", "delete", "new", "broken", "twice", "odd", "swap"]
    for step in range(edits):
        at = dice.randrange(len(rows))
        kind = dice.choice([*kinds, "lost"] if lost else kinds)
        one = rows[at]
        if one.shape is None or not one.shape.is_valid:
            continue
        if kind == "delete":
            del rows[at]
        elif kind == "new":
            rows.insert(at, replace(moved(one, 0.5), id=f"N{step:03d}"))
        elif kind == "twice":
            rows.insert(dice.randrange(len(rows)), replace(one, name="doppelt"))
        else:
            rows[at] = changed(one, kind, dice)
            other = dice.randrange(len(rows)) if kind == "swap" else at
            rows[at], rows[other] = rows[other], rows[at]
    return rows


@pytest.mark.parametrize("layer_id", [FARMLAND, LANDUSE])
@pytest.mark.parametrize("seed", range(5))
def test_the_result_is_that_of_a_full_import(  # type: ignore[no-untyped-def]
    run: Run, connection: Connection, tmp_path: Path, layer_id: str, seed: int
) -> None:
    dice = random.Random(seed)
    before = lattice(120)
    if layer_id == FARMLAND:  # what features cover follows only a base without refused rows
        before = edited(before, dice, 12)
    before[7] = replace(before[7], code="88XX")
    after = edited(before, dice, (4, 12, 60, 0, 20)[seed], lost=seed == 4)
    first = run(write(tmp_path / "a.gpkg", before), layer_id, full=True)

    quick = run(write(tmp_path / "b.gpkg", after), layer_id)

    rows, found, (area, blocking, count) = (
        held(connection, quick), issues(connection, quick), coverage(connection, quick)
    )  # fmt: skip
    whole = run(tmp_path / "b.gpkg", layer_id, full=True)
    assert quick.changes is not None
    assert (quick.changes.base, whole.changes) == (first.content, None)
    assert rows == held(connection, whole)
    assert found == issues(connection, whole)
    whole_area, whole_blocking, whole_count = coverage(connection, whole)
    assert area.symmetric_difference(whole_area).area == pytest.approx(0, abs=1e-12)
    assert (blocking, count) == (whole_blocking, whole_count)
    for name in ("read", "accepted", "repaired", "refused", "blocking", "issue_counts"):
        assert getattr(quick, name) == getattr(whole, name), name


def test_only_what_differs_is_stored(run: Run, connection: Connection, tmp_path: Path) -> None:
    before = lattice(100)
    run(write(tmp_path / "a.gpkg", before))
    after = [replace(before[0], name="neu"), *before[2:], replace(before[1], id="N1")]

    report = run(write(tmp_path / "b.gpkg", after))

    assert report.changes is not None
    assert report.to_json()["changes"] == {
        "base": report.changes.base, "added": 1, "changed": 1, "removed": 1, "unchanged": 98
    }  # fmt: skip
    own = connection.execute(
        "SELECT feature_id FROM library.feature WHERE content_id = %s ORDER BY 1",
        (report.content,),
    ).fetchall()
    assert own == [("N1",), ("P0000",)]


def test_nothing_new_is_the_content_that_is_there(run: Run, tmp_path: Path) -> None:
    rows = lattice(30)
    first = run(write(tmp_path / "a.gpkg", rows))

    again = run(write(tmp_path / "b.gpkg", rows[::-1]))

    assert (again.content, again.content_sha256) == (first.content, first.content_sha256)
    assert again.changes is not None
    assert again.changes.is_nothing


def test_a_delta_on_a_delta_and_source_rows_of_all(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    before = lattice(100)
    run(write(tmp_path / "a.gpkg", before))
    second = [moved(before[0], 0.5), *before[1:]]
    run(write(tmp_path / "b.gpkg", second))
    third = [second[0], moved(before[1], 0.5), *before[2:-1]]

    report = run(write(tmp_path / "c.gpkg", third))

    assert report.changes is not None
    assert (report.changes.changed, report.changes.removed) == (1, 1)
    shapes = {p.id: p.shape for p in third}
    fids = connection.execute(
        "SELECT fid, feature_id FROM reading.feature WHERE content_id = %s", (report.content,)
    ).fetchall()
    assert len(fids) == len(third)
    for fid, name in fids:
        kept = source_row(connection, report.content or 0, fid)
        assert kept is not None, name
        assert shapely.from_wkb(kept.geom_wkb).equals_exact(shapes[name], 0)
        assert kept.attributes["BSM"] == name


@pytest.mark.parametrize("what", ["coverage", "repair", "region_bbox", "fields", "edited"])
def test_other_settings_or_an_edited_base_take_a_full_import(
    run: Run, connection: Connection, tmp_path: Path, what: str
) -> None:
    rows = lattice(30)
    first = run(write(tmp_path / "a.gpkg", rows))
    options: dict[str, Any] = {
        "coverage": {"coverage": shapely.box(109, 18, 111, 20)},
        "repair": {"repair": True},
        "region_bbox": {"region_bbox": (107.9, 17.6, 111.9, 20.6)},
    }.get(what, {})
    fields = ["farmland_id", "landuse_code", "name"] if what == "fields" else None
    if what == "edited":
        connection.execute(
            "UPDATE library.feature SET attributes = '{}' WHERE content_id = %s AND fid = 3",
            (first.content,),
        )
        build_pieces(connection, first.content or 0)
    path = write(tmp_path / "b.gpkg", rows, **({"fields": fields} if fields else {}))

    report = run(path, **options)

    assert report.changes is None
    assert report.content != first.content


def test_a_file_that_lost_a_part_is_blocked_as_in_full(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    rows = lattice(100)
    run(write(tmp_path / "a.gpkg", rows))
    publish(connection, "overall-plan")

    report = run(write(tmp_path / "b.gpkg", rows[:70]))

    assert report.changes is not None
    assert "content-shrunk" in report.issue_counts
    assert coverage(connection, report)[1] == report.blocking == 1


def test_a_file_of_changes_leaves_the_rest(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    before = lattice(100)
    run(write(tmp_path / "a.gpkg", before), LANDUSE)
    new = replace(moved(before[9], 0.4), id="N1")
    path = write(tmp_path / "b.gpkg", [moved(before[3], 0.5), new, bow_tie(before[5])])

    report = run(path, LANDUSE, changes_only=True, delete_ids=["P0008"])

    assert report.changes is not None
    assert report.changes.to_json() | {"base": 0} == {
        "base": 0, "added": 1, "changed": 1, "removed": 2, "unchanged": 97
    }  # fmt: skip
    rows = {row[0]: shapely.from_wkb(row[3]) for row in held(connection, report)}
    assert set(rows) == {p.id for p in before} - {"P0005", "P0008"} | {"N1"}
    assert rows["P0003"].area == pytest.approx(before[3].shape.area / 2, rel=1e-4)
    # The row that could not be read is no data, and so is what was deleted.
    area = coverage(connection, report)[0]
    for gone in (before[5], before[8]):
        assert not area.contains(gone.shape.centroid)
    assert area.contains(before[50].shape.centroid)
    assert report.blocking == 1


def test_issues_that_changes_do_not_settle_stand(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    before = lattice(100)
    before[3], before[4] = replace(before[3], code="88XX"), replace(before[4], code="88XX")
    first = run(write(tmp_path / "a.gpkg", before))
    path = write(tmp_path / "b.gpkg", [replace(before[3], code="0101")])

    report = run(path, changes_only=True)

    assert (first.blocking, report.blocking) == (2, 1)
    assert [one[2] for one in issues(connection, report) if one[0] == "unknown-code"] == [5]


def test_changes_without_a_base_or_with_unknown_ids_are_refused(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.gpkg", lattice(10))
    with pytest.raises(NotFound, match="no content"):
        run(path, changes_only=True)
    first = run(path)
    with pytest.raises(BadInput, match=r"not in the content .*P9999"):
        run(path, changes_only=True, delete_ids=["P9999"])
    left = connection.execute("SELECT id FROM library.layer_content").fetchall()
    assert left == [(first.content,)]


def test_a_row_refused_anew_is_no_data_though_no_other_row_changed(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    rows = lattice(30)
    first = run(write(tmp_path / "a.gpkg", rows))
    bad = replace(bow_tie(rows[4]), id="N1")

    report = run(write(tmp_path / "b.gpkg", [*rows, bad]))

    area, blocking, _ = coverage(connection, report)
    assert bad.shape is not None
    assert not area.contains(bad.shape.centroid)
    assert blocking == report.blocking == 1
    assert report.content != first.content

    mended = run(write(tmp_path / "c.gpkg", rows))

    area, blocking, _ = coverage(connection, mended)
    assert area.contains(bad.shape.centroid)
    assert blocking == mended.blocking == 0


def test_changes_on_an_edited_base_are_not_compared_with_later(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    rows = lattice(100)
    first = run(write(tmp_path / "a.gpkg", rows))
    put_feature(connection, first.content or 0, "P0003", {"name": "x"}, square_of(rows[3], 0.5))
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    path = write(tmp_path / "b.gpkg", [replace(rows[9], name="neu")])
    with pytest.raises(Conflict, match="drafts check"):
        run(path, changes_only=True)
    connection.execute("DELETE FROM library.import_issue WHERE code = 'edits-not-checked'")
    run(path, changes_only=True)
    after = [*rows[:9], replace(rows[9], name="neu"), *rows[10:]]

    report = run(write(tmp_path / "c.gpkg", after))

    assert held(connection, report) == held(connection, run(tmp_path / "c.gpkg", full=True))


def square_of(parcel: Parcel, share: float) -> shapely.Geometry:
    shape = moved(parcel, share).shape
    assert shape is not None
    return shapely.set_precision(shape, 1e-8)


def test_changes_with_other_settings_do_not_vouch_for_the_rows_of_the_base(
    run: Run, tmp_path: Path
) -> None:
    rows = lattice(100)
    run(write(tmp_path / "a.gpkg", rows))
    narrow = {"region_bbox": (110.01, 17.6, 111.9, 20.7)}
    run(write(tmp_path / "b.gpkg", [replace(rows[9], name="neu")]), changes_only=True, **narrow)
    after = [*rows[:9], replace(rows[9], name="neu"), *rows[10:]]

    quick = run(write(tmp_path / "c.gpkg", after), **narrow)

    whole = run(tmp_path / "c.gpkg", full=True, **narrow)
    assert whole.refused > 0
    assert (quick.refused, quick.accepted) == (whole.refused, whole.accepted)


def test_a_fid_that_is_taken_again_does_not_bring_an_old_row_back(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    rows = lattice(100)
    other, one = (replace(moved(rows[n], 0.5), id=f"N{n}") for n in (1, 2))
    run(write(tmp_path / "a.gpkg", rows))
    run(write(tmp_path / "b.gpkg", [*rows, one]))
    run(write(tmp_path / "c.gpkg", rows[1:]))
    run(write(tmp_path / "d.gpkg", [*rows[1:], other]))

    report = run(write(tmp_path / "e.gpkg", [*rows[1:], other, one]))

    assert {row[0] for row in held(connection, report)} == {p.id for p in [*rows[1:], other, one]}


@pytest.mark.parametrize("lost", [False, True])
def test_changes_beside_a_refused_row_leave_its_place_without_data(
    run: Run, connection: Connection, tmp_path: Path, lost: bool
) -> None:
    rows = lattice(100)
    bad = replace(bow_tie(rows[50]), id="B1")
    if lost:
        bad = replace(bad, shape=None)
    first = run(write(tmp_path / "a.gpkg", [*rows, bad]), LANDUSE)
    place = rows[50].shape.centroid
    assert not coverage(connection, first)[0].contains(place)

    for step, number in enumerate((51, 50, 40)):
        path = write(tmp_path / f"{step}.gpkg", [replace(rows[number], name="neu")])
        report = run(path, LANDUSE, changes_only=True)
        assert not coverage(connection, report)[0].contains(place), number
    area = coverage(connection, report)[0]
    assert area.contains(rows[70].shape.centroid) is not lost


@pytest.mark.parametrize("dropped", [(), (0,), tuple(range(11)), tuple(range(5, 25))])
def test_sums_from_changes_are_those_of_all_rows(
    run: Run, connection: Connection, tmp_path: Path, dropped: tuple[int, ...]
) -> None:
    rows = lattice(121)
    first = run(write(tmp_path / "a.gpkg", rows), full=True)
    kept = [one for number, one in enumerate(rows) if number not in dropped]
    kept[60] = moved(kept[60], 0.4)
    second = run(write(tmp_path / "b.gpkg", kept))
    third = run(write(tmp_path / "c.gpkg", [*kept[:-1], replace(moved(kept[-1], 0.6), id="N1")]))
    asked = statements("layers", "import.sql")

    for before, after in ((first, second), (second, third), (first, third), (third, second)):
        values = {"content_id": before.content, "new_id": after.content}
        found = connection.execute(asked["compare_by_changes"], values).fetchone()
        expected = connection.execute(asked["compare_contents"], values).fetchone()
        assert expected is not None
        if found is None:  # the whole of one side went: the strip there is empty
            assert len(dropped) == 11
            continue
        assert found[:2] + found[4:5] + found[7:] == expected[:2] + expected[4:5] + expected[7:]
        assert found[2:4] == pytest.approx(expected[2:4])
        assert found[5] == expected[5] is None
        assert found[6] == pytest.approx(expected[6], abs=1e-12)


def test_a_whole_file_does_not_end_the_edits_of_a_draft(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    rows = lattice(30)
    path = write(tmp_path / "a.gpkg", rows)
    first = run(path)
    put_feature(connection, first.content or 0, "P0003", {"name": "x"}, square_of(rows[3], 0.5))
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    before = held(connection, first)

    for options in ({}, {"full": True}):
        with pytest.raises(Conflict, match=r"holds edits of permanent_basic_farmland \(1\)"):
            run(path, **options)

    assert held(connection, first) == before
