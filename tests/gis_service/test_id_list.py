"""The CSV of ids to delete: what stands in it, and what is refused."""

from pathlib import Path

import pytest

from gis_service.commands.id_list import read_ids
from layers.catalog import Plan, load_catalog
from layers.errors import BadParameter, UnreadableFile

CONFIG = Path(__file__).parents[2] / "config"
LAYER = "permanent_basic_farmland"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_catalog(CONFIG).plan("overall-plan")


def test_ids_come_in_order_each_once(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_bytes("\ufeffP2,水田\r\n\r\n P1 ,旱地\r\nP2,again\r\n001,\r\n".encode())
    assert read_ids(file, True, plan, LAYER) == ("P2", "P1", "001")


@pytest.mark.parametrize("head", ["feature_id", "BSM", "bsm", "ID"])
def test_a_head_is_no_id(plan: Plan, tmp_path: Path, head: str) -> None:
    file = tmp_path / "ids.csv"
    file.write_text(f"{head}\nP1\n", "utf-8")
    assert read_ids(file, True, plan, LAYER) == ("P1",)


def test_the_name_of_a_head_further_down_is_an_id(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("P1\nBSM\n", "utf-8")
    assert read_ids(file, True, plan, LAYER) == ("P1", "BSM")


def test_ids_beside_a_whole_file_are_refused(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("P1\n", "utf-8")
    with pytest.raises(BadParameter) as refused:
        read_ids(file, False, plan, LAYER)
    assert refused.value.code == "delete-ids-alone"


@pytest.mark.parametrize("content", [None, "编号".encode("gb18030"), b'P1\n"' + b"x" * 200_000])
def test_a_list_that_is_no_utf8_csv_is_refused(
    plan: Plan, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "ids.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnreadableFile) as refused:
        read_ids(file, True, plan, LAYER)
    assert refused.value.code == "unreadable-ids"
