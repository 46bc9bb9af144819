"""A draft made against an edition that is not in force any more is not published in silence."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shapely

from layers.catalog import Catalog
from layers.database import Connection
from layers.draft_edits import Editor, create_feature, draft_layer, open_plan_draft
from layers.edition_restore import restore
from layers.editions import contents_in_force, open_draft, publish, withdraw
from layers.errors import Conflict
from layers.import_report import ImportReport
from layers.plan_import import import_file
from layers.sandbox import Sandbox

PLAN, FARMLAND, REDLINE = "overall-plan", "permanent_basic_farmland", "ecological_redline"
REGION = (107.9, 17.6, 111.9, 20.7)
Run = Callable[..., ImportReport]


def day(year: int) -> datetime.date:
    return datetime.date(year, 1, 1)


def box(column: int) -> shapely.Geometry:
    return shapely.box(110 + column / 50, 19, 110 + column / 50 + 0.01, 19.01)


def file(folder: Path, ids: str, *, shapes: dict[str, shapely.Geometry] | None = None) -> Path:
    """A GeoJSON of boxes; each letter is an id with its own place."""
    features = [
        {
            "type": "Feature",
            "properties": {"BSM": one, "landuse_code": "0101"},
            "geometry": shapely.geometry.mapping((shapes or {}).get(one, box(ord(one) - 65))),
        }
        for one in ids
    ]
    path = folder / f"{ids}.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture
def run(connection: Connection, sandbox: Sandbox, catalog: Catalog) -> Run:
    def call(path: Path, year: int, layer_id: str = FARMLAND, **options: Any) -> ImportReport:
        return import_file(
            connection, sandbox, catalog, path, plan_id=PLAN, layer_id=layer_id,
            valid_from=day(year), region_bbox=REGION, **options,
        )  # fmt: skip

    return call


def ids(connection: Connection, year: int) -> str:
    """The features of the layer in force on a day."""
    content = contents_in_force(connection, [FARMLAND], day(year)).get(FARMLAND)
    if content is None:
        return "no data"
    found = connection.execute(
        "SELECT feature_id FROM reading.feature WHERE content_id = %s ORDER BY 1",
        (content.content_id,),
    ).fetchall()
    return "".join(name for (name,) in found)


def refused(connection: Connection, **options: Any) -> Conflict:
    with pytest.raises(Conflict) as caught:
        publish(connection, PLAN, **options)
    return caught.value


def begin(how: str, run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog,
          folder: Path, year: int = 2026) -> int:  # fmt: skip
    """A draft that adds a feature Z to what is in force, edited or imported."""
    if how == "changes":
        edition = run(file(folder, "Z"), year, changes_only=True).edition
        assert edition is not None
        return edition
    edition = open_plan_draft(
        connection, catalog, PLAN, region=REGION, valid_from=day(year), layer_ids=[FARMLAND]
    )
    if how == "edits":
        create_feature(
            connection, sandbox, catalog, draft_layer(connection, FARMLAND),
            {"landuse_code": "0101"}, box(25), Editor("ann"), feature_id="Z",
        )  # fmt: skip
        from layers.draft_checks import check_draft

        check_draft(connection, sandbox, catalog, edition)
    return edition


@pytest.mark.parametrize("how", ["opened", "edits", "changes"])
def test_rows_of_a_withdrawn_edition_do_not_come_back_in_silence(
    how: str, run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    run(file(tmp_path, "ABCDEFGH"), 2021)
    publish(connection, PLAN)
    run(file(tmp_path, "ABCDEFGHX"), 2024)
    wrong = publish(connection, PLAN)
    edition = begin(how, run, connection, sandbox, catalog, tmp_path)
    withdraw(connection, PLAN, wrong)
    error = refused(connection, accept_blocking="known")
    assert error.code == "basis-not-in-force"
    assert f"(edition {wrong}, withdrawn)" in str(error)
    assert "--accept-basis" in str(error)
    assert "已撤回" in error.text.zh
    assert ids(connection, 2026) == "ABCDEFGH"  # the old edition is in force as it was
    publish(connection, PLAN, accept_basis="X was right after all, letter 9")
    assert "X" in ids(connection, 2026)
    kept = connection.execute("SELECT metadata FROM library.edition WHERE id = %s", (edition,))
    assert kept.fetchone() == ({"accepted_basis": "X was right after all, letter 9"},)


@pytest.mark.parametrize("how", ["opened", "edits", "changes"])
def test_without_a_withdrawal_nothing_is_asked(
    how: str, run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    run(file(tmp_path, "ABCDEFGH"), 2021)
    publish(connection, PLAN)
    begin(how, run, connection, sandbox, catalog, tmp_path)
    publish(connection, PLAN)
    assert ids(connection, 2026) == "ABCDEFGH" + ("" if how == "opened" else "Z")


def test_the_only_edition_withdrawn_under_a_draft(
    run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    run(file(tmp_path, "ABCDEFGH"), 2021)
    first = publish(connection, PLAN)
    begin("changes", run, connection, sandbox, catalog, tmp_path)
    withdraw(connection, PLAN, first)
    assert refused(connection).code == "basis-not-in-force"
    assert ids(connection, 2026) == "no data"


def test_changes_on_changes_keep_what_the_first_stood_on(
    run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    run(file(tmp_path, "ABCDEFGH"), 2021)
    publish(connection, PLAN)
    run(file(tmp_path, "ABCDEFGHX"), 2024)
    wrong = publish(connection, PLAN)
    begin("changes", run, connection, sandbox, catalog, tmp_path)
    run(file(tmp_path, "Y"), 2026, changes_only=True)
    withdraw(connection, PLAN, wrong)
    assert refused(connection).code == "basis-not-in-force"


def test_a_whole_file_speaks_for_itself_once_it_is_compared(
    run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    """Against the withdrawn edition it looked whole; against what is in force again it shrank."""
    run(file(tmp_path, "ABCDEFGHIJKLMNO"), 2021)
    publish(connection, PLAN)
    run(file(tmp_path, "ABC"), 2024)
    wrong = publish(connection, PLAN, accept_blocking="a part, by mistake")
    assert run(file(tmp_path, "ABCD"), 2026).blocking == 0
    withdraw(connection, PLAN, wrong)
    assert refused(connection).code == "basis-not-in-force"
    again = run(file(tmp_path, "ABCD"), 2026)
    assert again.issue_counts["content-shrunk"] == 1
    assert refused(connection).code == "blocking-issues"


def test_a_draft_moved_to_another_day_is_compared_with_that_days_edition(
    run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    run(file(tmp_path, "ABC"), 2021)
    publish(connection, PLAN)
    run(file(tmp_path, "ABCDEFGHIJKLMNO"), 2024)
    publish(connection, PLAN)
    assert run(file(tmp_path, "ABCD"), 2022).blocking == 0  # back-dated: as large as then
    run(file(tmp_path, "AB"), 2026, REDLINE)  # moves the draft behind the large edition
    error = refused(connection)
    assert error.code == "basis-not-in-force"
    assert FARMLAND in str(error)
    open_draft(connection, PLAN, valid_from=day(2022))  # moved back: all is as it was looked at
    publish(connection, PLAN)
    assert [ids(connection, year) for year in (2021, 2022, 2024)] == [
        "ABC", "ABCD", "ABCDEFGHIJKLMNO",
    ]  # fmt: skip


def test_edits_of_one_day_do_not_replace_the_edition_of_another(
    run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    run(file(tmp_path, "ABCDEFGH"), 2021)
    publish(connection, PLAN)
    run(file(tmp_path, "ABCDEFGHX"), 2024)
    publish(connection, PLAN)
    begin("edits", run, connection, sandbox, catalog, tmp_path, 2022)
    run(file(tmp_path, "AB"), 2026, REDLINE)
    error = refused(connection)
    assert error.code == "basis-not-in-force"
    assert "not in force on that day" in str(error)
    assert ids(connection, 2026) == "ABCDEFGHX"


def test_a_draft_without_anything_in_force_then_and_something_now(
    run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    run(file(tmp_path, "ABCDEFGHIJ"), 2024)
    publish(connection, PLAN)
    # Nothing is in force in 2020: the file is held against the last edition there is.
    run(file(tmp_path, "ABCDEFGHI"), 2020)
    publish(connection, PLAN)
    assert [ids(connection, year) for year in (2020, 2024)] == ["ABCDEFGHI", "ABCDEFGHIJ"]


def test_a_restored_edition_needs_its_own_acceptance(
    run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    run(file(tmp_path, "ABCDEFGHIJ"), 2021)
    publish(connection, PLAN)
    run(file(tmp_path, "ABC"), 2022)  # shrank: blocking
    small = publish(connection, PLAN, accept_blocking="seven parcels were built on")
    run(file(tmp_path, "ABCDEFGHIJK"), 2024)
    publish(connection, PLAN)
    draft = restore(connection, PLAN, small, valid_from=day(2026))
    assert refused(connection).code == "blocking-issues"
    assert ids(connection, 2026) == "ABCDEFGHIJK"
    publish(connection, PLAN, accept_blocking="restored by decision 12")
    kept = connection.execute("SELECT metadata FROM library.edition WHERE id = %s", (draft,))
    assert kept.fetchone() == (
        {"restored_from": small, "accepted_blocking_issues": "restored by decision 12"},
    )
    assert ids(connection, 2026) == "ABC"


def test_the_same_file_again_says_the_same(
    run: Run, connection: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path
) -> None:
    run(file(tmp_path, "ABCDEFGHIJ"), 2021)
    publish(connection, PLAN)
    part = file(tmp_path, "ABC")
    first = run(part, 2024)
    second = run(part, 2024)
    third = run(part, 2024)
    assert first.issue_counts["content-shrunk"] == 1
    for again in (second, third):
        assert again.content == first.content  # nothing was stored anew
        assert dict(again.issue_counts) == dict(first.issue_counts)
        assert [i.to_json() for i in again.issues] == [i.to_json() for i in first.issues]
        assert again.blocking == first.blocking == 1
