"""One file imported by two processes at once, and two publishers of one draft."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layers.contents import sweep_dead_contents
from layers.database import connect
from layers.editions import list_editions

PLAN = "overall-plan"


@pytest.mark.parametrize("based", [False, True], ids=["first import", "changes of an edition"])
def test_the_same_file_by_two_processes_is_there_once(
    database: str, steps: Any, write: Callable[..., Path], seen: Any, tmp_path: Path, based: bool
) -> None:
    if based:
        assert steps.run(database, "import", write(tmp_path / "a.gpkg", 300))[0] == 0
        assert steps.run(database, "publish")[0] == 0
    file = write(tmp_path / "b.gpkg", 300, 3)
    both = [steps.start(database, "import", file) for _ in range(2)]
    ends = [(*process.communicate(timeout=180), process.returncode) for process in both]
    assert [code for _, _, code in ends] == [0, 0], ends
    digests = {out.split()[-1] for out, _, _ in ends}
    assert len(digests) == 1
    with connect(database) as connection:
        draft, *published = list_editions(connection, PLAN)
        assert draft["state"] == "draft"
        (layer,) = draft["layers"]
        assert layer["features"] == 300
        sweep_dead_contents(connection)
        found = connection.execute("SELECT count(*) FROM library.layer_content").fetchone()
        assert found == (1 + len(published),)
        issues = connection.execute(
            "SELECT count(*), count(DISTINCT (content_id, source_row, code, field))"
            " FROM library.import_issue"
        ).fetchone()
        assert issues is not None
        assert issues[0] == issues[1]  # no issue twice
    publishers = [steps.start(database, "publish") for _ in range(2)]
    ends = [(*process.communicate(timeout=180), process.returncode) for process in publishers]
    assert sorted(code for _, _, code in ends) == [0, 1], ends
    (refused,) = [err for _, err, code in ends if code]
    assert "Conflict" in refused
    now = seen(database)
    assert now.states[-1] == "published"
    assert len(now.features) == 300
