"""Settings: the environment (where things are) and ``config/service.yml`` (what is served).

Read once at start and handed down as values; nothing below the service reads the environment.
"""

from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from layers.database import Access
from layers.errors import BadConfiguration
from layers.text import Text

_PROJECT: Final = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """The environment variables the service reads; all are optional.

    ``DATABASE_URL`` replaces the embedded cluster; ``DATA_DIR`` is where that one lives;
    ``SIGNING_KEY_FILE`` (EC P-256, PEM or JWK) signs reports in place of the key in ``DATA_DIR``;
    ``ACCESS`` is the class of layers that ``serve`` shows (public, internal, restricted), and
    ``PUBLIC_DATABASE_URL`` the address by which a public one reads the library where the service
    may not make its own login; ``ROLE_PREFIX`` begins the names of database roles;
    ``PUBLIC_URL`` is the address in links (needed behind a proxy), otherwise links take the
    request's own host, which must be one of ``ALLOWED_HOSTS``.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: str | None = None
    public_database_url: str | None = None
    access: Literal["public", "internal", "restricted"] = "public"
    role_prefix: str = Field(default="gis", pattern=r"^[a-z][a-z0-9_]{0,30}$")
    data_dir: Path = _PROJECT / ".data"
    config_dir: Path = _PROJECT / "config"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    public_url: str | None = None
    signing_key_file: Path | None = None
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    workers: int = Field(default=1, ge=1, le=64)
    pool_size: int = Field(default=6, ge=1, le=64)
    check_processes: int = Field(default=2, ge=1, le=32)
    map_processes: int = Field(default=2, ge=1, le=32)
    web_dir: Path = _PROJECT / "gis_service" / "web"

    @property
    def tiles_dir(self) -> Path:
        """Where the tiles of published contents are kept."""
        return self.data_dir / "tiles"

    @property
    def reads(self) -> Access:
        """The highest class of layers that the process shows."""
        return "open" if self.access == "public" else self.access


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(_Model):
    """The region the library speaks for; coordinates outside it are refused."""

    code: str
    name: Text
    bbox: tuple[float, float, float, float]
    """west, south, east, north in degrees (EPSG:4490, longitude first)."""
    center: tuple[float, float]
    zoom: float


class Limits(_Model):
    """Published limits; what is over them is refused with a clear answer."""

    submission_bytes: int
    import_bytes: int
    page_features: int
    export_features: int
    check_deadline_s: float
    comparison_deadline_s: float
    reader_deadline_s: float
    statement_deadline_s: float
    reader_memory_bytes: int
    tile_deadline_s: float = 20
    tile_queue: int = 64


class Tianditu(_Model):
    """How the doors for clients of tianditu answer."""

    key_required: bool = False
    """Whether a tile needs a ``tk`` of ours; otherwise any, or none, will do."""
    outside: Literal["not-found", "transparent"] = "not-found"
    """What a tile outside the grid is."""
    unit_layer: str = "county"
    """The layer of administrative units; its features' ids are their codes."""
    name_layers: tuple[str, ...] = ()
    """Layers whose names are found, beside the units."""
    max_age_s: int = 432_000
    """How long tiles of the base map may be held without asking again (tianditu: five days)."""


class ServiceConfig(_Model):
    """``config/service.yml``: names, region, credits and limits."""

    title: Text
    subtitle: Text
    notice: Text
    region: Region
    credits: tuple[Text, ...]
    limits: Limits
    tianditu: Tianditu = Tianditu()


def load_service_config(config_dir: Path) -> ServiceConfig:
    """Read ``service.yml``; ``BadConfiguration`` names the key."""
    path = config_dir / "service.yml"
    try:
        content: Any = yaml.safe_load(path.read_text("utf-8"))
        return ServiceConfig.model_validate(content)
    except (OSError, yaml.YAMLError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise BadConfiguration(
            f"service.yml: {first}", f"配置文件 service.yml 有误：{first}"
        ) from error
