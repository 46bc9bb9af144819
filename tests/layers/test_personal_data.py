"""Personal data never reach the library: canaries in every form, sought in every table."""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from layers.catalog import Attribute, Catalog
from layers.database import Connection
from layers.editions import publish
from layers.errors import GisError
from layers.field_map import FieldMap, plan_fields
from layers.import_issues import IssueLog
from layers.personal_data import is_personal, is_personal_value, suspects, without_personal
from layers.plan_import import import_file
from layers.sandbox import Sandbox
from layers.source_rows import source_row
from layers.text import Text

REGION = (107.9, 17.6, 111.9, 20.7)
# The example of GB 11643-1999 and a number with the same birthday and another check digit.
IDENTITY, WRONG_CHECK = "11010519491231002X", "110105194912310021"
MOBILE = "13812345678"
PERSON = "张三丰canary"


@pytest.mark.parametrize(
    "text",
    [
        IDENTITY, IDENTITY.lower(), f"责任人{IDENTITY}。", "110105 19491231 002X",
        "110105-19491231-002x", MOBILE, f"电话：{MOBILE}", "+8613812345678", "8613812345678",
        "+86 138-1234-5678", "138 1234 5678", "１３８１２３４５６７８",
        "１１０１０５１９４９１２３１００２Ｘ",
    ],
)  # fmt: skip
def test_numbers_of_persons_in_any_writing(text: str) -> None:
    assert is_personal(text)
    found = suspects(pa.array([text, None, "x"]))
    assert found is not None
    assert found.to_pylist()[0]  # the coarse test over the column lets none of them through
    assert without_personal(text) == "***"


@pytest.mark.parametrize(
    "text",
    [
        WRONG_CHECK, "110105194913310027", "460105211000000123", "150-2021-0001", "23812345678",
        "138123456789", "A13812345678", "BH13812345678", "2024123110010", "110.12345678 19.1",
    ],
)  # fmt: skip
def test_codes_that_look_like_them(text: str) -> None:
    assert not is_personal(text)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (13812345678, True), (13812345678.0, True), (8613812345678, True),
        (110105194912310021, False),
        (11010519491231002 * 10 + 8, False), (1.1010519491231002e17, True), (110101.5, False),
        (["x", MOBILE], True), ({"a": IDENTITY}, True), (True, False), (None, False),
    ],
)  # fmt: skip
def test_numbers_lists_and_structures(value: Any, wanted: bool) -> None:
    assert is_personal_value(value) is wanted
    if wanted:
        found = suspects(pa.array([value]))
        assert found is not None
        assert found.to_pylist() == [True]


def test_an_identity_number_without_x_in_a_column_of_integers() -> None:
    number = next(n for n in range(110105194912310000, 110105194912319999) if is_personal(str(n)))
    assert is_personal_value(number)
    assert suspects(pa.array([number, 5])).to_pylist() == [True, False]  # type: ignore[union-attr]


def test_issues_mask_what_they_report() -> None:
    log = IssueLog()
    log.add("x", "advisory", Text(zh="甲", en="a"), value=["tel", MOBILE])
    log.add("x", "advisory", Text(zh="甲", en="a"), value="y" * 115 + IDENTITY)  # cut at 120
    log.add("x", "advisory", Text(zh="甲", en="a"), value="0301")
    assert [issue.value for issue in log.kept] == ["***", "***", "0301"]


def test_a_map_cannot_bring_a_personal_field_back(catalog: Catalog) -> None:
    layer = catalog.layer("permanent_basic_farmland")
    keeper = Attribute(
        name="keeper", type="string", title=Text(zh="户主", en="keeper"), aliases=("HZXM",),
        personal=True,
    )  # fmt: skip
    layer = layer.model_copy(update={"attributes": (*layer.attributes, keeper)})
    plan = plan_fields(["BSM", "hzxm"], layer, FieldMap(fields={"BSM": "farmland_id",
                                                                "hzxm": "name"}))  # fmt: skip
    assert plan.personal == ("hzxm",)
    assert [field for field, _ in plan.pairs] == ["BSM"]


def _texts(connection: Connection) -> Iterator[tuple[str, str]]:
    """Every row of every table and view of the library, as text."""
    tables = connection.execute(
        "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables"
        " WHERE table_schema IN ('library', 'layer_view', 'public')"
    ).fetchall()
    for (table,) in tables:
        for (row,) in connection.execute(f"SELECT t::text FROM {table} AS t").fetchall():  # noqa: S608
            yield table, row


CANARIES = (PERSON, IDENTITY, MOBILE, "1381234", "19491231", "0898canary")


def feature(number: int, **properties: Any) -> dict[str, Any]:
    west = 110 + number / 100
    # Off the grid of storage: the row as it came is kept beside the stored one.
    ring = [
        [west, 19.00000000049],
        [west + 0.005, 19],
        [west + 0.005, 19.005],
        [west, 19.00000000049],
    ]
    return {
        "type": "Feature", "properties": {"BSM": f"F{number}", "DLBM": "0101", **properties},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }  # fmt: skip


def test_no_table_holds_a_canary(
    connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    features = [
        # By the schema's names, the department's names and names the layer does not know.
        feature(1, CFZR=PERSON, ZRRZJHM=IDENTITY, LXDH="0898canary", JZDZ=PERSON, remark=PERSON),
        feature(2, village_responsible_person=PERSON, telephone="0898canary"),
        # By value, in fields that are kept.
        feature(3, MC=f"责任田 {IDENTITY}"),
        feature(4, MC=MOBILE),
        feature(5, MC="138-1234-5678"),
        feature(6, GDDB=MOBILE),  # a code list of integers: no such grade
        feature(7, DLBM=MOBILE),  # an unknown code
        feature(8, BSM=IDENTITY),  # the id itself
        feature(9, BSM=IDENTITY),  # and again: no issue may name it
    ]
    path = tmp_path / f"{MOBILE}.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")

    report = import_file(
        connection, sandbox, catalog, path, plan_id="overall-plan",
        layer_id="permanent_basic_farmland", valid_from=datetime.date(2026, 1, 1),
        region_bbox=REGION,
    )  # fmt: skip
    publish(connection, "overall-plan", accept_blocking="canaries")

    assert (report.accepted, report.refused) == (7, 2)  # without its id a parcel is refused
    counts = report.issue_counts
    assert counts["personal-field-dropped"] >= 5
    assert counts["personal-value-dropped"] == 7
    said = json.dumps(report.to_json(), ensure_ascii=False)
    for canary in CANARIES:
        assert canary not in said
        assert canary not in caplog.text
    seen = 0
    for table, row in _texts(connection):
        seen += 1
        for canary in CANARIES:
            assert canary not in row, (table, canary)
    assert seen > 50
    # The rows as they came stand in binary chunks: read back one by one.
    for fid in range(1, 8):
        kept = source_row(connection, report.content or 0, fid)
        assert kept is not None
        assert kept.attributes
        assert not any(canary in repr(kept.attributes) for canary in CANARIES)


def test_an_error_about_the_whole_file_names_no_value(
    connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    lonely = {
        "type": "FeatureCollection",
        "features": [{**feature(1), "properties": {"LXDH": MOBILE, "x": IDENTITY}}],
    }
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(lonely), "utf-8")
    with pytest.raises(GisError) as refused:
        import_file(
            connection, sandbox, catalog, path, plan_id="overall-plan",
            layer_id="planned_landuse", valid_from=datetime.date(2026, 1, 1), region_bbox=REGION,
        )  # fmt: skip
    assert not any(canary in refused.value.text.model_dump_json() for canary in CANARIES)
