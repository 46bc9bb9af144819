"""Runs on a real PostGIS: what they find, store, pin, and what publishing makes of it."""

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import shapely

from layers import edition_restore, editions
from layers.catalog import Catalog
from layers.database import Connection, connect
from layers.errors import Conflict, NotFound
from layers.plan_import import import_file
from layers.quality.levels import Levels
from layers.quality.record import findings_of, newest_run, refuse_blocking
from layers.quality.run import QualityRun, edition_to_check, run_quality
from layers.sandbox import Sandbox

MakeBox = Callable[[float, float, float, float], shapely.Polygon]
REGION = (107.9, 17.6, 111.9, 20.7)


@pytest.fixture
def opened(database: str) -> Iterator[Connection]:
    with connect(database) as connection:
        yield connection


@pytest.fixture
def publish(opened: Connection, publish_layer_for: Any) -> Any:
    return publish_layer_for(opened)


@pytest.fixture
def run(
    opened: Connection, sandbox: Sandbox, catalog: Catalog, levels: Levels
) -> Callable[..., QualityRun]:
    def start(edition: int, **changed: Any) -> QualityRun:
        used = levels.model_copy(update=changed)
        return run_quality(opened, sandbox, catalog, used, edition, region=REGION)

    return start


def found(connection: Connection, edition: int) -> list[dict[str, Any]]:
    return findings_of(connection, newest_run(connection, edition)["id"])


def codes(connection: Connection, edition: int) -> list[str]:
    return sorted(one["code"] for one in found(connection, edition))


def landuse(publish: Any, shapes: list[shapely.Polygon], **columns: Any) -> int:
    number = len(shapes)
    attributes = {
        "parcel_id": [f"p{i}" for i in range(number)],
        "landuse_code": ["0101"] * number,
        **columns,
    }
    edition: int = publish("planned_landuse", shapes, attributes, publish=False)
    return edition


TURN = np.array([110.2 - 19.8, 19.8 - 110.2])


def comb(teeth: int) -> shapely.Polygon:
    points: list[tuple[int, int]] = [(0, 0)]
    for x in range(0, 2 * teeth, 2):
        points += [(x, 2 * teeth), (x + 1, 2 * teeth), (x + 1, 1), (x + 2, 1)]
    scale = 0.02 / teeth
    return shapely.Polygon([(110.2 + x * scale, 19.8 + y * scale) for x, y in points])


def test_a_clean_coverage_is_clean(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox
) -> None:
    edition = landuse(publish, [box(0, 0, 100, 100), box(100, 0, 200, 100)])
    done = run(edition)
    assert (done.outcome, done.blocking, done.advisory) == ("clean", 0, 0)
    editions.publish(opened, "overall-plan", edition)


def test_overlap_blocks_publishing_and_equals_postgis(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox
) -> None:
    edition = landuse(publish, [box(0, 0, 100, 100), box(90, 0, 200, 100), box(199, 0, 300, 100)])
    assert run(edition).outcome == "blocked"
    overlaps = {one["code"]: one for one in found(opened, edition)}
    assert set(overlaps) == {"overlap", "overlap-sliver"}
    assert overlaps["overlap-sliver"]["severity"] == "advisory"  # 1 m, accuracy 2.5 m
    row = opened.execute(
        "SELECT ST_Area(ST_Intersection(a.geom, b.geom)::geography), ST_Area(q.geom::geography)"
        " FROM library.feature AS a, library.feature AS b, library.quality_finding AS q"
        " WHERE a.content_id = b.content_id AND a.fid = 1 AND b.fid = 2 AND q.code = 'overlap'"
    ).fetchone()
    assert row is not None
    assert overlaps["overlap"]["measured"] == pytest.approx(row[0], rel=1e-6)
    assert row[1] == pytest.approx(row[0], rel=1e-6)
    with pytest.raises(Conflict) as refused:
        editions.publish(opened, "overall-plan", edition)
    assert refused.value.code == "quality-blocking"
    editions.publish(opened, "overall-plan", edition, accept_blocking="known, see letter 7")


def test_a_run_on_other_rows_says_nothing(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox
) -> None:
    edition = landuse(publish, [box(0, 0, 100, 100), box(50, 0, 200, 100)])
    assert run(edition).outcome == "blocked"
    assert landuse(publish, [box(0, 0, 100, 100), box(100, 0, 200, 100)]) == edition
    editions.publish(opened, "overall-plan", edition)


def test_findings_stand_in_whatever_edition_brings_the_content(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox
) -> None:
    """Restoring an edition, or importing another layer, makes no overlap go away."""
    edition = landuse(publish, [box(0, 0, 100, 100), box(50, 0, 200, 100)])
    assert run(edition).outcome == "blocked"
    publish("ecological_redline", [box(500, 0, 600, 100)], publish=False)
    with pytest.raises(Conflict) as refused:
        editions.publish(opened, "overall-plan", edition)
    assert refused.value.code == "quality-blocking"
    editions.publish(opened, "overall-plan", edition, accept_blocking="known, see letter 7")
    day = datetime.date(2026, 1, 1)
    restored = edition_restore.restore(opened, "overall-plan", edition, valid_from=day)
    with pytest.raises(Conflict) as refused:
        editions.publish(opened, "overall-plan", restored)
    assert refused.value.code == "quality-blocking"
    editions.publish(opened, "overall-plan", restored, accept_blocking="as in letter 7")


def test_an_edit_of_a_checked_draft_is_another_content(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox
) -> None:
    """A clean run must not vouch for rows that were edited after it, nor a bad one against them."""
    edition = landuse(publish, [box(0, 0, 100, 100), box(50, 0, 200, 100)])
    assert run(edition).outcome == "blocked"
    before = newest_run(opened, edition)["contents"]
    opened.execute(
        "UPDATE library.feature SET geom = ST_GeomFromEWKB(%s) WHERE fid = 2",
        (shapely.to_wkb(shapely.set_srid(box(100, 0, 200, 100), 4490), include_srid=True),),
    )
    run(edition)
    assert newest_run(opened, edition)["contents"] != before
    # What is left is what the history of the draft says; it is mended there.
    assert codes(opened, edition) == ["edits-not-checked"]
    refuse_blocking(opened, edition, None)


def test_control_lines_of_one_edition_and_of_another(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox
) -> None:
    publish("permanent_basic_farmland", [box(0, 0, 100, 100), box(200, 0, 300, 100)])
    draft = publish(
        "ecological_redline",
        [box(90, 0, 150, 100), box(297, 0, 400, 100), box(-50, 0, 0, 100)],
        {"redline_id": ["a", "b", "c"]},
        valid_from=datetime.date(2022, 1, 1),
        publish=False,
    )
    done = run(draft)
    rows = {one["code"]: one for one in found(opened, draft)}
    assert rows["control-line-overlap"]["measured"] == pytest.approx(1000, rel=1e-3)
    assert rows["control-line-overlap"]["other_layer_id"] == "permanent_basic_farmland"
    # 3 m against 5.4 m, the root of 5^2 + 2^2; a shared edge is nothing.
    assert rows["control-line-overlap-sliver"]["measured"] == pytest.approx(300, rel=1e-3)
    # The boundary has no data at all: said, never passed.
    assert rows["counterpart-missing"]["value"] == "urban_development_boundary"
    assert (done.blocking, done.advisory) == (1, 2)


def test_no_counterpart_is_incomplete_and_not_clean(
    publish: Any, run: Callable[..., QualityRun], box: MakeBox
) -> None:
    edition = publish("ecological_redline", [box(0, 0, 100, 100)], {"redline_id": ["r"]})
    assert run(edition).outcome == "incomplete"


def test_unknown_codes_name_the_scheme_that_knows_them(
    opened: Connection,
    publish: Any,
    run: Callable[..., QualityRun],
    box: MakeBox,
    catalog: Catalog,
) -> None:
    survey, plan = catalog.code_list("sandiao"), catalog.code_list("landuse-2023")
    foreign = next(one for one in survey.codes if plan.find(one.code) is None)
    shapes = [box(100 * i, 0, 100 * i + 100, 100) for i in range(4)]
    edition = landuse(
        publish, shapes, landuse_code=["0101", foreign.code, "ZZ", foreign.code],
        code_scheme=[None, None, None, "sandiao"],
    )  # fmt: skip
    run(edition)
    rows = found(opened, edition)
    texts = {one["value"]: one["reason"]["zh"] for one in rows if one["code"] == "unknown-code"}
    assert set(texts) == {foreign.code, "ZZ"}
    assert f"“{survey.title.zh}”（{foreign.title.zh}）" in texts[foreign.code]
    assert "也不在其他编码体系中" in texts["ZZ"]
    # The row that names the survey's scheme is right and is not counted.
    (suspected,) = [one for one in rows if one["code"] == "scheme-suspected"]
    assert suspected["measured"] == 0.5


def test_missing_values_ids_and_declared_areas(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox
) -> None:
    shapes = [box(100 * i, 0, 100 * i + 100, 100) for i in range(3)]
    edition = landuse(
        publish, shapes, landuse_code=["0101", None, "0101"],
        declared_area_m2=[10_000.0, None, 9_000.0],
    )  # fmt: skip
    opened.execute("UPDATE library.feature SET feature_id = 'a1' WHERE fid = 1")
    opened.execute("UPDATE library.feature SET feature_id = ' A1 ' WHERE fid = 2")
    run(edition)
    rows = {one["code"]: one for one in found(opened, edition) if one["origin"] == "edition"}
    assert set(rows) == {"required-missing", "duplicate-id", "declared-area"}
    assert rows["required-missing"]["field"] == "landuse_code"
    assert rows["duplicate-id"]["feature_ids"] == ["a1", " A1 "]
    row = opened.execute(
        "SELECT ST_Area(f.geom::geography) FROM library.feature AS f WHERE f.fid = 3"
    ).fetchone()
    assert row is not None
    assert rows["declared-area"]["measured"] == pytest.approx(9_000 - row[0], abs=0.01)


def test_the_imports_issues_are_in_the_list_once(
    opened: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    run: Callable[..., QualityRun],
    box: MakeBox,
    tmp_path: Path,
) -> None:
    bow_tie = [[110.0, 19.5], [110.01, 19.51], [110.01, 19.5], [110.0, 19.51], [110.0, 19.5]]
    rows = [
        {"parcel_id": "a", "landuse_code": "ZZ", "shape": shapely.to_geojson(box(0, 0, 9, 9))},
        {"parcel_id": "b", "landuse_code": "0101", "shape": shapely.to_geojson(box(9, 0, 18, 9))},
    ]
    features = [
        f'{{"type": "Feature", "geometry": {one["shape"]}, "properties": {{"parcel_id": '
        f'"{one["parcel_id"]}", "landuse_code": "{one["landuse_code"]}"}}}}'
        for one in rows
    ]
    features.append(
        f'{{"type": "Feature", "geometry": {{"type": "Polygon", "coordinates": [{bow_tie}]}},'
        ' "properties": {"parcel_id": "c", "landuse_code": "0101"}}'
    )
    file = tmp_path / "landuse.geojson"
    file.write_text(
        f'{{"type": "FeatureCollection", "features": [{", ".join(features)}]}}', "utf-8"
    )
    report = import_file(
        opened, sandbox, catalog, file, plan_id="overall-plan", layer_id="planned_landuse",
        valid_from=datetime.date(2022, 1, 1), region_bbox=REGION, allow_network=True,
    )  # fmt: skip
    assert report.edition is not None
    run(report.edition)
    listed = {one["code"]: one for one in found(opened, report.edition)}
    (unknown,) = [o for o in found(opened, report.edition) if o["code"] == "unknown-code"]
    assert (unknown["origin"], unknown["feature_ids"]) == ("import", ["a"])
    refused = listed["geometry-invalid"]
    assert (refused["origin"], refused["source_row"]) == ("import", 3)
    assert (refused["lon"], refused["lat"]) == pytest.approx((110.005, 19.505))


def test_what_cannot_be_checked_is_a_blocking_finding(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox, levels: Levels
) -> None:
    """Two valid combs that cross: every tooth of one cuts every tooth of the other."""
    edition = landuse(
        publish, [comb(400), shapely.transform(comb(400), lambda p: p[:, ::-1] + TURN)]
    )
    hurried = levels.limits.model_copy(update={"cell_deadline_s": 1.0})
    assert run(edition, limits=hurried).outcome == "blocked"
    assert codes(opened, edition) == ["not-checked"]


def test_cells_and_limits_change_no_count(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox, levels: Levels
) -> None:
    shapes = [
        box(x * 100, y * 100, x * 100 + 101, y * 100 + 100) for x in range(12) for y in range(12)
    ]
    edition = landuse(publish, shapes)
    run(edition)
    whole = newest_run(opened, edition)["counts"]
    small = levels.limits.model_copy(update={"cell_vertices": 100, "kept_per_code": 10})
    run(edition, limits=small)
    cut = newest_run(opened, edition)
    assert cut["counts"] == whole
    assert [one["count"] for one in whole] == [11 * 12]  # 1 m each: slivers
    assert len(found(opened, edition)) == 10


def test_runs_are_records(
    opened: Connection, publish: Any, run: Callable[..., QualityRun], box: MakeBox
) -> None:
    edition = landuse(publish, [box(0, 0, 100, 100), box(50, 0, 200, 100)])
    run(edition)
    for statement in (
        "UPDATE library.quality_run SET blocking = 0",
        "UPDATE library.quality_finding SET severity = 'advisory'",
        "DELETE FROM library.quality_finding",
        "DELETE FROM library.quality_run",
        "TRUNCATE library.quality_finding",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation):
            opened.execute(statement)


def test_which_edition_is_checked(opened: Connection, publish: Any, box: MakeBox) -> None:
    with pytest.raises(Conflict):
        edition_to_check(opened, "overall-plan", None)
    first = publish("ecological_redline", [box(0, 0, 100, 100)])
    assert edition_to_check(opened, "overall-plan", None) == first
    draft = publish("ecological_redline", [box(0, 0, 100, 99)], publish=False)
    assert edition_to_check(opened, "overall-plan", None) == draft
    assert edition_to_check(opened, "overall-plan", first) == first
    with pytest.raises(NotFound):
        edition_to_check(opened, "forest-plan", first)
    with pytest.raises(NotFound):
        newest_run(opened, draft)
