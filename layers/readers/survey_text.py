"""Text files of survey programs: their encoding, their line ends, their full-width punctuation.

The order of evidence for the encoding: a byte order mark, zero bytes where UTF-16 has them, a
strict UTF-8 test, GB18030 (which holds GBK and GB2312). Nothing is replaced: bytes that are of
none of them are an error that names the line.
"""

import codecs
from pathlib import Path
from typing import Final

from layers.errors import LimitExceeded, Place, UnreadableFile
from layers.text import Text

_MOST_BYTES: Final = 512 << 20
"""A million boundary points take 40 MB; the text is held in memory while it is read."""
_SHOWN_PLACES: Final = 20

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NAMES: Final = {
    "utf-8": "UTF-8", "utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE", "gb18030": "GB18030",
}  # fmt: skip

FULL_WIDTH: Final = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    0x3000: 0x20, 0x3010: 0x5B, 0x3011: 0x5D, 0xFF3B: 0x5B, 0xFF3D: 0x5D,
    0x3002: 0x2E, 0xFEFF: None, 0x00A0: 0x20, 0x2212: 0x2D,
}  # fmt: skip
"""Full-width forms (，．＝［ and the digits), 【】, 。, ideographic and hard blanks to ASCII."""


def read_text(path: Path, what: str) -> tuple[str, str]:
    """The whole text of a file and the name of its encoding; ``UnreadableFile`` names the line."""
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise LimitExceeded(
            f"The {what} has {size >> 20} MB; at most {_MOST_BYTES >> 20} MB are read. Split it.",
            f"{what} 大小为 {size >> 20} MB，上限 {_MOST_BYTES >> 20} MB；请拆分后提交。",
        )
    return decode_text(path.read_bytes(), what)


def decode_text(raw: bytes, what: str) -> tuple[str, str]:
    """The text of some bytes and the name of its encoding."""
    body, encoding = _encoding_of(raw)
    if encoding is None:
        try:
            return body.decode("utf-8"), _NAMES["utf-8"]
        except UnicodeDecodeError:
            encoding = "gb18030"
    try:
        return body.decode(encoding), _NAMES[encoding]
    except UnicodeDecodeError as error:
        before = body[: error.start].decode(encoding, "replace")
        line = len(lines_of(before))
        raise UnreadableFile(
            f"Line {line} of the {what} holds bytes that are no text in {_NAMES[encoding]}; the "
            "file is damaged or cut short. Send it again.",
            f"{what} 第{line}行含有无法按 {_NAMES[encoding]} 解码的字节，文件损坏或不完整；"
            "请重新提供。",
            code="damaged-file",
            places=(line_place(line, Text(zh="无法解码的字节", en="bytes that are no text")),),
        ) from error


def _encoding_of(raw: bytes) -> tuple[bytes, str | None]:
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :], encoding
    head = raw[:64]
    if head[1:2] == b"\x00" or (head[:1] != b"\x00" and head.count(0) > len(head) // 4):
        return raw, "utf-16-le"
    if head[:1] == b"\x00":
        return raw, "utf-16-be"
    return raw, None


def lines_of(text: str) -> list[str]:
    """Lines ended by CR LF, LF or a bare CR, mixed as they come; nothing else ends a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def half_width(text: str) -> str:
    """The text with ASCII punctuation and digits in place of full-width ones, without BOMs."""
    return text.translate(FULL_WIDTH)


def line_place(line: int, reason: Text) -> Place:
    """The place of a fault in a text or table; lines and rows count from 1."""
    return Place(f"line {line}", Text(zh=f"第{line}行：{reason.zh}", en=reason.en))


class LineFaults:
    """Malformed lines of one file: all are counted, the first twenty are told."""

    def __init__(self, what: str) -> None:
        """Start without any."""
        self.what, self.count = what, 0
        self.places: list[Place] = []

    def add(self, line: int, zh: str, en: str) -> None:
        """Note one fault."""
        self.count += 1
        if len(self.places) < _SHOWN_PLACES:
            self.places.append(line_place(line, Text(zh=zh, en=en)))

    def refuse(self) -> None:
        """Raise ``UnreadableFile`` if there was any; the text tells the first."""
        if not self.count:
            return
        first = self.places[0]
        more_en = f" ({self.count} such lines)" if self.count > 1 else ""
        more_zh = f"（共 {self.count} 处）" if self.count > 1 else ""
        raise UnreadableFile(
            f"The {self.what} is malformed at {first.at}: {first.reason.en}{more_en}. "
            "Nothing was imported.",
            f"{self.what} 格式有误，{first.reason.zh}{more_zh}。未导入任何内容。",
            code="malformed-line",
            places=tuple(self.places),
        )
