"""kill -9 of an import or a publish at each step: the old edition or the new, never half."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layers.contents import sweep_dead_contents
from layers.database import connect

IMPORT_STEPS = (
    "layers.contents:create_delta:after",
    "layers.contents:load_stream:after",
    "layers.plan_import:apply:after",
    "layers.contents:finish_content:after",
    "layers.editions:put_layer:after",
    "layers.contents:release_content:before",
)
PUBLISH_STEPS = (
    "layers.pieces:_build_overlay_pieces:after",
    "layers.pieces:draw_content:after",
    "layers.pieces:_build_tile_pieces:after",
    "layers.editions:build_pieces:after",
    "layers.editions:_close:after",
    "layers.editions:_record:after",
    "layers.editions:_put_in_force:after",
)


@pytest.fixture
def prepared(
    database: str, steps: Any, write: Callable[..., Path], tmp_path: Path
) -> tuple[str, Path]:
    """A database with an edition in force, and a file that changes a hundredth of its rows."""
    first = write(tmp_path / "a.gpkg", 300)
    assert steps.run(database, "import", first)[0] == 0
    assert steps.run(database, "publish")[0] == 0
    return database, write(tmp_path / "b.gpkg", 300, 3)


def killed(steps: Any, *arguments: Any) -> None:
    code, _, err = steps.run(*arguments)
    assert code == -signal.SIGKILL, f"the step was never reached: {arguments[-1]} {err}"


def test_a_publish_of_a_delta_killed_at_each_step(
    prepared: tuple[str, Path], steps: Any, new_database: Callable[..., str], seen: Any
) -> None:
    name, changes = prepared
    ready = new_database(name)
    assert steps.run(ready, "import", changes)[0] == 0
    with connect(ready) as connection:
        found = connection.execute("SELECT count(base_id) FROM library.layer_content").fetchone()
        assert found == (1,)  # it is a delta
    before = seen(ready)
    whole = new_database(ready)
    assert steps.run(whole, "publish")[0] == 0
    after = seen(whole)
    assert before.states == ("published", "draft")
    assert after.states == ("superseded", "published")
    assert len(before.features - after.features) == 3
    for step in PUBLISH_STEPS:
        dsn = new_database(ready)
        killed(steps, dsn, "publish", "", step)
        if step == PUBLISH_STEPS[-1]:  # committed before the kill
            assert seen(dsn) == after, step
            continue
        assert seen(dsn) == before, step
        assert steps.run(dsn, "publish")[0] == 0, step
        assert seen(dsn) == after, step


def test_an_import_of_changes_killed_at_each_step(
    prepared: tuple[str, Path], steps: Any, new_database: Callable[..., str], seen: Any
) -> None:
    name, changes = prepared
    whole = new_database(name)
    assert steps.run(whole, "import", changes)[0] == 0
    before = seen(whole)
    assert steps.run(whole, "publish")[0] == 0
    after = seen(whole)
    for step in IMPORT_STEPS:
        dsn = new_database(name)
        killed(steps, dsn, "import", changes, step)
        left = seen(dsn)
        assert left.states in (("published",), ("published", "draft")), step
        assert (left.features, left.overlay, left.tiles) == (
            before.features, before.overlay, before.tiles,
        ), step  # fmt: skip
        assert (left.states == before.states) == (step == IMPORT_STEPS[-1]), step
        code, _, err = steps.run(dsn, "import", changes)
        assert code == 0, (step, err)
        with connect(dsn) as connection:
            sweep_dead_contents(connection)
            count = connection.execute("SELECT count(*) FROM library.layer_content").fetchone()
            assert count == (2,), step
            tables = connection.execute(
                "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'feature_c%'"
            ).fetchone()
            assert tables == (2,), step
        assert steps.run(dsn, "publish")[0] == 0, step
        now = seen(dsn)
        assert {row[:3] for row in now.features} == {row[:3] for row in after.features}, step
    assert not list(steps.folder.glob("gis-import-*"))
