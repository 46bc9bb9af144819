"""Metadata of editions and the records made from them: what is said, what stays hidden."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shapely
from psycopg import errors as pg
from psycopg.types.json import Jsonb

from layers.catalog import Catalog
from layers.catalogue_records import Record, catalogue_records
from layers.database import Connection
from layers.editions import publish
from layers.errors import BadInput, Conflict, NotFound
from layers.metadata import Approval, EditionMetadata, describe_draft, read_metadata
from layers.text import Text

DAY = datetime.date(2026, 1, 1)
LATER = datetime.date(2026, 6, 1)
BOX = shapely.box(110.0, 19.0, 110.5, 19.5)
OPEN = {"ecological_redline", "permanent_basic_farmland", "urban_development_boundary",
        "planned_landuse"}  # fmt: skip
Look = Callable[..., dict[str, Record]]


@pytest.fixture
def look(connection: Connection, catalog: Catalog) -> Look:
    def call(visible: set[str] = OPEN, today: datetime.date = DAY) -> dict[str, Record]:
        found = catalogue_records(connection, catalog, visible, today)
        return {record.id: record for record in found}

    return call


def said(**changes: Any) -> EditionMetadata:
    return EditionMetadata(
        title=Text(zh="2021—2035年", en="2021-2035"),
        approval=Approval(
            authority=Text(zh="国务院", en="State Council"), document="国函〔2023〕1号",
            date=datetime.date(2025, 12, 1),
        ),
        **changes,
    )  # fmt: skip


def test_a_draft_is_described_and_then_it_stands(
    connection: Connection, publish_layer: Any, look: Look
) -> None:
    edition = publish_layer("ecological_redline", [BOX], valid_from=DAY, publish=False)

    assert describe_draft(connection, "overall-plan", None, said()) == edition
    # Part by part: a later word on the date leaves the document as it was.
    later = EditionMetadata(approval=Approval(date=datetime.date(2025, 12, 2)))
    describe_draft(connection, "overall-plan", edition, later)
    publish(connection, "overall-plan", edition)

    one = look()[f"edition.{edition}"]
    assert one.title.zh == "国土空间总体规划（2021—2035年）"
    assert one.approval == Approval(
        authority=Text(zh="国务院", en="State Council"), document="国函〔2023〕1号",
        date=datetime.date(2025, 12, 2),
    )  # fmt: skip
    with pytest.raises(Conflict) as refused:
        describe_draft(connection, "overall-plan", edition, said())
    assert refused.value.code == "edition-published"
    # Whoever writes: the database refuses too.
    with pytest.raises(pg.RestrictViolation), connection.transaction():
        connection.execute(
            "UPDATE library.edition SET metadata = %s WHERE id = %s", (Jsonb({"a": 1}), edition)
        )


def test_only_editions_of_the_plan_can_be_described(
    connection: Connection, publish_layer: Any
) -> None:
    with pytest.raises(Conflict):
        describe_draft(connection, "overall-plan", None, said())
    edition = publish_layer("ecological_redline", [BOX], publish=False)
    with pytest.raises(NotFound):
        describe_draft(connection, "marine-plan", edition, said())


def test_a_file_of_metadata(tmp_path: Path) -> None:
    path = tmp_path / "meta.yml"
    path.write_text(
        "title: {zh: 甲, en: A}\napproval: {document: 琼府函1号, date: 2025-12-01}\n"
        "lineage: {zh: 由各市县汇交, en: Delivered by the counties}\n", "utf-8",
    )  # fmt: skip
    assert read_metadata(path).approval.document == "琼府函1号"
    for text, word in (
        ("aproval: {}", "aproval"), ("approval: {date: 2025-13-01}", "month"), ("{", "yml"),
    ):  # fmt: skip
        path.write_text(text, "utf-8")
        with pytest.raises(BadInput, match=word):
            read_metadata(path)


def test_records_of_plan_layer_and_edition(publish_layer: Any, look: Look) -> None:
    edition = publish_layer("ecological_redline", [BOX], valid_from=DAY)

    records = look()

    plan, layer, own = (
        records["plan.overall-plan"], records["layer.ecological_redline"],
        records[f"edition.{edition}"],
    )  # fmt: skip
    for one in (plan, layer, own):
        assert one.begins == DAY
        assert one.extent == pytest.approx((110.0, 19.0, 110.5, 19.5))
        assert one.contact.organisation.en
    assert (plan.parent, layer.parent, own.parent) == (None, "plan.overall-plan", plan.id)
    assert own.layer_ids == ("ecological_redline",)
    assert layer.edition_id == edition
    # A layer without data in force has a record that says nothing of places and days.
    empty = records["layer.planned_landuse"]
    assert (empty.extent, empty.begins, empty.steps) == (None, None, ())


def test_an_edition_that_was_replaced_ends_where_the_next_begins(
    publish_layer: Any, look: Look
) -> None:
    first = publish_layer("ecological_redline", [BOX], valid_from=DAY)
    second = publish_layer("ecological_redline", [shapely.box(110, 19, 110.2, 19.2)],
                           valid_from=LATER)  # fmt: skip
    records = look(today=LATER)
    assert (records[f"edition.{first}"].ends, records[f"edition.{second}"].ends) == (LATER, None)
    assert records["layer.ecological_redline"].edition_id == second
    assert look(today=DAY)["layer.ecological_redline"].edition_id == first


def test_drafts_and_withdrawn_editions_have_no_record(
    connection: Connection, publish_layer: Any, look: Look
) -> None:
    from layers.editions import withdraw

    edition = publish_layer("ecological_redline", [BOX], valid_from=DAY)
    draft = publish_layer("planned_landuse", [BOX], {"landuse_code": ["0101"]}, publish=False)
    assert f"edition.{edition}" in look()
    assert f"edition.{draft}" not in look()
    withdraw(connection, "overall-plan", edition)
    assert f"edition.{edition}" not in look()


def test_layers_that_are_not_visible_are_not_spoken_of(
    connection: Connection, catalog: Catalog, publish_layer: Any, look: Look
) -> None:
    publish_layer("ecological_redline", [BOX], valid_from=DAY, publish=False)
    edition = publish_layer(
        "planned_landuse", [shapely.box(109, 18, 109.1, 18.1)], {"landuse_code": ["0101"]},
        valid_from=DAY, publish=False,
    )  # fmt: skip
    publish(connection, "overall-plan", edition, accept_blocking="planned_landuse lacks Sansha")

    records = look({"ecological_redline"})

    assert set(records) == {"plan.overall-plan", "layer.ecological_redline", f"edition.{edition}"}
    text = repr(records)
    assert "landuse" not in text
    assert "Planned land use" not in text
    assert "Sansha" not in text  # the reason may speak of what is hidden
    assert records[f"edition.{edition}"].extent == pytest.approx((110.0, 19.0, 110.5, 19.5))
    assert "Sansha" in repr(look())
    assert "Sansha" not in repr(
        catalogue_records(connection, catalog, OPEN, DAY, tell_reasons=False)
    )
    assert look(set()) == {}


def test_the_lineage_tells_the_file_and_the_transformation_without_its_parameters(
    connection: Connection, catalog: Catalog, look: Look
) -> None:
    from layers.contents import create_content, finish_content, load_arrays
    from layers.editions import open_draft, put_layer

    source = {
        "file": "红线.gpkg", "sha256": "ab" * 32, "format": "GPKG", "crs": "EPSG:4610",
        "datum": "xian80", "conversion": "stated-transformation", "accuracy_m": 12.0,
        "transformation": {
            "id": "hn-xian80", "title": {"zh": "参数", "en": "parameters"}, "dx_m": 98.7654,
            "provenance": {"zh": "省测绘局", "en": "surveying office"}, "accuracy_m": 12.0,
        },
    }  # fmt: skip
    content = create_content(connection, "ecological_redline", source=source)
    load_arrays(connection, content, [BOX], {}, 1)
    finish_content(connection, content, coverage=BOX)
    with connection.transaction():
        edition = open_draft(connection, "overall-plan", valid_from=DAY)
        put_layer(connection, edition, "ecological_redline", content)
    publish(connection, "overall-plan", edition)

    one = look()[f"edition.{edition}"]

    (step,) = one.steps
    for word in ("红线.gpkg", "ab" * 32, "hn-xian80", "省测绘局"):
        assert word in step.text.zh
    assert "12.0 m" in step.text.en
    assert "98.7654" not in json.dumps(repr(one))


def test_an_open_layer_cannot_be_secret(catalog: Catalog) -> None:
    plan = catalog.plan("overall-plan")
    secret = plan.layers[0].model_copy(update={"secrecy": "secret"})
    changed = plan.model_copy(update={"layers": (secret,)})
    with pytest.raises(ValueError, match="cannot be open"):
        Catalog(plans=(changed,), code_lists=catalog.code_lists)
