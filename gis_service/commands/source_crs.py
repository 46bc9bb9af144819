"""``--source-crs``: a code, a definition, or a file that holds one.

Only the command line looks for files: what comes over HTTP or out of an uploaded file is never
taken for a path.
"""

from pathlib import Path
from typing import Final

from layers.errors import BadParameter

_SUFFIXES: Final = (".wkt", ".prj", ".txt")
_LARGEST_BYTES: Final = 64_000


def crs_text(stated: str | None) -> str | None:
    """The definition that was stated, read from its file if it names one."""
    if stated is None or not stated.lower().endswith(_SUFFIXES):
        return stated
    path = Path(stated)
    if not path.is_file():
        raise BadParameter(f"There is no file {stated}.", f"没有文件 {stated}。", code="no-file")
    content = path.read_bytes()
    if len(content) > _LARGEST_BYTES:
        raise BadParameter(
            f"{path.name} is too large for a CRS definition.", f"{path.name} 过大，不是坐标系定义。"
        )
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return content.decode("gb18030", "replace").strip()
