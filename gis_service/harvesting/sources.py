"""``config/sources.yml``: the registered sources, as values.

A source is what an administrator has written down: where the data are, whose plan and layer they
become, when they are fetched. Secrets are named by their environment variable (``HARVEST_...``)
and stand in no file.
"""

import hashlib
import ipaddress
import json
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

import yaml
from croniter import croniter
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from layers.catalog import Catalog, Layer
from layers.errors import BadConfiguration, NotFound
from layers.text import Text

SOURCES_FILE: Final = "sources.yml"

_SECRET_NAME: Final = r"^HARVEST_[A-Z0-9_]+$"
_TABLE: Final = re.compile(r"[^.\s\"]+\.[^.\s\"]+")
_NOT_IN_DEFINITION: Final = frozenset(
    {"title", "schedule", "enabled", "publish", "settle_s", "deadline_s", "credentials"}
)
"""What may change without the same file becoming another content."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Credentials(_Model):
    """Names of environment variables; their values are read when a source is fetched.

    ``bearer``: a token; ``basic``: ``user:password``; ``header`` + ``value``: an API key in a
    header of its own name; ``dsn``: the address of a database.
    """

    bearer: str | None = Field(default=None, pattern=_SECRET_NAME)
    basic: str | None = Field(default=None, pattern=_SECRET_NAME)
    header: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9-]{1,60}$")
    value: str | None = Field(default=None, pattern=_SECRET_NAME)
    dsn: str | None = Field(default=None, pattern=_SECRET_NAME)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [w for w in (self.bearer, self.basic, self.value, self.dsn) if w is not None]
        if len(ways) != 1 or (self.value is None) != (self.header is None):
            raise ValueError("give one of bearer, basic, dsn, or header with value")
        return self


class RegisteredSource(_Model):
    """One entry; ``location`` is a folder, the address of a collection, or ``schema.table``.

    ``glob`` chooses among the files of a folder; the newest is taken once nothing has changed in
    it for ``settle_s`` seconds. ``networks`` (CIDR) must hold every address that the host's name
    resolves to; without it only public addresses are used, or the one that the location itself
    states in digits. ``source_crs`` is for data that state none. ``deadline_s`` bounds the fetch.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")
    title: Text
    plan: str
    layer: str
    kind: Literal["folder", "ogc-features", "postgis"]
    location: str = Field(min_length=1, max_length=500)
    schedule: str
    enabled: bool = True
    publish: Literal["never", "when-clean"] = "never"
    field_map: str | None = None
    source_crs: str | None = None
    coverage: Literal["region", "features"] | None = None
    repair: bool = False
    credentials: Credentials | None = None
    networks: tuple[str, ...] = ()
    ca_file: Path | None = None
    glob: str = "*.gpkg"
    source_layer: str | None = None
    settle_s: float = Field(default=60.0, ge=0, le=86_400)
    geometry_column: str | None = None
    page_features: int = Field(default=1000, ge=1, le=10_000)
    deadline_s: float = Field(default=3600.0, gt=0, le=86_400)

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, text: str) -> str:
        if len(text.split()) != 5 or not croniter.is_valid(text):
            raise ValueError(f"'{text}' is no schedule; write five fields, as in '30 2 * * *'")
        return text

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks

    @field_validator("glob")
    @classmethod
    def _stays_in_its_folder(cls, pattern: str) -> str:
        if "/" in pattern or "\\" in pattern or pattern in ("", ".", ".."):
            raise ValueError("glob is a pattern of file names in the folder, without '/'")
        return pattern

    @model_validator(mode="after")
    def _location_fits_its_kind(self) -> Self:
        _LOCATION_CHECKS[self.kind](self.location)
        if self.kind == "postgis" and (self.credentials is None or self.credentials.dsn is None):
            raise ValueError("a PostGIS source needs credentials: {dsn: HARVEST_...}")
        if self.kind == "ogc-features" and self.credentials and self.credentials.dsn:
            raise ValueError("an address takes bearer, basic or header, not dsn")
        return self

    def definition_sha256(self, layer: Layer) -> str:
        """What decides how a fetched file becomes a content of the layer."""
        body = {
            "source": self.model_dump(mode="json", exclude=set(_NOT_IN_DEFINITION)),
            "layer": layer.model_dump(mode="json", include={"id", "geometry", "id_attribute",
                                                            "attributes", "coverage"}),
        }  # fmt: skip
        text = json.dumps(body, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The entry for people and programs; of credentials only that there are some."""
        body = self.model_dump(mode="json", exclude={"credentials"})
        return {**body, "credentials": self.credentials is not None}


def _check_folder(location: str) -> None:
    path = PurePosixPath(location)
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("location of a folder is an absolute path without '..'")


def _check_address(location: str) -> None:
    parts = urlsplit(location)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("location is an http(s) address of a collection")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("location holds no user, password, query or fragment")
    if not re.search(r"/collections/[^/]+/?$", parts.path):
        raise ValueError("location ends in /collections/{id}")
    _ = parts.port  # raises ValueError for a port that is none


def _check_table(location: str) -> None:
    if not _TABLE.fullmatch(location):
        raise ValueError("location of a PostGIS source is schema.table")


_LOCATION_CHECKS: Final = {
    "folder": _check_folder,
    "ogc-features": _check_address,
    "postgis": _check_table,
}


class _File(_Model):
    sources: Annotated[tuple[RegisteredSource, ...], Field(default=())]

    @field_validator("sources", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return () if value is None else value


def load_sources(config_dir: Path, catalog: Catalog) -> tuple[RegisteredSource, ...]:
    """The registered sources, checked against the catalogue; no file = none."""
    path = config_dir / SOURCES_FILE
    if not path.is_file():
        return ()
    try:
        sources = _File.model_validate(yaml.safe_load(path.read_text("utf-8")) or {}).sources
        _refuse_unknown_targets(sources, catalog)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(step) for step in fault["loc"])
        raise _wrong(f"{place}: {fault['msg']}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise _wrong(" ".join(str(error).split())[:300]) from error
    return sources


def _refuse_unknown_targets(sources: tuple[RegisteredSource, ...], catalog: Catalog) -> None:
    seen: set[str] = set()
    for source in sources:
        if source.id in seen:
            raise ValueError(f"source {source.id} stands twice")
        seen.add(source.id)
        try:
            plan, _ = catalog.layer_with_plan(source.layer)
        except NotFound as error:
            raise ValueError(f"source {source.id}: {error}") from error
        if plan.id != source.plan:
            raise ValueError(f"source {source.id}: layer {source.layer} belongs to {plan.id}")


def _wrong(reason: str) -> BadConfiguration:
    return BadConfiguration(f"{SOURCES_FILE}: {reason}", f"配置文件 {SOURCES_FILE} 有误：{reason}")


def source_named(sources: tuple[RegisteredSource, ...], source_id: str) -> RegisteredSource:
    """The source of that id, or ``NotFound`` with the ids there are."""
    for source in sources:
        if source.id == source_id:
            return source
    names = ", ".join(source.id for source in sources)
    raise NotFound(
        f"There is no source '{source_id}'. Sources: {names or 'none'}.",
        f"没有数据源“{source_id}”。现有数据源：{names or '无'}。",
    )
