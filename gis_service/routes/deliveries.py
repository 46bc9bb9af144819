"""What a sender brings over HTTP: a raw body with its media type, or a form with one file."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gis_service.routes.requests import body_of, calendar_day, parse_json, refuse_unknown
from gis_service.submissions.delivery import GEOJSON, Delivery
from layers.errors import BadInput, Place
from layers.text import Text

_FORM: Final = "multipart/form-data"
_FILE: Final = "file"
_BESIDE: Final = ("attributes", "source_crs", "layer", "as_of")
_LARGEST_FIELD: Final = 1 << 20
_PACKAGING_BYTES: Final = 1 << 16
"""Boundaries and headers of a form around the largest file."""


async def delivery_of(request: Request, largest_bytes: int) -> Delivery:
    """The delivery of a request; ``BadInput`` names the part that is wrong.

    A form has one part ``file`` and, beside it, ``attributes`` (a JSON object), ``source_crs``,
    ``layer`` and ``as_of``; for a raw body all but the attributes are parameters of the address.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != _FORM:
        refuse_unknown(request, (*_BESIDE[1:], "file_name"))
        content = await body_of(request, largest_bytes)
        query = request.query_params
        return _delivery(content, media_type or GEOJSON, query.get("file_name"), query)
    refuse_unknown(request, ())
    body = await body_of(request, largest_bytes + len(_BESIDE) * _LARGEST_FIELD + _PACKAGING_BYTES)
    form = await _parsed(request.headers, body)
    try:
        file, fields = _parts(form)
        content = await file.read()
    finally:
        await form.close()
    return _delivery(
        content, file.content_type or "application/octet-stream", file.filename, fields
    )


def _delivery(
    content: bytes, media_type: str, file_name: str | None, beside: Mapping[str, str]
) -> Delivery:
    as_of = beside.get("as_of")
    return Delivery(
        content=content,
        media_type=media_type[:100],
        file_name=_base_name(file_name),
        attributes=_attributes(beside.get("attributes")),
        source_crs=beside.get("source_crs") or None,
        layer=beside.get("layer") or None,
        as_of=calendar_day(as_of, "as_of") if as_of else None,
    )


def _base_name(name: str | None) -> str | None:
    """The last step of a path, for people to recognise their file by; never used as a path."""
    if not name:
        return None
    kept = "".join(c for c in name.replace("\\", "/").split("/")[-1] if c.isprintable())
    return kept[-200:] or None


def _attributes(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    found = parse_json(text.encode())
    if not isinstance(found, dict):
        raise _wrong("attributes", "应为 JSON 对象", "a JSON object is expected")
    return found


async def _parsed(headers: Headers, body: bytes) -> FormData:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    parser = MultiPartParser(
        headers, stream(),
        max_files=1, max_fields=len(_BESIDE), max_part_size=_LARGEST_FIELD,
    )  # fmt: skip
    try:
        return await parser.parse()
    except (MultiPartException, KeyError) as error:
        reason = str(getattr(error, "message", "no boundary"))[:200]
        raise BadInput(
            f"The form cannot be read: {reason}",
            f"表单无法读取：{reason}",
            code="bad-form",
        ) from error


def _parts(form: FormData) -> tuple[UploadFile, dict[str, str]]:
    """The one file and the fields of a form; nothing twice, nothing unknown."""
    file: UploadFile | None = None
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and name == _FILE:
            file = value
        elif name not in _BESIDE or isinstance(value, UploadFile):
            raise _wrong(name, "未知的部分", f"known parts: {_FILE}, {', '.join(_BESIDE)}")
        elif name in fields:
            raise _wrong(name, "重复", "stands twice")
        else:
            fields[name] = value
    if file is None:
        raise _wrong(_FILE, "缺少文件", "the file is missing")
    return file, fields


def _wrong(name: str, zh: str, en: str) -> BadInput:
    shown = name[:40]
    return BadInput(
        f"Part '{shown}' of the form: {en}.",
        f"表单部分“{shown}”：{zh}。",
        code="bad-form",
        places=(Place(f"/{shown}", Text(zh=zh, en=en)),),
    )
