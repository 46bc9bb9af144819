"""What a sender brings: GeoJSON or a file of any admitted format, and what stands beside it.

What begins like a JSON object is read as GeoJSON, so that faults are named by their JSON pointers;
everything else is a file, recognised by its content in the child process.
"""

import datetime
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gis_service.checking import CheckRequest, SubmissionFile
from gis_service.library import Library
from gis_service.routes.requests import parse_json
from layers.errors import BadInput, LimitExceeded, Unavailable
from layers.readers.recognise import SUFFIXES
from planning_rules.canonical_json import canonical
from planning_rules.geojson import json_fault

GEOJSON: Final = "application/geo+json"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The bytes as they came, what they are said to be, and what was asked with them."""

    content: bytes
    media_type: str = "application/octet-stream"
    file_name: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    source_crs: str | None = None
    layer: str | None = None
    as_of: datetime.date | None = None

    @property
    def sha256(self) -> str:
        """Of the bytes."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def is_json(self) -> bool:
        """Whether it begins like a JSON object, whatever it is called."""
        return self.content.removeprefix(_BYTE_ORDER_MARK).lstrip()[:1] == b"{"

    def asked(self) -> dict[str, Any]:
        """What was asked beside the bytes, without what was left open."""
        given = {
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "source_crs": self.source_crs,
            "layer": self.layer,
            "attributes": dict(self.attributes) or None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def fingerprint(self) -> str:
        """Digest of all that decides the answer; how the parts were packed is not in it."""
        if fault := json_fault(dict(self.attributes), "/attributes"):
            raise fault
        said = {**self.asked(), "content": self.sha256, "name": self.file_name}
        return hashlib.sha256(canonical(said)).hexdigest()


@contextmanager
def check_request(
    library: Library, delivery: Delivery, *, trusted: bool = False
) -> Iterator[CheckRequest]:
    """The request of a check for the length of the block; a file lies in a folder of its own.

    Files of strangers are read only where the child process has no network (``trusted`` is for
    the files of who runs the command himself).
    """
    most = library.config.limits.submission_bytes
    if len(delivery.content) > most:
        raise LimitExceeded(
            f"The submission is larger than {most:,} bytes.", f"提交内容超过 {most:,} 字节。"
        )
    if not delivery.content.strip():
        raise BadInput("Nothing was sent.", "没有收到任何内容。", code="empty")
    if delivery.is_json:
        given = parse_json(delivery.content.removeprefix(_BYTE_ORDER_MARK))
        value = with_attributes(given, delivery.attributes)
        yield CheckRequest(value, delivery.source_crs, delivery.as_of)
        return
    if not (trusted or library.sandbox.network_isolated):
        raise Unavailable(
            "Files cannot be read here: the child process that reads them is not cut off from the "
            "network. Send GeoJSON, or tell the administrator.",
            "此处无法读取文件：读取文件的子进程未与网络隔离。请提交 GeoJSON 或联系管理员。",
            code="no-isolation",
        )
    with tempfile.TemporaryDirectory(prefix="gis-delivery-") as folder:
        path = Path(folder) / f"upload{_suffix(delivery.file_name)}"
        path.write_bytes(delivery.content)
        name = PurePosixPath(delivery.file_name).stem if delivery.file_name else None
        file = SubmissionFile(path, delivery.attributes, delivery.layer, name)
        yield CheckRequest(file, delivery.source_crs, delivery.as_of)


def _suffix(file_name: str | None) -> str:
    """The suffix where it is an admitted one; no other part of a sender's name becomes a path."""
    suffix = PurePosixPath(file_name or "").suffix.lower()
    return suffix if suffix in SUFFIXES or suffix == ".txt" else ""


def with_attributes(value: Any, beside: Mapping[str, Any]) -> Any:
    """GeoJSON with attributes that stood beside it; they go before those of the features."""
    if not beside or not isinstance(value, dict):
        return value
    if value.get("type") == "FeatureCollection":
        features = value.get("features")
        if not isinstance(features, list):
            return value
        return {**value, "features": [with_attributes(one, beside) for one in features]}
    if value.get("type") != "Feature":
        return {"type": "Feature", "geometry": value, "properties": dict(beside)}
    properties = value.get("properties") or {}
    if not isinstance(properties, dict):
        return value
    return {**value, "properties": {**properties, **beside}}
