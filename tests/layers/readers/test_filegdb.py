"""File geodatabases as folders and in archives; made by GDAL, also with aliases."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import pyogrio.raw
import pytest
import shapely

from layers.catalog import Catalog
from layers.errors import BadParameter, UnreadableFile
from layers.field_map import plan_fields

SQUARE = shapely.box(110.0, 19.0, 110.1, 19.1)


def make(folder: Path, *layers: str, **options: Any) -> Path:
    path = folder / "规划.gdb"
    for layer in layers:
        pyogrio.raw.write(
            path, np.array([SQUARE.wkb, SQUARE.wkb]), [np.array(["R1", "R2"], dtype=object)],
            ["BSM"], geometry_type="Polygon", crs="EPSG:4490", driver="OpenFileGDB", layer=layer,
            append=path.exists(), **options,
        )  # fmt: skip
    return path


def zipped(path: Path, target: Path, inside: str) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path.iterdir()):
            archive.write(file, f"{inside}{file.name}")
    return target


def test_a_folder(tmp_path: Path, read_rows: Any) -> None:
    source, rows = read_rows(make(tmp_path, "生态保护红线"))

    assert (source.format, source.layer, source.crs_text) == (
        "FileGDB",
        "生态保护红线",
        "EPSG:4490",
    )
    assert [row.values["BSM"] for row in rows] == ["R1", "R2"]
    assert all(shapely.equals_exact(row.geometry.normalize(),
                                    shapely.MultiPolygon([SQUARE]).normalize(), 1e-8)
               for row in rows)  # fmt: skip


@pytest.mark.parametrize("inside", ["规划.gdb/", "提交/规划.gdb/", ""])
def test_an_archive_that_holds_one(tmp_path: Path, read_rows: Any, inside: str) -> None:
    path = zipped(make(tmp_path, "redline"), tmp_path / "plan.zip", inside)

    source, rows = read_rows(path)

    assert (source.format, len(rows)) == ("FileGDB", 2)


def test_several_feature_classes_need_a_name(tmp_path: Path, read_rows: Any) -> None:
    path = make(tmp_path, "redline", "farmland")

    with pytest.raises(BadParameter) as caught:
        read_rows(path)
    assert caught.value.code == "several-layers"
    assert "farmland" in str(caught.value)
    assert read_rows(path, "farmland")[0].layer == "farmland"
    assert len(read_rows(zipped(path, tmp_path / "p.zip", "x.gdb/"), "redline")[1]) == 2


def test_aliases_count_where_no_field_has_the_name(
    tmp_path: Path, read_rows: Any, catalog: Catalog
) -> None:
    field = pa.field("F1", pa.string(), metadata={"GDAL:OGR:alternative_name": "HXBM"})
    table = pa.table(
        [pa.array(["R1"]), pa.array([SQUARE.wkb])],
        pa.schema([field, pa.field("geometry", pa.binary())]),
    )
    path = tmp_path / "aliased.gdb"
    pyogrio.write_arrow(
        table, path, driver="OpenFileGDB", layer="redline", geometry_name="geometry",
        geometry_type="MultiPolygon", crs="EPSG:4490",
    )  # fmt: skip

    source, _ = read_rows(path)

    assert source.alternative_names == {"F1": "HXBM"}
    layer = catalog.layer("ecological_redline")
    plan = plan_fields(source.fields, layer, None, source.alternative_names)
    assert [(field, attribute.name) for field, attribute in plan.pairs] == [
        ("F1", next(a.name for a in layer.attributes if "HXBM" in a.aliases))
    ]
    personal = plan_fields(("F1",), layer, None, {"F1": "LXDH"})
    assert personal.personal == ("F1",)


def test_a_link_in_the_folder_is_refused(tmp_path: Path, read_rows: Any) -> None:
    path = make(tmp_path, "redline")
    secret = tmp_path / "secret"
    secret.write_text("x")
    (path / "a00000099.gdbtable").symlink_to(secret)

    with pytest.raises(UnreadableFile) as caught:
        read_rows(path)
    assert caught.value.code == "hostile-archive"


@pytest.mark.parametrize("keep", [0, 40, 200])
def test_a_damaged_table_is_refused(tmp_path: Path, read_rows: Any, keep: int) -> None:
    path = make(tmp_path, "redline")
    table = max(path.glob("*.gdbtable"))
    table.write_bytes(table.read_bytes()[:keep])

    with pytest.raises(UnreadableFile):
        read_rows(path)
