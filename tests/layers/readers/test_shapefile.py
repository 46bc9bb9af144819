"""Shapefiles of departments: GBK without .cpg, names cut inside a character, missing parts."""

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import shapely

from layers.errors import BadParameter, UnreadableFile
from layers.readers import Batch, Source, open_source, stream
from layers.readers.dbf import read_header

NAME = "永久基本农田"


def made(folder: Path, encoding: str, values: list[str], field: str = "MC") -> Path:
    """A shapefile in an encoding, as GDAL writes it, without its .cpg."""
    folder.mkdir(exist_ok=True)
    path = folder / "plan.shp"
    geometries = [shapely.box(110, 19, 110.1, 19.1).wkb] * len(values)
    pyogrio.raw.write(
        path, np.array(geometries), [np.array(values, dtype=object)], [field],
        geometry_type="Polygon", crs="EPSG:4490", driver="ESRI Shapefile", encoding=encoding,
    )  # fmt: skip
    path.with_suffix(".cpg").unlink(missing_ok=True)
    dbf = path.with_suffix(".dbf")
    body = bytearray(dbf.read_bytes())
    body[29] = 0  # language byte: not stated
    dbf.write_bytes(body)
    return path


def read(path: Path, job: Path) -> tuple[Source, Batch]:
    job.mkdir(exist_ok=True)
    source = open_source(path, job)
    return source, next(stream(source))


@pytest.mark.parametrize("encoding", ["GB18030", "UTF-8"])
@pytest.mark.parametrize("cpg", [None, "right"])
def test_text_is_right_with_and_without_cpg(tmp_path: Path, encoding: str, cpg: str | None) -> None:
    path = made(tmp_path / "in", encoding, [NAME, "ASCII", ""])
    if cpg:
        path.with_suffix(".cpg").write_text("936" if encoding == "GB18030" else encoding)

    source, batch = read(path, tmp_path / "job")

    assert batch.columns["MC"].to_pylist()[:2] == [NAME, "ASCII"]
    assert source.encoding == encoding
    assert [note.code for note in source.notes] == (
        ["encoding-assumed"] if encoding == "GB18030" and not cpg else []
    )


@pytest.mark.parametrize("name", ["GBK", "CP936", "ansi 936", "GB2312", "gb18030", "OEM 936"])
def test_every_name_of_the_chinese_code_page_means_gb18030(tmp_path: Path, name: str) -> None:
    """Plain GBK silently drops characters of four bytes, such as 䶮."""
    path = made(tmp_path / "in", "GB18030", ["䶮" + NAME])
    path.with_suffix(".cpg").write_text(name)

    _, batch = read(path, tmp_path / "job")

    assert batch.columns["MC"].to_pylist() == ["䶮" + NAME]


def test_a_language_byte_of_gbk_is_believed(tmp_path: Path) -> None:
    path = made(tmp_path / "in", "GB18030", [NAME])
    dbf = path.with_suffix(".dbf")
    body = bytearray(dbf.read_bytes())
    body[29] = 0x4D
    dbf.write_bytes(body)

    source, batch = read(path, tmp_path / "job")

    assert batch.columns["MC"].to_pylist() == [NAME]
    assert source.notes == ()


def test_a_cpg_that_lies_about_utf_8_is_found_out(tmp_path: Path) -> None:
    path = made(tmp_path / "in", "GB18030", [NAME])
    path.with_suffix(".cpg").write_text("UTF-8")

    source, batch = read(path, tmp_path / "job")

    assert batch.columns["MC"].to_pylist() == [NAME]
    assert [note.code for note in source.notes] == ["encoding-assumed"]


def test_a_value_cut_inside_a_character_is_still_utf_8(tmp_path: Path) -> None:
    path = made(tmp_path / "in", "UTF-8", ["农" * 10])
    dbf = path.with_suffix(".dbf")
    table = read_header(dbf)
    body = bytearray(dbf.read_bytes())
    field = table.fields[0]
    end = table.header_bytes + field.offset + 29
    body[end : end + 1] = b" "  # the last character loses its third byte
    dbf.write_bytes(body)

    source, batch = read(path, tmp_path / "job")

    assert source.encoding == "UTF-8"
    assert str(batch.columns["MC"][0]).startswith("农" * 9)


@pytest.mark.parametrize("encoding", ["UTF-8", "GB18030"])
def test_a_field_name_cut_inside_a_character_is_mended(tmp_path: Path, encoding: str) -> None:
    path = made(tmp_path / "in", encoding, ["x"], field="FIELD")
    path.with_suffix(".cpg").write_text(encoding)
    dbf = path.with_suffix(".dbf")
    body = bytearray(dbf.read_bytes())
    start = "A" if encoding == "GB18030" else ""
    broken = (start + "土地利用分类").encode(encoding)[:10]
    with pytest.raises(UnicodeDecodeError):
        broken.decode(encoding)
    body[32:43] = broken.ljust(11, b"\x00")
    dbf.write_bytes(body)

    source, batch = read(path, tmp_path / "job")

    whole = broken.decode(encoding, "ignore")
    assert source.fields == (whole,)
    assert batch.columns[whole].to_pylist() == ["x"]
    assert "field-name-mended" in [note.code for note in source.notes]


def test_suffixes_in_capitals_belong_to_the_file(tmp_path: Path) -> None:
    path = made(tmp_path / "in", "GB18030", [NAME])
    for suffix in (".dbf", ".shx", ".prj"):
        part = path.with_suffix(suffix)
        part.rename(part.with_suffix(suffix.upper()))

    source, batch = read(path, tmp_path / "job")

    assert batch.columns["MC"].to_pylist() == [NAME]
    assert source.crs_text is not None
    assert "China" in source.crs_text


def test_a_missing_index_is_restored_beside_the_job_only(tmp_path: Path) -> None:
    path = made(tmp_path / "in", "UTF-8", ["x", "y"])
    path.with_suffix(".shx").unlink()
    before = sorted(p.name for p in path.parent.iterdir())

    _, batch = read(path, tmp_path / "job")

    assert len(batch) == 2
    assert sorted(p.name for p in path.parent.iterdir()) == before


def test_a_missing_prj_leaves_the_crs_open(tmp_path: Path) -> None:
    path = made(tmp_path / "in", "UTF-8", ["x"])
    path.with_suffix(".prj").unlink()

    source, _ = read(path, tmp_path / "job")

    assert not source.crs_text


@pytest.mark.parametrize("suffix", [".shp", ".dbf"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_a_part_cut_short_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = made(tmp_path / "in", "UTF-8", [f"value {n}" for n in range(300)])
    part = path.with_suffix(suffix)
    part.write_bytes(part.read_bytes()[: int(part.stat().st_size * share)])
    job = tmp_path / "job"
    job.mkdir()

    with pytest.raises(UnreadableFile):
        list(stream(open_source(path, job)))


def zipped(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, file.relative_to(folder).as_posix())
    return path


def test_one_name_in_two_folders_is_never_taken_for_one(tmp_path: Path) -> None:
    counties = {"haikou": NAME, "sanya": "ASCII"}
    for county, value in counties.items():
        (tmp_path / "in" / county).mkdir(parents=True)
        made(tmp_path / "in" / county, "UTF-8", [value])
    made(tmp_path / "in" / "roads", "UTF-8", ["x"])
    for part in (tmp_path / "in" / "roads").iterdir():
        part.rename(part.with_name(part.name.replace("plan", "road")))
    path = zipped(tmp_path / "a.zip", tmp_path / "in")
    for layer in (None, "plan"):
        with pytest.raises(BadParameter) as caught:
            open_source(path, Path(tempfile.mkdtemp(dir=tmp_path)), layer)
        assert "haikou/plan.shp, road, sanya/plan.shp" in str(caught.value)
    for county, value in counties.items():
        job = Path(tempfile.mkdtemp(dir=tmp_path))
        source = open_source(path, job, f"{county}/plan.shp")
        assert next(stream(source)).columns["MC"].to_pylist() == [value]
    source = open_source(path, Path(tempfile.mkdtemp(dir=tmp_path)), "road")
    assert next(stream(source)).columns["MC"].to_pylist() == ["x"]


def test_one_name_of_two_formats_is_never_taken_for_one(tmp_path: Path) -> None:
    path = made(tmp_path / "in", "UTF-8", ["of the shapefile"])
    pyogrio.raw.write(
        path.with_suffix(".gpkg"), np.array([shapely.Point(110, 19).wkb]),
        [np.array(["of the other"], dtype=object)], ["MC"],
        geometry_type="Point", crs="EPSG:4490", driver="GPKG",
    )  # fmt: skip
    with pytest.raises(BadParameter, match=r"plan.gpkg, plan.shp"):
        open_source(tmp_path / "in", Path(tempfile.mkdtemp(dir=tmp_path)))
    for name, value in (("plan.shp", "of the shapefile"), ("plan.gpkg", "of the other")):
        source = open_source(tmp_path / "in", Path(tempfile.mkdtemp(dir=tmp_path)), name)
        assert next(stream(source)).columns["MC"].to_pylist() == [value]


def test_names_that_differ_by_capitals_keep_their_own_parts(tmp_path: Path) -> None:
    made(tmp_path / "in", "UTF-8", ["small"])
    made(tmp_path / "capital", "UTF-8", ["capital"])
    for part in (tmp_path / "capital").iterdir():
        part.rename(tmp_path / "in" / part.name.replace("plan", "PLAN"))
    for name, value in (("plan", "small"), ("PLAN", "capital")):
        source = open_source(tmp_path / "in", Path(tempfile.mkdtemp(dir=tmp_path)), name)
        assert next(stream(source)).columns["MC"].to_pylist() == [value]
