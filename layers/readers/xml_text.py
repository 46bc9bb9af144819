"""XML of strangers: read as a stream, without DTD, entities, or anything fetched.

expat opens no other file and no connection by itself. A document type is refused before the
first element (entities are declared there: billion laughs, external ones), depth is bounded, and
Chinese encodings, which expat does not know, are turned into UTF-8 in a copy.
"""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError, iterparse
from xml.parsers import expat

from layers.errors import LimitExceeded, UnreadableFile
from layers.readers.source import Note, damaged
from layers.readers.transcoding import is_utf8, utf8_copy
from layers.text import Text

DEEPEST: Final = 64
_BLOCK_BYTES: Final = 1 << 20
_PROLOGUE_BYTES: Final = 1 << 20
_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]*?\?>")
_ENCODING: Final = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_CHINESE: Final = frozenset({"gbk", "gb2312", "gb18030", "cp936", "ms936", "x-gbk", "euc-cn"})
_UNICODE_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def prepare_xml(path: Path, job_dir: Path, format_name: str, notes: list[Note]) -> Path:
    """The file, or a copy in UTF-8; a document type is refused."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(_UNICODE_MARKS):
        path = _as_utf8(path, head, job_dir, format_name, notes)
    _refuse_document_type(path, format_name)
    return path


def _as_utf8(path: Path, head: bytes, job_dir: Path, format_name: str, notes: list[Note]) -> Path:
    stated = _ENCODING.search(head)
    name = stated[1].decode("ascii").lower() if stated else "utf-8"
    copy = job_dir / f"utf8{path.suffix}"
    if name in _CHINESE:
        return utf8_copy(path, copy, "gb18030", format_name, _DECLARATION)
    if name not in ("utf-8", "utf8") or is_utf8(path):
        return path
    notes.append(
        Note(
            "encoding-assumed",
            Text(
                zh="文件声明为 UTF-8 但不是，按 GB18030 读取。",
                en="The file says UTF-8 and is not; it was read as GB18030.",
            ),
        )
    )
    return utf8_copy(path, copy, "gb18030", format_name, _DECLARATION)


class _RootSeen(Exception):
    """The first element began: no document type can follow."""


def _refuse_document_type(path: Path, format_name: str) -> None:
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise UnreadableFile(
            f"The {format_name} declares a document type (DTD); such files are refused, for "
            "entities can hide other files in them. Remove the DOCTYPE.",
            f"{format_name} 含有文档类型声明（DTD），可借实体引用其他文件，已拒绝；"
            "请删除 DOCTYPE。",
            code="xml-dtd",
        )

    def root(*_: object) -> None:
        raise _RootSeen

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = root
    try:
        with path.open("rb") as file:
            for _ in range(_PROLOGUE_BYTES // 4096):
                parser.Parse(file.read(4096))
    except _RootSeen:
        return
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise damaged(format_name, "XML") from error
    raise damaged(format_name, "XML")


def elements(path: Path, format_name: str) -> Iterator[tuple[str, Element, list[Element]]]:
    """Events ``start`` and ``end`` with the element and its open ancestors, outermost first.

    The caller drops what it has taken (``forget``), so that memory does not grow.
    """
    open_elements: list[Element] = []
    try:
        for event, element in iterparse(path, events=("start", "end")):
            if event == "end":
                open_elements.pop()
            elif len(open_elements) >= DEEPEST:
                raise LimitExceeded(
                    f"The {format_name} is nested deeper than {DEEPEST} elements.",
                    f"{format_name} 的嵌套超过 {DEEPEST} 层。",
                    code="nested-too-deep",
                )
            yield event, element, open_elements
            if event == "start":
                open_elements.append(element)
    except (ParseError, UnicodeError, LookupError) as error:
        raise damaged(format_name, "XML") from error
    except ValueError as error:  # expat: a multi-byte encoding that it does not know
        raise damaged(format_name, "encoding") from error


def forget(element: Element, ancestors: list[Element]) -> None:
    """Drop an element that has been read, also from its parent."""
    element.clear()
    if ancestors:
        ancestors[-1].remove(element)


def local(element: Element) -> str:
    """The element's name without its namespace."""
    tag: object = element.tag
    return tag.rsplit("}", 1)[-1] if isinstance(tag, str) else ""


def child(element: Element, *names: str) -> Element | None:
    """The first child of one of these names."""
    return next((one for one in element if local(one) in names), None)


def text_of(element: Element | None) -> str:
    """The text in an element and its children, without outer blanks."""
    return "".join(element.itertext()).strip() if element is not None else ""


def attribute(element: Element, name: str) -> str | None:
    """An attribute by its local name, whatever its namespace."""
    return next((v for key, v in element.attrib.items() if key.rsplit("}", 1)[-1] == name), None)
