"""Real files of others, read in place: each loads right or is refused with row and reason.

They lie beside the checkout (``shared_data``), are never copied into it, and the tests skip where
they are absent. Expected counts and areas come from the data's own description, not from this
code. The files come from all over the world, so the region is left out (``None``) except for
Hainan; a catalogue of three bare layers takes any polygons, lines or points.
"""

import datetime
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely

from layers import contents
from layers.catalog import Attribute, Catalog, Layer, Plan
from layers.catalog_sync import sync_catalog
from layers.database import Connection, connect
from layers.editions import publish
from layers.errors import BadInput, CrsRefused, GisError, UnreadableFile
from layers.field_map import FieldMap
from layers.plan_import import ImportReport, import_file
from layers.sandbox import Sandbox
from layers.text import Text

DAY = datetime.date(2026, 1, 1)
HAINAN = (107.9, 17.6, 111.9, 20.7)
SOUTH_SEA = (105.0, 2.0, 121.0, 25.1)
EQUAL_AREA = "+proj=cea +lat_ts=0 +datum=WGS84 +units=m"
"""Takes metres of a foreign plane for metres of an equal-area plane: areas stay as they are."""

Run = Callable[..., ImportReport]


def _anything(kind: str) -> Layer:
    names = ("name", "text", "kind", "listname", "mapname", "depth")
    title = Text(zh="测试", en="test")
    return Layer(
        id=f"any_{kind}",
        title=title,
        geometry=kind,  # type: ignore[arg-type]
        accuracy_m=1,
        coverage="features",
        attributes=tuple(Attribute(name=name, type="string", title=title) for name in names),
    )


@pytest.fixture(scope="module")
def open_catalog(catalog: Catalog) -> Catalog:
    title = Text(zh="测试", en="test")
    plan = Plan(
        id="anything", kind="special", title=title, authority=title,
        layers=tuple(_anything(kind) for kind in ("polygon", "line", "point")),
    )  # fmt: skip
    return Catalog(plans=(*catalog.plans, plan), code_lists=catalog.code_lists)


@pytest.fixture
def run(
    connection: Connection, sandbox: Sandbox, open_catalog: Catalog, shared_data: Path
) -> Iterator[Run]:
    sync_catalog(connection, open_catalog)

    def call(name: str, kind: str = "polygon", **options: Any) -> ImportReport:
        chosen = {
            "plan_id": "anything", "layer_id": f"any_{kind}", "valid_from": DAY,
            "region_bbox": None, "deadline_s": 250.0, **options,
        }  # fmt: skip
        return import_file(connection, sandbox, open_catalog, shared_data / name, **chosen)

    return call


def area_of(connection: Connection, report: ImportReport) -> float:
    found = connection.execute(
        "SELECT sum(area_m2) FROM library.feature WHERE content_id = %s", (report.content,)
    ).fetchone()
    assert found is not None
    return float(found[0])


def geometries(connection: Connection, report: ImportReport) -> list[shapely.Geometry]:
    found = connection.execute(
        "SELECT ST_AsBinary(geom) FROM library.feature WHERE content_id = %s ORDER BY fid",
        (report.content,),
    ).fetchall()
    return [shapely.from_wkb(wkb) for (wkb,) in found]


def names(connection: Connection, report: ImportReport, attribute: str = "name") -> list[Any]:
    found = connection.execute(
        "SELECT attributes ->> %s FROM library.feature WHERE content_id = %s ORDER BY fid",
        (attribute, report.content),
    ).fetchall()
    return [name for (name,) in found]


LOADED: dict[str, tuple[str, int]] = {
    "geotools-shapes/chinese_poly.shp": ("polygon", 1),
    "geotools-shapes/rus-windows-1251.shp": ("point", 2),
    "geotools-shapes/multipointsz.shp": ("point", 1),
    "geotools-shapes/pointZ.shp": ("point", 1),
    "geotools-shapes/polygonm.shp": ("polygon", 1),
    "philly/philadelphia-neighborhoods.geojson": ("polygon", 159),
    "philly/philadelphia-neighborhoods.gpkg": ("polygon", 159),
    "philly/philadelphia-neighborhoods.zip": ("polygon", 159),
    "pyogrio-fixtures/curve.gpkg": ("line", 1),
    "pyogrio-fixtures/curvepolygon.gpkg": ("polygon", 1),
    "pyogrio-fixtures/multisurface.gpkg": ("polygon", 1),
    "pyogrio-fixtures/line_zm.gpkg": ("line", 1),
    "pyogrio-fixtures/test_gpkg_nulls.gpkg": ("point", 4),
    "pyogrio-fixtures/naturalearth_lowres.shp": ("polygon", 177),
    "tiles-load/amsterdam_roads.fgb": ("line", 21_648),
}


@pytest.mark.parametrize("name", LOADED)
def test_files_that_load_whole(run: Run, name: str) -> None:
    kind, count = LOADED[name]

    report = run(name, kind)

    assert (report.read, report.accepted, report.refused) == (count, count, 0)


OTHER_DATUMS = (
    "geofileops-data/BEFL-kbl.gpkg",
    "geofileops-data/gapfill_touches_segment.gpkg.zip",
    "geofileops-data/neg_buffer_makes_smaller.gpkg.zip",
    "geofileops-data/point.gpkg",
    "geofileops-data/polygon-invalid.gpkg",
    "geofileops-data/polygon-parcel.gpkg",
    "geofileops-data/poly_shp.zip",
    "geotools-shapes/linesM.shp",
    "geotools-shapes/pointM.shp",
    "geotools-shapes/roads.shp",
    "geotools-shapes/rstrct.shp",
    "geotools-shapes/statepop.shp",
    "geotools-shapes/streams.shp",
    "sf/buildings.gpkg",
    "sf/tl.gpkg",
    "tiles-load/taxi_zones.shp",
)


@pytest.mark.parametrize("name", OTHER_DATUMS)
def test_other_datums_need_a_stated_transformation(run: Run, name: str) -> None:
    """BD72, OSGB36, NAD27, NAD83: PROJ would move them by a guess or not at all."""
    with pytest.raises(CrsRefused) as caught:
        run(name)

    assert caught.value.code == "datum-transform-required"


@pytest.mark.parametrize(
    "name", ["linez.shp", "polygonz.shp", "holeTouchEdge.shp"]
)  # fmt: skip
def test_a_missing_prj_has_to_be_stated(run: Run, name: str) -> None:
    with pytest.raises(CrsRefused) as caught:
        run(f"geotools-shapes/{name}")

    assert caught.value.code == "no-crs"


@pytest.mark.parametrize(
    ("name", "kind", "accepted"),
    [("mlines.shp", "line", 0), ("mpolygons.shp", "polygon", 0), ("mzlines.shp", "line", 0),
     ("mzpolygons.shp", "polygon", 0), ("zlines.shp", "line", 0), ("zpolygons.shp", "polygon", 0),
     ("mmultipoints.shp", "point", 0), ("zmmultipoints.shp", "point", 0),
     ("zmultipoints.shp", "point", 0), ("mpoints.shp", "point", 18),
     ("zmpoints.shp", "point", 18)],
)  # fmt: skip
def test_coordinates_outside_the_stated_crs_are_refused_row_by_row(
    run: Run, name: str, kind: str, accepted: int
) -> None:
    """These files say WGS 84 and hold numbers up to 1,223."""
    report = run(f"geotools-shapes/{name}", kind)

    # That their places are unknown is an issue of the whole file.
    refused = [i for i in report.issues if i.severity == "blocking" and i.row is not None]
    assert report.issue_counts["refused-without-place"] == 1
    assert report.accepted == accepted
    assert {issue.code for issue in refused} == {"outside-crs-bounds"}
    assert len(refused) == report.refused == report.read - accepted


def test_gbk_without_cpg_is_read_right(run: Run, connection: Connection) -> None:
    report = run("geotools-shapes/chinese_poly.shp")

    assert names(connection, report) == ["黑龙江省"]
    assert report.encoding == "GB18030"
    assert report.issue_counts["encoding-assumed"] == 1


def test_the_code_page_of_a_cpg_is_used(run: Run, connection: Connection) -> None:
    report = run("geotools-shapes/rus-windows-1251.shp", "point")

    assert names(connection, report, "text")[0] == "Кириллица"


def test_seventy_invalid_buildings_are_refused_or_mended(run: Run, connection: Connection) -> None:
    name = "geofileops-data/polygon-invalid.gpkg"

    refused = run(name, source_crs=EQUAL_AREA)

    assert (refused.read, refused.accepted, refused.refused) == (70, 0, 70)
    reasons = [issue for issue in refused.issues if issue.severity == "blocking"]
    assert {issue.row for issue in reasons} == set(range(1, 71))
    assert all("Ring Self-intersection at " in issue.reason.en for issue in reasons)
    assert all(issue.value for issue in reasons)

    mended = run(name, source_crs=EQUAL_AREA, repair=True)

    assert (mended.accepted, mended.repaired, mended.refused) == (70, 70, 0)
    # The sum in the plane of the file's own CRS, before and after a repair.
    assert area_of(connection, mended) == pytest.approx(31_488.666, rel=1e-5)


def test_invalid_rings_are_found_where_the_description_says(run: Run) -> None:
    depths = run("natural-earth/ne_10m_bathymetry_K_200.zip")
    states = run("natural-earth/ne_50m_admin_1_states_provinces.zip")

    assert depths.issue_counts["geometry-invalid"] == depths.refused == 10
    assert states.issue_counts["geometry-invalid"] == states.refused == 1
    (goias,) = [issue for issue in states.issues if issue.severity == "blocking"]
    assert "Ring Self-intersection at -47.3" in goias.reason.en


def test_the_polygon_of_270474_vertices_loads(run: Run, connection: Connection) -> None:
    report = run("natural-earth/ne_10m_land.zip")

    assert (report.read, report.accepted) == (10, 10)
    largest = max(shapely.get_num_coordinates(shape) for shape in geometries(connection, report))
    assert largest == pytest.approx(270_474, rel=0.001)  # a few vertices fall on one grid point
    # The land of the earth: 148.9 million km2, less Antarctica's share beyond the mapped edge.
    assert area_of(connection, report) == pytest.approx(147e12, rel=0.02)


def test_zones_at_the_antimeridian_load_and_keep_their_side(
    run: Run, connection: Connection
) -> None:
    report = run("natural-earth/ne_10m_time_zones.zip")

    shapes = geometries(connection, report)
    # Three reach beyond 180 E or 90 N (latitude 90.000206).
    assert (report.read, report.accepted, report.refused) == (120, 117, 3)
    boxes = [shape.bounds for shape in shapes]
    assert sum(1 for box in boxes if box[0] < -179.99 or box[2] > 179.99) >= 8
    assert all(-180 <= box[0] <= box[2] <= 180 for box in boxes)
    for issue in report.issues:
        if issue.severity == "blocking" and issue.code != "refused-without-place":
            assert issue.row
            assert issue.code in ("outside-crs-bounds", "geometry-invalid")


def test_three_formats_of_the_same_neighbourhoods_give_the_same_content(
    run: Run, connection: Connection
) -> None:
    areas, lists, one_by_one = [], [], []
    for suffix in ("geojson", "gpkg", "zip"):
        # The next import into the draft replaces this content, so look at once.
        report = run(f"philly/philadelphia-neighborhoods.{suffix}")
        assert report.accepted == 159
        areas.append(area_of(connection, report))
        lists.append(names(connection, report))
        one_by_one.append(geometries(connection, report))

    assert lists[0] == lists[1] == lists[2]
    assert lists[0][0] == "BRIDESBURG"
    assert areas[1] == pytest.approx(areas[0], abs=0.01)
    assert areas[2] == pytest.approx(areas[0], abs=0.01)
    # EPSG:26918 measures 369,315,030.74 m2; that plane is 0.04 percent short here.
    assert areas[0] == pytest.approx(369_315_030.74, rel=1e-3)
    for first, *others in zip(*one_by_one, strict=True):
        assert all(shapely.equals(first, other) for other in others)


def test_feet_are_not_taken_for_metres(run: Run, connection: Connection) -> None:
    """The zones of New York are in US survey feet; read as metres they are 10.76 times too large.

    Their datum (NAD83) is refused, so the caller states the same projection on WGS 84, as a
    registered transformation would.
    """
    stated = (
        "+proj=lcc +lat_0=40.1666666666667 +lon_0=-74 +lat_1=41.0333333333333"
        " +lat_2=40.6666666666667 +x_0=300000 +y_0=0 +datum=WGS84 +units=us-ft"
    )

    report = run("tiles-load/taxi_zones.shp", source_crs=stated, repair=True)

    assert report.accepted == 263
    assert area_of(connection, report) == pytest.approx(792_443_629.5, rel=1e-3)


def test_nulls_of_every_type_stay_nulls(run: Run, connection: Connection) -> None:
    report = run("pyogrio-fixtures/test_gpkg_nulls.gpkg", "point")

    assert report.accepted == 4
    assert set(names(connection, report)) == {None}


@pytest.mark.parametrize("kind", ["curve", "curvepolygon", "multisurface"])
def test_arcs_are_linearised_with_an_issue(run: Run, kind: str) -> None:
    layer = "line" if kind == "curve" else "polygon"

    report = run(f"pyogrio-fixtures/{kind}.gpkg", layer)

    assert report.issue_counts["arcs-linearised"] == 1


@pytest.mark.parametrize(
    ("layer", "kind"),
    [("compoundcurve", "line"), ("curvedpolygon", "polygon"), ("multisurface", "polygon")],
)
def test_layers_with_curves_of_a_geopackage_of_three(run: Run, layer: str, kind: str) -> None:
    name = "geotools-shapes/curved-geometry.gpkg"
    with pytest.raises(BadInput, match="compoundcurve, curvedpolygon, multisurface"):
        run(name)

    report = run(name, kind, source_layer=layer)

    assert (report.read, report.accepted) == (1, 1)
    assert report.issue_counts["arcs-linearised"] == 1


def test_two_layers_need_a_name_and_an_empty_one_is_said_to_be_empty(run: Run) -> None:
    with pytest.raises(BadInput, match="parcels, zones"):
        run("geofileops-data/polygon-twolayers.gpkg")
    with pytest.raises(UnreadableFile) as caught:
        run("geofileops-data/polygon-no-rows.gpkg")
    assert caught.value.code == "no-rows"

    zones = run(
        "geofileops-data/polygon-twolayers.gpkg", source_layer="zones", source_crs=EQUAL_AREA
    )
    assert zones.accepted == 5


@pytest.mark.parametrize(
    ("name", "parts", "area_m2"),
    [("polygon-parcel", 47, 252_370.71), ("polygon-zone", 5, 352_875.21),
     ("polygon-3overlappingcircles", 3, 981_289.18),
     ("polygon-4overlappingcircles", 4, 1_404_317.35)],
)  # fmt: skip
def test_areas_of_small_layers_are_those_of_their_description(
    run: Run, connection: Connection, name: str, parts: int, area_m2: float
) -> None:
    report = run(f"geofileops-data/{name}.gpkg", source_crs=EQUAL_AREA)

    assert report.accepted == parts
    if name == "polygon-parcel":  # the forty-eighth has an empty geometry
        assert [(i.row, i.code) for i in report.issues if i.severity == "blocking"] == [
            (None, "refused-without-place"),
            (47, "geometry-empty"),
        ]
    assert area_of(connection, report) == pytest.approx(area_m2, rel=1e-4)


def test_points_that_are_degrees_among_metres_are_not_moved_by_a_guess(run: Run) -> None:
    """45 of 50 points are degrees though the file says Lambert 72: refused for its datum."""
    with pytest.raises(CrsRefused):
        run("geofileops-data/point.gpkg", "point")


@pytest.mark.parametrize("name", ["cog.tif", "corrupt.tif", "cog_dateline.tif"])
def test_rasters_are_named_and_declined(run: Run, name: str) -> None:
    with pytest.raises(UnreadableFile, match="TIFF"):
        run(f"raster/{name}")


@pytest.mark.parametrize(
    "name",
    ["philly/philadelphia-neighborhoods.zip", "natural-earth/ne_50m_admin_1_states_provinces.zip",
     "geofileops-data/poly_shp.zip", "philly/philadelphia-neighborhoods.gpkg",
     "philly/philadelphia-neighborhoods.geojson", "tiles-load/amsterdam_roads.fgb"],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_real_files_cut_short_are_refused_and_store_nothing(
    run: Run, connection: Connection, shared_data: Path, tmp_path: Path, name: str, share: float
) -> None:
    whole = (shared_data / name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(whole[: int(len(whole) * share)])
    before = connection.execute("SELECT count(*) FROM library.layer_content").fetchone()

    with pytest.raises(GisError):
        run(str(path), "line" if name.endswith("fgb") else "polygon")

    assert connection.execute("SELECT count(*) FROM library.layer_content").fetchone() == before


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("philly/philadelphia-neighborhoods.gpkg", ".shp"),
     ("philly/philadelphia-neighborhoods.geojson", ".gpkg"),
     ("tiles-load/amsterdam_roads.fgb", ".geojson"), ("raster/cog_rgb.tif", ".gpkg")],
)  # fmt: skip
def test_real_files_with_a_wrong_extension_say_what_they_are(
    run: Run, shared_data: Path, tmp_path: Path, name: str, suffix: str
) -> None:
    path = tmp_path / f"plan{suffix}"
    shutil.copyfile(shared_data / name, path)

    with pytest.raises(UnreadableFile, match=r"GeoPackage|geopackage|geojson|flatgeobuf|TIFF"):
        run(str(path))


HAINAN_FILES = {
    "airports": ("point", 1), "populated_places": ("point", 9), "ports": ("point", 4),
    "coastline": ("line", 22), "minor_islands_coastline": ("line", 152), "reefs": ("line", 23),
    "land": ("polygon", 6), "minor_islands": ("polygon", 152), "ocean": ("polygon", 1),
    "bathymetry_L_0": ("polygon", 1), "bathymetry_K_200": ("polygon", 5),
    "bathymetry_J_1000": ("polygon", 3), "bathymetry_I_2000": ("polygon", 13),
    "bathymetry_H_3000": ("polygon", 5), "geography_marine_polys": ("polygon", 7),
}  # fmt: skip


@pytest.mark.parametrize("name", HAINAN_FILES)
def test_the_demo_base_loads_whole(run: Run, name: str) -> None:
    kind, count = HAINAN_FILES[name]

    report = run(f"natural-earth-hainan/ne_10m_{name}_hainan.geojson", kind, region_bbox=SOUTH_SEA)

    assert (report.accepted, report.refused) == (count, 0)


def test_the_coast_of_hainan_imports_publishes_and_is_ready_for_tiles(
    database: str, sandbox: Sandbox, catalog: Catalog, shared_data: Path
) -> None:
    path = shared_data / "natural-earth-hainan" / "ne_10m_coastline_hainan.geojson"
    with connect(database) as connection:
        report = import_file(
            connection, sandbox, catalog, path, plan_id="marine-plan", layer_id="coastline",
            valid_from=DAY, region_bbox=SOUTH_SEA,
            field_map=FieldMap(constants={"coastline_type": "natural"}),
        )  # fmt: skip
        edition = publish(connection, "marine-plan", report.edition)

        assert report.accepted == 22
        assert edition == report.edition
        found = connection.execute(
            "SELECT base_zoom, count(DISTINCT fid) FROM library.tile_piece"
            " WHERE content_id = %s GROUP BY 1 ORDER BY 1",
            (report.content,),
        ).fetchall()
        assert [zoom for zoom, _ in found] == [4, 7, 10, 13]
        assert dict(found)[13] == 22
        in_force = connection.execute(
            "SELECT count(*), min(coastline_type) FROM layer_view.coastline"
        ).fetchone()
        assert in_force == (22, "natural")
        digest = contents.stored_fingerprint(connection, report.content or 0).hexdigest()
        assert digest == report.content_sha256


def test_what_lies_beyond_the_province_is_refused_by_name(run: Run) -> None:
    report = run("natural-earth-hainan/ne_10m_coastline_hainan.geojson", "line", region_bbox=HAINAN)

    assert report.accepted + report.refused == 22
    assert {i.code for i in report.issues if i.severity == "blocking"} == {"outside-region"}
