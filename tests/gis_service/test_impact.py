"""Impact: counts, areas and lists against PostGIS on the geodesic, and against GEOS by hand."""

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyproj
import pytest
import shapely
from shapely.geometry import mapping

from gis_service import start
from gis_service.library import Library
from gis_service.processes import impact
from gis_service.processes.impact import IMPACT
from gis_service.processes.process import Run
from gis_service.settings import Settings
from layers.database import Connection, connect
from layers.errors import BadInput, GaveUp, NotFound
from planning_rules.impact import NearFeature, cell_impact, quarters

FARMLAND = "permanent_basic_farmland"
SQUARES = [shapely.box(110 + i / 100, 19, 110 + (i + 0.8) / 100, 19.01) for i in range(30)]


@pytest.fixture
def library(
    database: str, tmp_path: Path, publish_layer_for: Callable[[Connection], Any]
) -> Iterator[Library]:
    with connect(database) as owner:
        publish = publish_layer_for(owner)
        ids = {"protection_id": [f"F{i:02}" for i in range(30)]}
        publish(FARMLAND, SQUARES, ids, coverage=shapely.box(109.9, 18.9, 110.2, 19.1))
        publish("coastline", [shapely.LineString([(110, 19.005), (110.3, 19.005)])])
    settings = Settings(data_dir=tmp_path, check_processes=1, pool_size=2)
    with start.library(settings, database) as opened:
        yield opened


def asked(library: Library, **inputs: Any) -> dict[str, Any]:
    found: dict[str, Any] = IMPACT.run(Run(library), inputs)["impact"]
    return found


def geodesic_m2(library: Library, area: shapely.Geometry) -> float:
    """PostGIS on the ellipsoid of CGCS2000: an oracle outside the code under test."""
    with library.pool.connection() as connection:
        found = connection.execute(
            "SELECT sum(ST_Area(ST_Segmentize(ST_Intersection(f.geom, ST_GeomFromText(%s, 4490)),"
            " 0.001)::geography)) FROM feature AS f WHERE f.content_id ="
            " (SELECT id FROM library.layer_content WHERE layer_id = %s)",
            (area.wkt, FARMLAND),
        ).fetchone()
    return float(found[0]) if found else 0.0


def test_an_area_meets_what_postgis_says(library: Library) -> None:
    area = shapely.box(110.012, 19.002, 110.055, 19.2)
    layer = asked(library, area=mapping(area), layers=[FARMLAND])["layers"][0]
    assert (layer["state"], layer["features"]) == ("concerned", 5)
    assert layer["area_m2"] == pytest.approx(geodesic_m2(library, area), rel=1e-6)
    assert sum(row["area_m2"] for row in layer["list"]) == pytest.approx(layer["area_m2"], abs=0.05)
    sizes = [row["area_m2"] for row in layer["list"]]
    assert sizes == sorted(sizes, reverse=True)


def test_quartering_changes_no_figure(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    area = mapping(shapely.Point(110.1, 19.0).buffer(0.07))
    whole = asked(library, area=area, layers=[FARMLAND, "coastline"])
    monkeypatch.setattr(impact, "_CROWDED", 3)
    cut = asked(library, area=area, layers=[FARMLAND, "coastline"])
    for one, other in zip(whole["layers"], cut["layers"], strict=True):
        assert one["features"] == other["features"] > 0
        assert one.get("area_m2") == pytest.approx(other.get("area_m2"), abs=0.05)
        assert one.get("length_m") == pytest.approx(other.get("length_m"), abs=0.01)


def test_a_track_sweeps_its_width(library: Library) -> None:
    track = {"type": "LineString", "coordinates": [[110.0, 19.005], [110.099, 19.005]]}
    found = asked(library, track=track, width_m=500, layers=[FARMLAND, "coastline"])
    geod = pyproj.Geod(a=6378137.0, rf=298.257222101)
    length = geod.line_length([110.0, 110.099], [19.005, 19.005])
    assert found["area_m2"] == pytest.approx(500 * length, rel=2e-3)
    farmland, coast = found["layers"]
    assert farmland["features"] == 10
    assert coast["length_m"] == pytest.approx(length, rel=1e-3)


def test_what_only_touches_is_not_met_and_no_data_is_said(library: Library) -> None:
    beside = asked(library, area=mapping(shapely.box(109.95, 19, 110, 19.01)), layers=[FARMLAND])
    assert beside["layers"][0]["state"] == "not-concerned"
    assert beside["layers"][0]["no_data_m2"] == 0
    far = asked(library, area=mapping(shapely.box(110.5, 19, 110.6, 19.01)), layers=[FARMLAND])
    assert far["layers"][0]["no_data_m2"] == pytest.approx(far["area_m2"], rel=1e-6)
    none = asked(library, area=mapping(SQUARES[0]), layers=["county", FARMLAND])["layers"]
    assert [one["state"] for one in none] == ["no-data", "concerned"]
    before = asked(library, area=mapping(SQUARES[0]), layers=[FARMLAND], as_of="1999-01-01")
    assert before["layers"][0]["state"] == "no-data"
    assert before["as_of"] == datetime.date(1999, 1, 1).isoformat()


def test_lists_are_as_long_as_asked(library: Library) -> None:
    area = mapping(shapely.box(109.95, 18.95, 110.31, 19.05))
    short = asked(library, area=area, layers=[FARMLAND], list=3)["layers"][0]
    assert (len(short["list"]), short["features"], short["listed_all"]) == (3, 30, False)


@pytest.mark.parametrize(
    "inputs",
    [
        {}, {"area": mapping(SQUARES[0]), "track": mapping(SQUARES[0])},
        {"area": {"type": "LineString", "coordinates": [[110, 19], [110.1, 19]]}},
        {"track": {"type": "LineString", "coordinates": [[110, 19], [110.1, 19]]}},
        {"track": mapping(SQUARES[0]), "width_m": 5},
    ],
)  # fmt: skip
def test_what_is_no_site_is_refused(library: Library, inputs: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        asked(library, **inputs)


def test_unknown_layers_and_endless_work(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound):
        asked(library, area=mapping(SQUARES[0]), layers=["no_such_layer"])
    monkeypatch.setattr(impact, "_CROWDED", 0)
    monkeypatch.setattr(impact, "_MOST_CELLS", 16)
    with pytest.raises(GaveUp):
        asked(library, area=mapping(SQUARES[0]), layers=[FARMLAND])


def test_cells_by_hand() -> None:
    """Hit, touch and miss of areas, lines and points in one cell."""
    clip = shapely.to_wkb(shapely.box(110, 19, 110.01, 19.01))
    shapes = {
        1: shapely.box(110.005, 19.005, 110.02, 19.02), 2: shapely.box(110.01, 19, 110.02, 19.01),
        3: shapely.box(111, 19, 111.1, 19.1),
        4: shapely.LineString([(109.9, 19.005), (110.2, 19.005)]),
        5: shapely.LineString([(110.01, 18), (110.01, 18.5)]), 6: shapely.Point(110.01, 19.01),
        7: shapely.Point(111, 19),
    }  # fmt: skip
    near = [NearFeature(fid, (shapely.to_wkb(one),)) for fid, one in shapes.items()]
    found = cell_impact(clip, near, shapely.to_wkb(shapely.box(110, 19, 110.005, 19.01)))
    assert [share.fid for share in found.shares] == [1, 4, 6]
    assert found.shares[0].area_m2 > 0
    assert found.shares[1].length_m == pytest.approx(1052.7, abs=1)
    whole = sum(shapely.area(shapely.from_wkb(part)) for part in quarters(clip))
    assert whole == pytest.approx(0.0001, rel=1e-9)
