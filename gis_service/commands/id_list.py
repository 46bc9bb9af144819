"""A list of feature ids in a CSV: the first column, with or without a head."""

import csv
from pathlib import Path
from typing import Final

from layers.catalog import Plan
from layers.errors import BadParameter, UnreadableFile

_MOST_BYTES: Final = 200_000_000


def read_ids(file: Path | None, changes: bool, plan: Plan, layer_id: str | None) -> tuple[str, ...]:
    """The ids in order, each once; a head is the name of the layer's id field or an alias of it."""
    if file is None:
        return ()
    if not changes:
        raise BadParameter(
            "--delete-ids goes with --changes: a whole file leaves out what is deleted.",
            "--delete-ids 须与 --changes 同用：完整文件中不含已删除的要素。",
            code="delete-ids-alone",
        )
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise OSError("too large")
        with file.open(encoding="utf-8-sig", newline="") as opened:
            ids = [line[0].strip() for line in csv.reader(opened) if line and line[0].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(
            f"The list of ids {file.name} cannot be read: UTF-8 text, one id a line.",
            f"无法读取编号清单 {file.name}：应为 UTF-8 文本，每行一个编号。",
            code="unreadable-ids",
        ) from error
    if ids and ids[0].lower() in _heads(plan, layer_id):
        ids = ids[1:]
    return tuple(dict.fromkeys(ids))


def _heads(plan: Plan, layer_id: str | None) -> set[str]:
    heads = {"id", "feature_id"}
    for layer in plan.layers:
        attribute = layer.attribute(layer.id_attribute or "")
        if attribute is not None and layer_id in (None, layer.id):
            heads |= {name.lower() for name in (attribute.name, *attribute.aliases)}
    return heads
