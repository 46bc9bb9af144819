"""The names that clients of tianditu (天地图) know: products, services, and how they ask.

A service is a product or a plan layer on one of two grids: ``vec_c`` (EPSG:4490) or ``vec_w`` (web
mercator). Requests are read with the tolerance that its clients are used to.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from layers.errors import BadParameter, NotFound
from layers.text import Text
from tiles.tile_format import JPEG, PNG, TileFormat


@dataclass(frozen=True, slots=True)
class Product:
    """A sheet of the base map; ``form`` is what its tiles are, whatever a client asks for.

    Clients trust the first bytes: key checkers want a PNG of ``vec``, others a JPEG of ``img``.
    """

    id: str
    title: Text
    form: TileFormat
    highest_level: int = 18


PRODUCTS: Final[dict[str, Product]] = {
    one.id: one
    for one in (
        Product("vec", Text(zh="矢量底图", en="Vector base map"), PNG),
        Product("cva", Text(zh="矢量注记", en="Labels of the vector map"), PNG),
        Product("img", Text(zh="影像底图", en="Imagery"), JPEG),
        Product("cia", Text(zh="影像注记", en="Labels of the imagery"), PNG),
        Product("ter", Text(zh="地形晕渲", en="Hill shade"), JPEG, 14),
        Product("cta", Text(zh="地形注记", en="Labels of the hill shade"), PNG, 14),
        Product("ibo", Text(zh="行政境界", en="Administrative boundaries"), PNG),
        Product("eva", Text(zh="矢量英文注记", en="Labels of the vector map in English"), PNG),
        Product("eia", Text(zh="影像英文注记", en="Labels of the imagery in English"), PNG),
    )
}
GRIDS: Final = ("c", "w")
DEFAULT_FORMAT: Final = "tiles"
_ANY_FORMAT: Final = frozenset({DEFAULT_FORMAT, "image/tile", "image/jpgpng", ""})
"""Words for "whatever you have"."""


@dataclass(frozen=True, slots=True)
class Service:
    """A name like ``vec_c`` taken apart: the product or layer, and the grid."""

    layer: str
    grid: str

    @property
    def name(self) -> str:
        """The name again."""
        return f"{self.layer}_{self.grid}"


def service_named(name: str) -> Service:
    """The service; ``NotFound`` for a name that does not end in a grid."""
    layer, _, grid = name.rpartition("_")
    if not layer or grid.lower() not in GRIDS:
        raise NotFound(
            f"There is no service '{name[:60]}'; names end in _c or _w, such as vec_c.",
            f"没有服务“{name[:60]}”；服务名以 _c 或 _w 结尾，例如 vec_c。",
            code="no-service",
        )
    return Service(layer, grid.lower())


_GLUED: Final = re.compile(
    r"(?i)(service|request|version|layer|style|format|tilematrixset|tilematrix|tilerow|tilecol)="
)


def key_value_pairs(query: str) -> dict[str, str]:
    """The parameters of a query by upper-case name; read as clients really write them.

    The first of duplicates wins, empty pairs are skipped, and parameters that were glued to the
    value before without a separator (ArcMap: ``tk=421SERVICE=WMTS``) are taken off it.
    """
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        glued = _GLUED.search(value)
        if glued:
            rest = value[glued.start() :].partition("=")
            value = value[: glued.start()]
        if name:
            found.setdefault(unquote_plus(name).strip().upper(), unquote_plus(value).strip())
        if glued:
            found.setdefault(rest[0].upper(), unquote_plus(rest[2]).strip())
    return found


_LEADING: Final = re.compile(r"\s*([+-]?[0-9]{1,9})(?![0-9])")


def leading_integer(pairs: dict[str, str], *names: str) -> int:
    """The whole number that a parameter begins with; ``BadParameter`` names the parameter."""
    text = next((pairs[name] for name in names if pairs.get(name)), None)
    if text is None:
        raise BadParameter(
            f"{names[0]} is missing.", f"缺少参数 {names[0]}。", code="MissingParameterValue"
        )
    match = _LEADING.match(text)
    if match is None:
        raise BadParameter(
            f"{names[0]} must be a whole number, not '{text[:20]}'.",
            f"{names[0]} 必须是整数，而不是“{text[:20]}”。",
            code="InvalidParameterValue",
        )
    return int(match[1])


def asks_for_anything(text: str) -> bool:
    """Whether a FORMAT leaves the choice to the service."""
    return text.strip().lower() in _ANY_FORMAT
