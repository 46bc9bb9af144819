"""Text of strangers that is not UTF-8: is it, and a copy that is."""

import codecs
import re
from pathlib import Path
from typing import Final

from layers.readers.source import damaged

_BLOCK_BYTES: Final = 1 << 20


def is_utf8(path: Path) -> bool:
    """Whether the whole file is UTF-8; read in blocks."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def utf8_copy(
    path: Path, copy: Path, encoding: str, format_name: str, head: re.Pattern[str] | None = None
) -> Path:
    """A copy in UTF-8; what ``head`` matches at its beginning (a declaration) is left out."""
    try:
        with (
            path.open("r", encoding=encoding, newline="") as file,
            copy.open("w", encoding="utf-8", newline="") as out,
        ):
            if head is not None:
                out.write(head.sub("", file.read(_BLOCK_BYTES), count=1).lstrip())
            while text := file.read(_BLOCK_BYTES):
                out.write(text)
    except UnicodeError as error:
        raise damaged(format_name, "encoding") from error
    return copy
