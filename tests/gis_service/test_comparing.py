"""Plan against plan on a real library: PostGIS as the judge, any number of workers, all forms."""

import datetime
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import orjson
import pyogrio
import pytest
import shapely

from gis_service import comparing, start
from gis_service.comparing import CompareRequest, Comparison, compare_plans
from gis_service.comparison_forms import Drawn, form_of
from gis_service.executors import executor
from gis_service.library import Library
from gis_service.local_postgis import LocalPostgis
from gis_service.settings import Settings
from layers.area import area_m2
from layers.catalog import Catalog
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection, connect, create_database
from layers.editions import open_draft, publish, put_layer
from layers.errors import BadInput, BadParameter, GaveUp, GisError, NotFound
from planning_rules.canonical_json import canonical
from planning_rules.report import digest_is_right

PLANS = ("overall-plan", "forest-plan")
PROGRAM = Path(sys.executable).with_name("gis-service")
SQUARE = shapely.box(110.0, 19.5, 110.06, 19.56)
EDGE = 110.031
"""Between the two counties of the drawing."""
MEMORY = 2 << 30


def put_in_force(
    connection: Connection, catalog: Catalog, layer_id: str, shapes: Sequence[Any],
    attributes: Mapping[str, Sequence[Any]], coverage: Any = SQUARE,
) -> None:  # fmt: skip
    plan, _ = catalog.layer_with_plan(layer_id)
    content = create_content(connection, layer_id)
    load_arrays(connection, content, list(shapes), attributes, 1)
    finish_content(connection, content, coverage=coverage)
    with connection.transaction():
        edition = open_draft(connection, plan.id, valid_from=datetime.date(2021, 1, 1))
        put_layer(connection, edition, layer_id, content)
    publish(connection, plan.id, edition)


def parcels() -> tuple[list[Any], list[str]]:
    """A grid of 30 by 30 parcels of four classes."""
    step = 0.002
    places = [(c, r) for c in range(30) for r in range(30)]
    shapes = [
        shapely.set_precision(
            shapely.box(
                110 + c * step, 19.5 + r * step, 110 + (c + 1) * step, 19.5 + (r + 1) * step
            ),
            1e-8,
        )
        for c, r in places
    ]
    return shapes, [("0101", "0301", "0701", "1202")[(c * 7 + r * 3) % 4] for c, r in places]


def forest() -> list[Any]:
    """Crooked shapes across the parcels; some overlap each other."""
    random = np.random.default_rng(7)
    shapes = []
    for middle in random.uniform((110.004, 19.504), (110.056, 19.556), (60, 2)):
        angles = np.sort(random.uniform(0, 2 * np.pi, 12))
        radii = random.uniform(0.0005, 0.003, 12)
        ring = middle + np.column_stack((np.cos(angles), np.sin(angles))) * radii[:, None]
        shape = shapely.set_precision(shapely.Polygon(ring), 1e-8)
        if shape.geom_type == "Polygon" and shape.area > 0:
            shapes.append(shape)
    return shapes


@pytest.fixture(scope="module")
def compared(cluster: LocalPostgis, template: str, catalog: Catalog) -> str:
    create_database(cluster.dsn(), "test_compared", template=template)
    dsn = cluster.dsn("test_compared")
    shapes, codes = parcels()
    trees = forest()
    counties = [shapely.box(109, 18, EDGE, 21), shapely.box(EDGE, 18, 111, 21)]
    with connect(dsn) as connection:
        put_in_force(
            connection, catalog, "planned_landuse", shapes,
            {"landuse_code": codes, "code_scheme": ["landuse-2023"] * len(codes)},
        )  # fmt: skip
        put_in_force(connection, catalog, "forest_land", trees,
                     {"protection_grade": ["III"] * len(trees)})  # fmt: skip
        units = {"admin_code": ["460105", "460106"]}
        put_in_force(connection, catalog, "county", counties, units, shapely.box(109, 18, 111, 21))
    return dsn


@pytest.fixture(scope="module")
def library(compared: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    settings = Settings(check_processes=1, pool_size=2, data_dir=tmp_path_factory.mktemp("data"))
    with start.library(settings, compared) as opened:
        yield opened


class Here(Executor):
    """Runs each task at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except GisError as error:
            future.set_exception(error)
        return future


@pytest.fixture(autouse=True)
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty cells or so: every second patch is cut by one."""
    monkeypatch.setattr(comparing, "CELL_VERTICES", 100)


def run(
    library: Library, runner: Executor | None = None, workers: int = 1, **asked: Any
) -> Comparison:
    request = CompareRequest(**{"plans": PLANS, "as_of": datetime.date(2026, 5, 1), **asked})
    return compare_plans(library, request, runner or Here(), workers)


@pytest.fixture(scope="module")
def whole(library: Library) -> Comparison:
    """With one cell."""
    return run(library)


def conflicts(comparison: Comparison) -> list[dict[str, Any]]:
    return [patch for patch in comparison.patches if patch["relation"] == "conflict"]


def test_areas_are_those_of_postgis(library: Library, compared: str) -> None:
    """The union of all overlaps of forest with parcels that contradict it, on the spheroid."""
    found = run(library)
    with connect(compared) as connection:
        row = connection.execute(
            """
            SELECT ST_Area(ST_Union(ST_Intersection(a.geom, b.geom))::geography)
            FROM layer_view.forest_land AS a
            INNER JOIN layer_view.planned_landuse AS b ON ST_Intersects(a.geom, b.geom)
            WHERE left(b.landuse_code, 2) IN ('01', '07', '12')
            """
        ).fetchone()
    assert row is not None
    patches = conflicts(found)
    assert len(patches) > 100
    ground = found.report["pairs"][0]["ground"]
    measured = sum(patch["area_m2"] for patch in patches)
    # Edges are straight in degrees here and geodesics there: parts in a million of small parcels.
    assert measured == pytest.approx(row[0], rel=2e-6)
    shapes = [shapely.geometry.shape(patch["geometry"]) for patch in patches]
    assert area_m2(shapely.union_all(shapes)) == pytest.approx(measured, rel=1e-6)
    assert ground["neither_m2"] == 0


def test_totals_close(library: Library) -> None:
    (pair,) = [p for p in run(library).report["pairs"] if p["rule_id"] == "HN-PLAN-001"]
    ground = pair["ground"]
    whole_m2 = round(ground["compared_m2"] + ground["counted_twice_m2"], 2)
    for table in ("totals", "pairs_of_classes", "units"):
        assert round(sum(row["area_m2"] for row in pair[table]), 2) == whole_m2
    assert {row["admin_code"] for row in pair["units"]} == {"460105", "460106"}
    assert ground["compared_m2"] <= ground["both_m2"]


def test_cells_change_nothing_but_how_it_was_made(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = run(library)
    monkeypatch.setattr(comparing, "CELL_VERTICES", 1_000_000)
    one = run(library)
    assert one.report["patches"]["count"] == cut.report["patches"]["count"]
    assert [p["id"] for p in one.patches] == [p["id"] for p in cut.patches]
    assert [p["area_m2"] for p in one.patches] == [p["area_m2"] for p in cut.patches]
    assert [p["kind"] for p in one.patches] == [p["kind"] for p in cut.patches]


def test_the_same_bytes_with_1_2_and_8_workers_and_with_dask(library: Library) -> None:
    reports = []
    for workers in (1, 2, 8):
        with executor(workers, deadline_s=120, memory_bytes=MEMORY) as (runner, count):
            reports.append(run(library, runner, count))
    distributed = pytest.importorskip("distributed")
    options = {"processes": True, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(n_workers=2, **options) as local,
        executor(1, scheduler=local.scheduler_address, deadline_s=120, memory_bytes=MEMORY)
        as (runner, count),
    ):  # fmt: skip
        assert count == 2
        reports.append(run(library, runner, count))
    bodies = {canonical(_hashed(one.report)) for one in reports}
    assert len(bodies) == 1
    assert len({one.report["patches"]["sha256"] for one in reports}) == 1
    assert all(digest_is_right(one.report) for one in reports)


def _hashed(report: Mapping[str, Any]) -> dict[str, Any]:
    outside = ("report_id", "created", "signature")
    return {name: value for name, value in report.items() if name not in outside}


class GivesUp(Here):
    """Loses the third task, as a child that is killed at its deadline."""

    def __init__(self) -> None:
        self.tasks = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks += 1
        if self.tasks == 3:
            future: Future[Any] = Future()
            future.set_exception(GaveUp("stopped", "已停止", code="deadline-exceeded"))
            return future
        return super().submit(fn, *args, **kwargs)


def test_a_cell_that_was_not_compared_is_never_agreement(library: Library) -> None:
    region = "110.0002,19.5002,110.0018,19.5018"  # inside one parcel, where no forest is
    quiet = run(library, region=region)
    assert {pair["outcome"] for pair in quiet.report["pairs"]} <= {"pass", "undetermined"}
    found = run(library, GivesUp())
    pair = found.report["pairs"][0]
    assert len(pair["not_seen"]) == 1
    assert pair["not_seen"][0]["reason"]["en"] == "stopped"
    (lost,) = [box["box"] for box in pair["not_seen"]]
    assert not any(
        shapely.box(*lost).buffer(-1e-7).intersects(shapely.geometry.shape(patch["geometry"]))
        for patch in found.patches
    )


def test_a_join_that_gave_up_keeps_its_patches(library: Library) -> None:
    class NoJoins(Here):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            if fn is not comparing.join_open_clusters:
                return super().submit(fn, *args, **kwargs)
            future: Future[Any] = Future()
            future.set_exception(GaveUp("stopped", "已停止"))
            return future

    lost, good = run(library, NoJoins()), run(library)
    assert lost.report["pairs"][0]["not_seen"]
    measured = [sum(p["area_m2"] for p in one.patches) for one in (lost, good)]
    assert measured[0] == pytest.approx(measured[1], rel=1e-6)


def test_a_layer_without_data_is_named(library: Library) -> None:
    report = run(library, as_of=datetime.date(2020, 6, 1)).report
    assert report["outcome"] == "undetermined"
    named = {(g["layer"], g["area_m2"]) for pair in report["pairs"] for g in pair["no_data"]}
    assert named >= {("forest_land", None), ("planned_landuse", None)}


def test_ground_without_data_keeps_a_pair_from_passing(library: Library) -> None:
    """West of the data: nothing contradicts, and nothing is known."""
    report = run(library, region="109.99,19.51,110.0001,19.511").report
    (pair,) = [one for one in report["pairs"] if one["rule_id"] == "HN-PLAN-001"]
    assert pair["outcome"] == "undetermined"
    gaps = {gap["layer"]: gap["area_m2"] for gap in pair["no_data"]}
    expected = area_m2(shapely.box(109.99, 19.51, 110.0, 19.511))
    assert gaps["forest_land"] == pytest.approx(expected, rel=1e-6)
    assert pair["ground"]["neither_m2"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "region",
    ["460105", f"110.0,19.5,{EDGE},19.56", shapely.geometry.mapping(
        shapely.box(110.0, 19.5, EDGE, 19.56))],
)  # fmt: skip
def test_regions(library: Library, region: Any) -> None:
    part = run(library, region=region)
    everything = run(library)
    sums = [
        sum(row["area_m2"] for row in one.report["pairs"][0]["totals"]
            if row["admin_code"] == "460105" and row["relation"] == "conflict")
        for one in (part, everything)
    ]  # fmt: skip
    assert sums[0] == pytest.approx(sums[1], abs=0.05)
    units = {row["admin_code"] for row in part.report["pairs"][0]["totals"]}
    assert units == {"460105"}


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"plans": ("overall-plan",)}, BadParameter, "two plans"),
        ({"plans": ("overall-plan", "overall-plan")}, BadParameter, "each once"),
        ({"plans": ("overall-plan", "no-plan")}, NotFound, "no-plan"),
        ({"plans": ("forest-plan", "heritage-plan")}, BadInput, "No rule in force"),
        ({"region": "999999"}, NotFound, "460105"),
        ({"region": "somewhere"}, BadParameter, "west,south,east,north"),
        ({"region": "110,19,109,20"}, BadParameter, "in degrees"),
        ({"region": {"type": "Point", "coordinates": [110, 19]}}, BadParameter, "polygon"),
    ],
)
def test_what_cannot_be_compared(library: Library, asked: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        run(library, **asked)


def test_layers_that_no_rule_compares_are_named(library: Library) -> None:
    left = {one["layer"]: one["reason"]["en"] for one in run(library).report["not_compared"]}
    assert "does not say the classes" in left["ecological_redline"]


def test_a_rule_holds_on_its_days_only(library: Library) -> None:
    rules = {pair["rule_id"] for pair in run(library).report["pairs"]}
    before = run(library, as_of=datetime.date(2021, 11, 26)).report["pairs"]
    assert rules == {"HN-PLAN-001", "HN-PLAN-003"}
    assert {pair["rule_id"] for pair in before} == {"HN-PLAN-001"}


def test_forms_hold_all_patches(library: Library, tmp_path: Path) -> None:
    found = run(library)
    drawn = Drawn(found.report, found.patches, found.touches, found.gaps)
    paths = {suffix: tmp_path / f"c.{suffix}" for suffix in ("gpkg", "geojson", "xlsx", "json")}
    for suffix, path in paths.items():
        form_of(suffix).write(drawn, path, "en")
    meta, _, shapes, columns = pyogrio.raw.read(paths["gpkg"], layer="patches")
    values = dict(zip(meta["fields"], columns, strict=True))
    assert sorted(values["patch_id"]) == sorted(patch["id"] for patch in found.patches)
    measured = [area_m2(shapely.from_wkb(shape)) for shape in shapes]
    assert measured == pytest.approx(values["area_m2"].tolist(), abs=0.02)
    with sqlite3.connect(paths["gpkg"]) as database:
        styles = dict(database.execute("SELECT f_table_name, styleQML FROM layer_styles"))
    database.close()
    assert set(styles) == {"patches", "touches"}
    assert 'attr="kind"' in styles["patches"]
    collection = orjson.loads(paths["geojson"].read_bytes())
    kinds = [one["properties"]["kind"] for one in collection["features"]]
    assert len([kind for kind in kinds if kind not in ("touch", "no-data")]) == len(found.patches)
    book = openpyxl.load_workbook(paths["xlsx"], read_only=True)
    rows = list(book["By unit"].iter_rows(values_only=True))
    totals = [row for row in rows if row[1] == "Total"]
    (pair,) = [one for one in found.report["pairs"] if one["rule_id"] == "HN-PLAN-001"]
    assert totals[0][-1] == round(sum(row["area_m2"] for row in pair["totals"]), 2)
    assert orjson.loads(paths["json"].read_bytes())["digest"] == found.report["digest"]


def test_the_command(compared: str, tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": compared, "DATA_DIR": str(tmp_path / "data"),
                   "LC_ALL": "C.UTF-8"}  # fmt: skip
    call = [str(PROGRAM), "compare", *PLANS, "--as-of", "2026-05-01", "--workers", "1"]
    out = tmp_path / "out.gpkg"
    done = subprocess.run([*call, "--json", "-o", str(out)], env=environment, capture_output=True,
                          text=True, check=False, timeout=250)  # fmt: skip
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["outcome"] == "violation"
    assert digest_is_right(report)
    assert "forest_land × planned_landuse" in done.stderr
    assert len(pyogrio.raw.read(out, layer="patches")[2]) == report["patches"]["count"]
    wrong = subprocess.run([*call, "-o", "out.doc"], env=environment, capture_output=True,
                           text=True, check=False, timeout=60)  # fmt: skip
    assert wrong.returncode == 2
    assert ".gpkg" in wrong.stderr
