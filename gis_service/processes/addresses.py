"""``config/addresses.yml``: other machines that callers may name; ``harvesting`` opens them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from layers.errors import BadConfiguration, BadInput, BadParameter, GisError

FILE: Final = "addresses.yml"
_CALLBACK_S: Final = 20.0
_ANSWER_BYTES: Final = 1 << 20


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Registered(_Model):
    """Everything below an address; ``networks`` as in ``config/sources.yml``."""

    location: str = Field(pattern=r"^https?://[^\s]+$", max_length=500)
    networks: tuple[str, ...] = ()


class Addresses(_Model):
    """Where inputs come from and news of jobs go to."""

    inputs: tuple[Registered, ...] = ()
    callbacks: tuple[Registered, ...] = ()


def load_addresses(config_dir: Path) -> Addresses:
    """Read the file; none is as good as an empty one."""
    path = config_dir / FILE
    if not path.is_file():
        return Addresses()
    try:
        return Addresses.model_validate(yaml.safe_load(path.read_text("utf-8")) or {})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise BadConfiguration(f"{FILE}: {first}", f"配置文件 {FILE} 有误：{first}") from error


def registered(url: str, among: Sequence[Registered]) -> Registered | None:
    """The entry that an address lies under; compared part by part, never as a bare prefix."""
    parts = urlsplit(url)
    for one in among:
        own = urlsplit(one.location)
        inside = parts.path == own.path or parts.path.startswith(own.path.rstrip("/") + "/")
        same = (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
        if same and inside and ".." not in parts.path and "%" not in parts.path:
            return one
    return None


def fetch_json(url: str, among: Sequence[Registered], most_bytes: int) -> Any:
    """A JSON document from a registered address; ``BadParameter`` for any other."""
    from gis_service.harvesting.egress import WebSource

    one = registered(url, among)
    if one is None:
        raise not_registered(url, "inputs")
    try:
        with WebSource(one.location, networks=one.networks, body_bytes=most_bytes,
                       deadline_s=_CALLBACK_S) as source:  # fmt: skip
            answer = source.get(url, accept="application/geo+json, application/json")
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            f"{urlsplit(url).hostname} answers no JSON.",
            f"{urlsplit(url).hostname} 返回的不是 JSON。",
            code="href-no-json",
        ) from error


def post_news(url: str, body: bytes, among: Sequence[Registered]) -> None:
    """Tell a registered address; raises ``Unavailable`` where it may be tried again."""
    from gis_service.harvesting.egress import WebSource

    one = registered(url, among)
    if one is None:
        raise not_registered(url, "callbacks")
    with WebSource(one.location, networks=one.networks, body_bytes=_ANSWER_BYTES,
                   deadline_s=_CALLBACK_S) as source:  # fmt: skip
        source.post(url, body, media_type="application/json")


def not_registered(url: str, kind: str) -> GisError:
    """The error for an address that no administrator has written down."""
    host = urlsplit(url).hostname or "?"
    return BadParameter(
        f"The address on {host[:80]} is not registered; an administrator adds it under '{kind}' "
        f"in config/{FILE}. Or send the value itself.",
        f"{host[:80]} 上的地址未登记；请由管理员在 config/{FILE} 的 {kind} 中登记，"
        "或直接提交内容。",
        code="href-refused",
    )
