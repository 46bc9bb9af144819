"""DXF: hand-made drawings in the encodings of their releases; the figures are computed by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
import shapely

from layers.errors import BadParameter, UnreadableFile

CORNERS = ((394000, 2101000), (395000, 2101000), (395000, 2102000), (394000, 2102000))


def pairs(*values: object) -> str:
    return "".join(f"{value}\r\n" for value in values)


def drawing(
    entities: str, *, version: str = "AC1015", code_page: str | None = "ANSI_936", blocks: str = ""
) -> str:
    head = pairs(0, "SECTION", 2, "HEADER", 9, "$ACADVER", 1, version)
    if code_page:
        head += pairs(9, "$DWGCODEPAGE", 3, code_page)
    return (
        head
        + pairs(0, "ENDSEC", 0, "SECTION", 2, "BLOCKS")
        + blocks
        + pairs(0, "ENDSEC", 0, "SECTION", 2, "ENTITIES")
        + entities
        + pairs(0, "ENDSEC", 0, "EOF")
    )


def polyline(
    layer: str = "地块", *, points: Any = CORNERS, closed: bool = True, bulge: float = 0.0
) -> str:
    text = pairs(0, "LWPOLYLINE", 8, layer, 90, len(points), 70, int(closed))
    for x, y in points:
        text += pairs(10, x, 20, y) + (pairs(42, bulge) if bulge else "")
    return text


def file_of(tmp_path: Path, text: str, encoding: str = "gbk") -> Path:
    path = tmp_path / "plan.dxf"
    path.write_bytes(text.encode(encoding))
    return path


def codes(source: Any) -> list[str]:
    return [note.code for note in source.notes]


def test_closed_polylines_are_areas_and_open_ones_lines(tmp_path: Path, read_rows: Any) -> None:
    text = drawing(
        polyline() + polyline("道路", closed=False)
        + polyline("界线", points=(*CORNERS, CORNERS[0]), closed=False)
    )  # fmt: skip
    source, rows = read_rows(file_of(tmp_path, text))

    assert [row.geometry.geom_type for row in rows] == ["Polygon", "LineString", "Polygon"]
    assert rows[0].geometry.equals(shapely.Polygon(CORNERS))
    assert [row.values["Layer"] for row in rows] == ["地块", "道路", "界线"]
    assert source.crs_text == ""  # the caller has to state it
    assert codes(source) == []


def test_a_layer_of_the_drawing_can_be_picked(tmp_path: Path, read_rows: Any) -> None:
    path = file_of(tmp_path, drawing(polyline() + polyline("道路") * 2))

    assert [row.values["Layer"] for row in read_rows(path, "道路")[1]] == ["道路", "道路"]
    with pytest.raises(BadParameter) as caught:
        read_rows(path, "河流")
    assert caught.value.code == "unknown-source-layer"
    assert "地块" in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "version", "code_page", "assumed"),
    [
        ("gbk", "AC1015", "ANSI_936", False),
        ("gbk", "AC1018", "gb2312", False),
        ("gb18030", "AC1009", None, True),
        ("utf-8", "AC1015", None, False),
        ("utf-8", "AC1027", "ANSI_936", False),  # from R2007 on UTF-8, whatever the page says
        ("gbk", "AC1027", "ANSI_936", True),
    ],
)
def test_text_in_the_encoding_of_the_release(
    tmp_path: Path, read_rows: Any, encoding: str, version: str, code_page: str | None,
    *, assumed: bool,
) -> None:  # fmt: skip
    text = polyline() + pairs(0, "TEXT", 8, "注记", 10, 394500, 20, 2101500, 40, 5, 1, "农田一")
    path = file_of(tmp_path, drawing(text, version=version, code_page=code_page), encoding)

    source, rows = read_rows(path)

    assert rows[0].values["Layer"] == "地块"
    assert rows[1].values["Text"] == "农田一"
    assert rows[1].geometry.equals(shapely.Point(394500, 2101500))
    assert ("encoding-assumed" in codes(source)) is assumed


def test_bulges_become_segments_and_are_noted(tmp_path: Path, read_rows: Any) -> None:
    """Two vertices with bulges of 1 are a whole circle (bulge = tan of a quarter of the angle)."""
    text = drawing(polyline(points=((0, 0), (10, 0)), bulge=1.0))
    source, (row,) = read_rows(file_of(tmp_path, text))

    assert row.geometry.area == pytest.approx(math.pi * 25, rel=2e-3)
    assert codes(source) == ["arcs-linearised"]
    straight, _ = read_rows(file_of(tmp_path, drawing(polyline(points=CORNERS, bulge=0.0))))
    assert codes(straight) == []


def test_blocks_are_put_in_place_one_feature_a_part(tmp_path: Path, read_rows: Any) -> None:
    block = pairs(0, "BLOCK", 2, "HOUSE", 70, 0, 10, 0, 20, 0)
    block += polyline("0", points=((0, 0), (1, 0), (1, 1), (0, 1)))
    block += polyline("0", points=((5, 0), (6, 0), (6, 1), (5, 1))) + pairs(0, "ENDBLK")
    insert = pairs(0, "INSERT", 2, "HOUSE", 8, "房屋", 10, 100, 20, 200, 41, 2, 42, 2)

    _, rows = read_rows(file_of(tmp_path, drawing(insert, blocks=block)))

    assert [row.geometry.bounds for row in rows] == [(100, 200, 102, 202), (110, 200, 112, 202)]
    assert {row.values["Layer"] for row in rows} == {"房屋"}


def test_a_hatch_is_an_area(tmp_path: Path, read_rows: Any) -> None:
    hatch = pairs(0, "HATCH", 8, "地块", 10, 0, 20, 0, 2, "SOLID", 70, 1, 71, 0, 91, 1)
    hatch += pairs(92, 2, 72, 0, 73, 1, 93, 4)
    for x, y in CORNERS:
        hatch += pairs(10, x, 20, y)

    _, (row,) = read_rows(file_of(tmp_path, drawing(hatch + pairs(97, 0, 75, 0, 76, 1))))

    assert shapely.area(row.geometry) == 1e6


def test_an_xref_is_counted_and_not_opened(tmp_path: Path, read_rows: Any) -> None:
    other = tmp_path / "other.dxf"
    other.write_text(drawing(polyline("秘密")), "gbk")
    block = pairs(0, "BLOCK", 2, "XR", 70, 4, 10, 0, 20, 0, 3, "XR", 1, str(other), 0, "ENDBLK")
    insert = pairs(0, "INSERT", 2, "XR", 8, "0", 10, 0, 20, 0)

    source, rows = read_rows(file_of(tmp_path, drawing(polyline() + insert, blocks=block)))

    assert codes(source) == ["dxf-xrefs-not-followed"]
    assert [row.values["Layer"] for row in rows] == ["地块"]


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95, 0.99])
def test_a_drawing_cut_short_is_refused(tmp_path: Path, read_rows: Any, share: float) -> None:
    content = drawing(polyline() * 30).encode("gbk")
    path = tmp_path / "plan.dxf"
    path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(UnreadableFile) as caught:
        read_rows(path)
    assert caught.value.code == "damaged-file"


def test_a_drawing_without_entities_is_refused(tmp_path: Path, read_rows: Any) -> None:
    with pytest.raises(UnreadableFile) as caught:
        read_rows(file_of(tmp_path, drawing("")))
    assert caught.value.code == "no-rows"
