"""Coordinate tables in XLSX and CSV: header words, angles, parcels and rings, hostile workbooks."""

import datetime
import io
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layers.errors import BadParameter, CrsRefused, GisError, LimitExceeded, UnreadableFile
from layers.field_map import FieldMap
from layers.geometry_faults import REASONS
from layers.plan_import import import_file
from layers.readers import Batch, Source, open_source, stream, table_cells
from layers.readers.survey_angles import degrees, plane_number
from layers.readers.table_header import role_of

Rows = Sequence[Sequence[Any]]
HEADER = ("点号", "X坐标", "Y坐标")
SQUARE: Rows = (
    ("J1", 2214000.0, 37432000.0), ("J2", 2214010.0, 37432000.0),
    ("J3", 2214010.0, 37432020.0), ("J4", 2214000.0, 37432020.0),
)  # fmt: skip
DEGREES: Rows = (
    ("1", "110°21′00″", "20°00′36″"), ("2", "110°21′36″", "20°00′36″"),
    ("3", "110°21′36″", "20°01′12″"),
)  # fmt: skip


def csv_of(rows: Rows, separator: str = ",") -> str:
    return "".join(
        separator.join("" if c is None else str(c) for c in row) + "\r\n" for row in rows
    )


Read = Callable[..., tuple[Source, Batch]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def call(rows: Rows | str | bytes, *, encoding: str = "gb18030") -> tuple[Source, Batch]:
        text = rows if isinstance(rows, str | bytes) else csv_of(rows)
        path = tmp_path / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        source = open_source(path, tmp_path)
        (batch,) = stream(source)
        return source, batch

    return call


def workbook(path: Path, *sheets: tuple[str, Rows]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def codes(source: Source) -> list[str]:
    return [note.code for note in source.notes]


def refusal(read: Read, rows: Rows | str | bytes) -> GisError:
    with pytest.raises((UnreadableFile, CrsRefused)) as caught:
        read(rows)
    assert any(letter >= "\u4e00" for letter in caught.value.text.zh)
    return caught.value


# --- header words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "words"),
    [
        (
            "north",
            "X坐标 X x 纵坐标 纵坐标X 纵坐标(X) X坐标(纵/北) X（m） 北坐标 N Northing X坐标（米）",
        ),
        ("east", "Y坐标 Y 横坐标 横坐标(Y)(m) 东坐标 X坐标(东) Y坐标(横/东) E easting"),
        ("north", "Y坐标(北) 北坐标Y"),
        ("lon", "经度 经度(°) 经度（度分秒） 东经 大地经度L lon LNG Longitude"),
        ("lat", "纬度 北纬 大地纬度B lat"),
        ("label", "点号 序号 界址点号 拐点编号 顶点号 桩号"),
        ("ring", "圈号 地块圈号 环号"),
        ("parcel", "地块号 地块编号 宗地号 图斑编号 DKBH"),
        ("name", "地块名称"),
        ("area", "面积 地块面积(公顷) 面积（亩）"),
        (None, "备注 边长 东至 北京市 坐标 权利人 XY"),
    ],
)
def test_header_words(role: str | None, words: str) -> None:
    assert {word: role_of(word) for word in words.split()} == dict.fromkeys(words.split(), role)


def test_columns_in_any_order_with_a_title_above(read: Read) -> None:
    rows = [("某地块界址点成果表", None, None), (None, None, None), ("横坐标", "序号", "纵坐标")]
    rows += [(east, label, north) for label, north, east in SQUARE]

    source, batch = read(rows)

    assert batch.geometries[0].bounds == (37432000.0, 2214000.0, 37432020.0, 2214010.0)
    assert source.crs_text == "EPSG:4525"
    assert codes(source) == ["datum-assumed"]


def test_a_header_of_two_rows(read: Read) -> None:
    rows = [("点号", "坐标", None, "圈号"), (None, "X", "Y", None)]
    rows += [(*row, 1) for row in SQUARE] + [
        ("J5", 2214002.0, 37432002.0, 2), ("J6", 2214004.0, 37432002.0, 2),
        ("J7", 2214004.0, 37432004.0, 2),
    ]  # fmt: skip
    _, batch = read(rows)
    assert batch.geometries[0].area == 198.0


def test_two_blocks_of_columns_side_by_side_are_refused(read: Read) -> None:
    error = refusal(read, [HEADER * 2, *[row * 2 for row in SQUARE]])
    assert error.code == "columns-repeated"
    assert error.places[0].at == "line 1"


def test_both_kinds_of_coordinates(read: Read) -> None:
    rows = [(*HEADER, "经度", "纬度"), *[(*row, 110.35, 20.01) for row in SQUARE]]
    source, batch = read(rows)
    assert source.crs_text == "EPSG:4525"
    assert batch.geometries[0].area == 200.0


# --- parcels, rings ------------------------------------------------------------------------------


def test_parcels_and_rings_stand_once_above_their_points(read: Read) -> None:
    hole = [("J5", 2214002.0, 37432002.0), ("J6", 2214004.0, 37432002.0),
            ("J7", 2214004.0, 37432004.0), ("J5", 2214002.0, 37432002.0)]  # fmt: skip
    other = [(label, north + 100, east) for label, north, east in SQUARE]
    rows: list[tuple[Any, ...]] = [("地块编号", "地块名称", "圈号", *HEADER, "用途")]
    for name, title, ring, points in (
        ("A", "甲", 1, SQUARE), (None, None, 2, hole), ("B", "乙", 1, other),
    ):  # fmt: skip
        rows += [
            (name, title, ring, *point, "住宅" if n == 0 and name else None)
            if n == 0 else (None, None, None, *point, None)
            for n, point in enumerate(points)
        ]  # fmt: skip

    source, batch = read(rows)

    assert source.fields == ("DKBH", "DKMC", "用途")
    assert {k: v.to_pylist() for k, v in batch.columns.items()} == {
        "DKBH": ["A", "B"], "DKMC": ["甲", "乙"], "用途": ["住宅", "住宅"],
    }  # fmt: skip
    assert shapely.area(batch.geometries).tolist() == [198.0, 200.0]


def test_columns_that_differ_from_point_to_point_are_dropped_with_a_note(read: Read) -> None:
    rows = [(*HEADER, "边长", "村"), *[(*row, n, "新村") for n, row in enumerate(SQUARE)]]
    source, batch = read(rows)
    assert set(batch.columns) == {"村"}
    assert codes(source) == ["datum-assumed", "point-columns-dropped"]


def test_points_of_a_parcel_that_do_not_stand_together(read: Read) -> None:
    rows = [("地块号", *HEADER), *[("A", *row) for row in SQUARE], *[("B", *row) for row in SQUARE],
            ("A", *SQUARE[0])]  # fmt: skip
    error = refusal(read, rows)
    assert error.places[0].at == "line 10"
    assert "第2行" in error.text.zh


def test_an_empty_line_in_a_table_without_parcels_is_doubt(read: Read) -> None:
    rows = [HEADER, *SQUARE, (None, None, None), *SQUARE]
    error = refusal(read, rows)
    assert error.places[0].at == "line 6"
    # At the end, or where a column tells the parcels apart, it says nothing.
    assert read([HEADER, *SQUARE, (None,) * 3, (None,) * 3])[1].geometries[0].area == 200.0
    named = [("地块号", *HEADER), *[("A", *r) for r in SQUARE], (), *[("B", *r) for r in SQUARE]]
    assert len(read(named)[1]) == 2


def test_two_rings_without_a_ring_column_are_a_fault(read: Read) -> None:
    closed = [*SQUARE, SQUARE[0]]
    _, batch = read([HEADER, *closed, *[(label, n + 50, e) for label, n, e in closed]])
    assert batch.faults == {0: "ring-closed-early"}
    assert batch.fault_lines == {0: 6}
    assert batch.faults[0] in REASONS


def test_a_ring_number_used_again_after_another(read: Read) -> None:
    far = [(label, north + 100, east) for label, north, east in SQUARE]
    rows = [(*HEADER, "圈号"), *[(*row, 1) for row in SQUARE], *[(*row, 2) for row in far],
            (*SQUARE[0], 1)]  # fmt: skip
    _, batch = read(rows)
    assert (batch.faults, batch.fault_lines) == ({0: "ring-number-repeated"}, {0: 10})


def test_sums_and_repeated_headers_are_skipped_with_a_note(read: Read) -> None:
    rows = [HEADER, *SQUARE[:2], HEADER, *SQUARE[2:], ("制表人：某某", None, None)]
    source, batch = read(rows)
    assert batch.geometries[0].area == 200.0
    assert codes(source) == ["datum-assumed", "lines-skipped"]
    assert "4, 7" in source.notes[1].reason.zh


def test_the_area_column_is_declared_in_its_unit(read: Read) -> None:
    rows = [(*HEADER, "面积(亩)"), *[(*row, 0.3) for row in SQUARE]]
    _, batch = read(rows)
    assert batch.declared_areas[0].in_m2("ha") == pytest.approx(200.0)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("J2", None, 37432000.0), "坐标为空"),
        (("J2", "=B2+10", 37432000.0), "无法识别"),
        (("J2", "二二一四", 37432000.0), "无法识别"),
        (("J2", "nan", 37432000.0), "无法识别"),
        (("J2", "1_000", 37432000.0), "无法识别"),
        (("J2",), "坐标为空"),
    ],
)
def test_a_point_that_cannot_be_read_is_refused_with_its_line(
    read: Read, row: tuple[Any, ...], words: str
) -> None:
    error = refusal(read, [HEADER, SQUARE[0], row, *SQUARE[2:]])
    assert error.places[0].at == "line 3"
    assert "第3行" in error.text.zh
    assert words in error.text.zh


def test_only_a_header(read: Read) -> None:
    assert refusal(read, [HEADER]).code == "no-rows"


# --- CRS, axes -----------------------------------------------------------------------------------


def test_without_a_prefix_the_table_names_no_crs(read: Read) -> None:
    plain = [HEADER, *[(label, n, e - 37_000_000) for label, n, e in SQUARE]]
    assert read(plain)[0].crs_text is None
    assert read([("点号", "经度", "纬度"), *DEGREES])[0].crs_text is None


@pytest.mark.parametrize(
    ("title", "code"),
    [("坐标系：2000国家大地坐标系", "EPSG:4525"), ("1980西安坐标系", "EPSG:2361"),
     ("北京54", "EPSG:2413")],
)  # fmt: skip
def test_a_datum_above_the_table_is_taken(read: Read, title: str, code: str) -> None:
    source, _ = read([(title,), HEADER, *SQUARE])
    assert (source.crs_text, codes(source)) == (code, [])


def test_degrees_with_a_datum_above(read: Read) -> None:
    source, batch = read([("CGCS2000",), ("点号", "经度", "纬度"), *DEGREES])
    assert source.crs_text == "EPSG:4490"
    assert batch.geometries[0].bounds == pytest.approx((110.35, 20.01, 110.36, 20.02), abs=1e-12)


def test_swapped_columns_are_put_right_and_noted(read: Read) -> None:
    source, batch = read([HEADER, *[(label, e, n) for label, n, e in SQUARE]])
    assert codes(source) == ["axes-swapped", "datum-assumed"]
    assert batch.geometries[0].bounds == (37432000.0, 2214000.0, 37432020.0, 2214010.0)


def test_metres_under_degrees_and_degrees_under_metres(read: Read) -> None:
    assert refusal(read, [("点号", "纬度", "经度"), *SQUARE]).code == "unit-contradiction"
    wrong = [HEADER, ("1", 20.0, 110.0), ("2", 20.1, 110.0), ("3", 20.1, 110.1)]
    assert refusal(read, wrong).code == "unit-contradiction"


# --- numbers and angles --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["109°30′12.36″", "109°30'12.36\"", "109º30’12.36”", "109°30′12.36′′", "109°30'12.36''",
     "109度30分12.36秒", "东经109°30′12.36″", "109°30′12.36″E", "E109°30′12.36″", "109:30:12.36",
     "109-30-12.36", "109 30 12.36", " 109° 30′ 12.36″ ", "１０９°３０′１２．３６″",
     "109.5034333333333", "109˚30´12.36\"", "109°30.206′"],
)  # fmt: skip
def test_every_usual_form_of_an_angle(text: str) -> None:
    assert degrees(text) == pytest.approx(109 + 30 / 60 + 12.36 / 3600, abs=1e-10)


@pytest.mark.parametrize(
    "text",
    ["109°60′00″", "109°30′60″", "109.5°30′", "109°30.5′12″", "", "甲", "°", "109°30′12″W", "nan"],
)
def test_what_is_no_angle(text: str) -> None:
    assert degrees(text) is None


def test_plane_numbers() -> None:
    assert plane_number("2,214,000.50") == 2214000.5
    assert plane_number(" ２２１４０００．５ ") == 2214000.5
    assert [plane_number(v) for v in ("1,2", "", None, True, "inf", "1e999", float("nan"))] == (
        [None] * 7
    )


# --- CSV -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gbk", "utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_encodings_and_separators(read: Read, encoding: str, separator: str) -> None:
    text = csv_of([HEADER, *SQUARE], separator)
    source, batch = read(text, encoding=encoding)
    assert batch.geometries[0].area == 200.0
    assert source.format == "Coordinate table (CSV)"


def test_quotes_commas_and_bare_line_ends(read: Read) -> None:
    text = (
        '点号,X坐标,Y坐标\r"J,1","2,214,000","37,432,000"\r'
        'J2,2214010,37432000\r"J3",2214010,37432020\r'
    )
    assert read(text)[1].geometries[0].area == 100.0


def test_a_table_named_txt_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "points.txt"
    path.write_text(csv_of([HEADER, *SQUARE]), "utf-8")
    assert open_source(path, tmp_path).driver == "coordinate-table"


@pytest.mark.parametrize("text", ["a,b,c\r\n1,2,3\r\n", "点号,X坐标\r\n1,2\r\n"])
def test_a_list_without_coordinates_is_no_table(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(UnreadableFile) as caught:
        open_source(path, tmp_path)
    assert caught.value.code == "unknown-format"


# --- XLSX ----------------------------------------------------------------------------------------


def test_a_workbook(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("说明", [("填写说明",)]), ("界址点", [HEADER, *SQUARE]))

    source = open_source(path, tmp_path)
    (batch,) = stream(source)

    assert (source.format, source.layer) == ("Coordinate table (XLSX)", "界址点")
    assert batch.geometries[0].area == 200.0


def test_several_sheets_need_a_name(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("甲", [HEADER, *SQUARE]), ("乙", [HEADER, *SQUARE[:3]]))

    with pytest.raises(BadParameter) as caught:
        open_source(path, tmp_path)
    assert caught.value.code == "several-layers"
    (batch,) = stream(open_source(path, tmp_path, "乙"))
    assert batch.geometries[0].area == 100.0
    with pytest.raises(BadParameter):
        open_source(path, tmp_path, "丙")


def test_a_formula_is_not_evaluated(tmp_path: Path) -> None:
    rows = [HEADER, SQUARE[0], ("J2", "=B2+10", 37432000.0), *SQUARE[2:]]
    path = workbook(tmp_path / "a.xlsx", ("t", rows))
    with pytest.raises(UnreadableFile) as caught:
        open_source(path, tmp_path)
    assert caught.value.places[0].at == "line 3"
    assert "公式" in caught.value.text.zh


def test_a_workbook_in_an_archive_beside_words(tmp_path: Path) -> None:
    inner = workbook(tmp_path / "a.xlsx", ("t", [HEADER, *SQUARE]))
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
        archive.write(inner, "a.xlsx")
    job = tmp_path / "job"
    job.mkdir()
    assert open_source(path, job).driver == "coordinate-table"


def repacked(tmp_path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    path = tmp_path / "out.xlsx"
    with (
        zipfile.ZipFile(io.BytesIO(SAMPLE)) as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return path


def test_a_bomb_is_stopped_while_it_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_cells, "_MOST_BYTES", 4 << 20)
    monkeypatch.setattr(table_cells.openpyxl, "load_workbook", lambda *_, **__: pytest.fail("read"))
    path = repacked(
        tmp_path, lambda name, raw: raw + b" " * (5 << 20) if name.endswith("sheet1.xml") else raw
    )
    assert path.stat().st_size < 1 << 20
    with pytest.raises(LimitExceeded) as caught:
        open_source(path, tmp_path)
    assert caught.value.code == "archive-bomb"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_they_grow(tmp_path: Path, encoding: str) -> None:
    laughs = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ha">]><worksheet/>'
    path = repacked(
        tmp_path,
        lambda name, raw: laughs.encode(encoding) if name.endswith("sheet1.xml") else raw,
    )
    with pytest.raises(UnreadableFile) as caught:
        open_source(path, tmp_path)
    assert caught.value.code == "hostile-file"


def test_a_row_number_without_end_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_cells, "_MOST_ROWS", 1000)
    path = repacked(tmp_path, lambda _, raw: raw.replace(b'<row r="5"', b'<row r="999999999"'))
    with pytest.raises(LimitExceeded):
        open_source(path, tmp_path)


def _sample() -> bytes:
    """Made once: the same workbook saved again has other times in it."""
    book, kept = openpyxl.Workbook(), io.BytesIO()
    for row in [("地块号", *HEADER), *[("A", *row) for row in SQUARE]]:
        book.worksheets[0].append(list(row))
    book.save(kept)
    return kept.getvalue()


SAMPLE = _sample()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_bytes_raise_nothing_but_our_own_errors(
    tmp_path: Path, data: st.DataObject
) -> None:
    suffix = data.draw(st.sampled_from(["csv", "xlsx"]))
    whole = SAMPLE if suffix == "xlsx" else csv_of([HEADER, *SQUARE]).encode("gb18030")
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 8))] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b",", b'"', b"\r", b"\x00", b"\xb0"])
        )
        if not raw:
            return
    path = tmp_path / f"fuzz.{suffix}"
    path.write_bytes(bytes(raw))
    with suppress(GisError):
        list(stream(open_source(path, tmp_path)))


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_xml_inside_a_workbook(tmp_path: Path, data: st.DataObject) -> None:
    """The packing is sound, the content is not: openpyxl raises whatever comes along."""
    wanted = data.draw(st.sampled_from(["sheet1.xml", "workbook.xml", "styles.xml", ".rels"]))

    def change(name: str, raw: bytes) -> bytes:
        if not name.endswith(wanted) or not raw:
            return raw
        at = data.draw(st.integers(0, len(raw) - 1))
        length = data.draw(st.integers(0, 10))
        return raw[:at] + data.draw(st.binary(max_size=8)) + raw[at + length :]

    path = repacked(tmp_path, change)
    with suppress(GisError):
        list(stream(open_source(path, tmp_path)))


def test_a_table_becomes_the_draft_of_a_plan(connection, sandbox, catalog, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = [("地块编号", "用地代码", *HEADER, "面积(公顷)"),
            *[("A", "070102", *row, "0.0200") for row in SQUARE]]  # fmt: skip
    path = workbook(tmp_path / "a.xlsx", ("t", rows))

    report = import_file(
        connection, sandbox, catalog, path, plan_id="detailed-plan",
        layer_id="detailed_plan_parcel", valid_from=datetime.date(2026, 1, 1),
        region_bbox=(107.9, 17.6, 111.9, 20.7),
        field_map=FieldMap(fields={"DKBH": "parcel_id", "用地代码": "landuse_code"}),
    )  # fmt: skip

    assert (report.accepted, report.blocking, report.source_crs) == (1, 0, "EPSG:4525")
    assert report.issue_counts["declared-area-unit"] == 1
    assert report.issue_counts["datum-assumed"] == 1
    assert "declared-area-differs" not in report.issue_counts
