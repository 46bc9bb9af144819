"""One site in every format gives one verdict; what a file cannot say stays unknown."""

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import shapely
from openpyxl import Workbook

from gis_service.checking import CheckRequest, SubmissionFile, judge_request, read_request
from gis_service.library import Library
from layers.errors import BadInput, CrsRefused, InvalidGeometry, LimitExceeded
from planning_rules.rule_set import RuleSet
from planning_rules.submission import Submission

NORTH, EAST = 2_214_000.0, 37_432_000.0
GRID = shapely.box(EAST, NORTH, EAST + 200, NORTH + 100)
ATTRIBUTES = {"name": "站点", "land_take": "是", "proposed_use": "0701", "building_height_m": 24.0}


def vector(
    path: Path, driver: str, crs: str | None, geometry: Any = GRID, fields: Any = ATTRIBUTES,
    **options: Any,
) -> Path:  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a DBF cuts names to ten bytes
        pyogrio.raw.write(
            path, geometry=shapely.to_wkb(np.array([geometry], dtype=object)),
            field_data=[np.array([value]) for value in fields.values()], fields=list(fields),
            driver=driver, geometry_type="Polygon", crs=crs, **options,
        )  # fmt: skip
    return path


def shapefile(folder: Path) -> Path:
    path = vector(folder / "site.shp", "ESRI Shapefile", "EPSG:4525", encoding="UTF-8")
    packed = folder / "site.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for part in folder.glob("site.*"):
            if part.suffix != ".zip":
                archive.write(part, part.name)
    assert path.exists()
    return packed


def geopackage(folder: Path) -> Path:
    return vector(folder / "site.gpkg", "GPKG", "EPSG:4525")


def kml(folder: Path) -> Path:
    to_degrees = pyproj.Transformer.from_crs(4525, 4490, always_xy=True)
    ring = [" ".join(f"{lon:.9f},{lat:.9f}" for lon, lat in [
        to_degrees.transform(x, y) for x, y in GRID.exterior.coords])]  # fmt: skip
    data = "".join(
        f'<Data name="{key}"><value>{value}</value></Data>' for key, value in ATTRIBUTES.items()
        if key != "name"
    )  # fmt: skip
    path = folder / "site.kml"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2">'
        f"<Document><Placemark><name>站点</name><ExtendedData>{data}</ExtendedData><Polygon>"
        f"<outerBoundaryIs><LinearRing><coordinates>{ring[0]}</coordinates></LinearRing>"
        "</outerBoundaryIs></Polygon></Placemark></Document></kml>",
        "utf-8",
    )
    return path


def boundary_txt(folder: Path) -> Path:
    corners = [(NORTH, EAST), (NORTH, EAST + 200), (NORTH + 100, EAST + 200), (NORTH + 100, EAST)]
    points = [f"J{i},1,{n:.3f},{e:.3f}" for i, (n, e) in enumerate([*corners, corners[0]], 1)]
    lines = [
        "[属性描述]", "坐标系=2000国家大地坐标系", "几度分带=3", "投影类型=高斯克吕格",
        "计量单位=米",
        "带号=37", "精度=0.001", "转换参数=0,0,0,0,0,0,0", "[地块坐标]",
        "5,2.0000,1,站点,面,,,,@", *points,
    ]  # fmt: skip
    path = folder / "site.txt"
    path.write_bytes("\r\n".join(lines).encode("gb18030"))
    return path


def workbook(folder: Path) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["点号", "X坐标(纵)", "Y坐标(横)", "圈号"])
    corners = [(NORTH, EAST), (NORTH, EAST + 200), (NORTH + 100, EAST + 200), (NORTH + 100, EAST)]
    for number, (north, east) in enumerate(corners, 1):
        sheet.append([f"J{number}", north, east, 1])
    book.save(folder / "site.xlsx")
    return folder / "site.xlsx"


def drawing(folder: Path) -> Path:
    path = folder / "site.dxf"
    pyogrio.raw.write(
        path, geometry=shapely.to_wkb(np.array([GRID], dtype=object)), field_data=[], fields=[],
        driver="DXF", geometry_type="Polygon", crs="EPSG:4525",
    )  # fmt: skip
    return path


def read(library: Library, path: Path, **options: Any) -> Submission:
    crs = options.pop("source_crs", None)
    return read_request(library, CheckRequest(SubmissionFile(path, **options), source_crs=crs))


def expected_area() -> float:
    to_degrees = pyproj.Transformer.from_crs(4525, 4490, always_xy=True)
    ring = shapely.segmentize(GRID.exterior, 10)
    lon, lat = to_degrees.transform(*np.array(ring.coords).T)
    return abs(pyproj.Geod(a=6378137, rf=298.257222101).polygon_area_perimeter(lon, lat)[0])


@pytest.mark.parametrize("make", [shapefile, geopackage, kml])
def test_geometry_and_attributes(
    library: Library, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    found = read(library, make(tmp_path))
    assert found.area_m2 == pytest.approx(expected_area(), abs=0.3)
    assert found.attributes["land_take"] is True
    assert found.attributes["proposed_use"] == "0701"
    assert found.attributes["building_height_m"] == 24
    assert found.name == "站点"
    assert found.received is not None
    assert found.received.size_bytes > 100


@pytest.mark.parametrize(
    ("make", "crs"), [(boundary_txt, None), (workbook, None), (drawing, "EPSG:4525")]
)
def test_survey_formats_with_attributes_beside(
    library: Library, tmp_path: Path, make: Callable[[Path], Path], crs: str | None
) -> None:
    found = read(library, make(tmp_path), source_crs=crs, attributes={"land_take": False})
    assert found.area_m2 == pytest.approx(expected_area(), abs=0.3)
    assert found.attributes["land_take"] is False


def test_an_empty_text_is_no_answer(library: Library, tmp_path: Path) -> None:
    """'' IS NOT NULL would otherwise open an exemption."""
    fields = {"land_take": "  ", "outside_udb_list_code": "", "project_level": ""}
    path = vector(tmp_path / "site.gpkg", "GPKG", "EPSG:4525", fields=fields)
    found = read(library, path)
    assert [found.attributes[name] for name in fields] == [None, None, None]


def test_a_number_in_the_truth_field_stays_unreadable(library: Library, tmp_path: Path) -> None:
    path = vector(tmp_path / "s.gpkg", "GPKG", "EPSG:4525", fields={"land_take": "maybe"})
    assert read(library, path).attributes["land_take"] == "maybe"


def test_files_that_cannot_be_judged(library: Library, tmp_path: Path) -> None:
    with pytest.raises(CrsRefused, match="source_crs"):
        read(library, drawing(tmp_path))
    bow_tie = shapely.Polygon(
        [(EAST, NORTH), (EAST + 9, NORTH + 9), (EAST + 9, NORTH), (EAST, NORTH + 9)]
    )
    with pytest.raises(InvalidGeometry):
        read(library, vector(tmp_path / "bow.gpkg", "GPKG", "EPSG:4525", bow_tie))
    missing = vector(tmp_path / "none.gpkg", "GPKG", "EPSG:4525", None)
    with pytest.raises(InvalidGeometry) as caught:
        read(library, missing)
    assert caught.value.places[0].at == "row 1"
    text = tmp_path / "note.txt"
    text.write_text("no boundary points")
    with pytest.raises(BadInput):
        read(library, text)
    large = tmp_path / "large.gpkg"
    with large.open("wb") as file:
        file.truncate(library.config.limits.submission_bytes + 1)
    with pytest.raises(LimitExceeded):
        read(library, large)


def test_geojson_is_known_by_its_content(library: Library) -> None:
    feature = {"type": "Feature", "properties": {"name": "x"}, "geometry": json.loads(
        shapely.to_geojson(shapely.box(109.8, 19.2, 109.81, 19.21)))}  # fmt: skip
    one = read_request(library, CheckRequest(feature))
    other = read_request(library, CheckRequest(dict(reversed(list(feature.items())))))
    assert one.received == other.received


def test_a_check_asks_for_the_rules_once(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules that are edited meanwhile do not decide which columns of the file are read."""
    in_use = Library.rules_in_use
    asked: list[Library] = []

    def counted(self: Library) -> RuleSet:
        asked.append(self)
        return in_use(self)

    monkeypatch.setattr(Library, "rules_in_use", counted)
    judge_request(library, CheckRequest(SubmissionFile(shapefile(tmp_path))))
    assert len(asked) == 1
