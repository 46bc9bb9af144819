"""The gazetteer of a running service: names of what is in force, with their administrative units.

Codes are tianditu's: ``156`` and the six digits of the unit.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from gis_service.library import InForce, Library
from layers.catalog import Layer
from layers.crs import Box
from layers.place_names import NamedLayer, Place, area_at, outline_wkt, read_places

COUNTRY = "156"
_NATION = "中国"
_OUTLINE_TOLERANCE_DEG = 0.0005


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one state of the library."""

    contents: tuple[int, ...]
    dividing: int | None
    places: tuple[Place, ...]
    units: dict[str, Place]
    """Administrative units by their code (six digits)."""


class Gazetteer:
    """Reads the names when the library has changed, once for all who ask meanwhile."""

    def __init__(self, library: Library) -> None:
        """Read nothing yet."""
        self._library = library
        self._names: Names | None = None
        self._lock = threading.Lock()

    def names(self) -> Names:
        """The names of what is in force today."""
        picture = self._library.in_force()
        layers = self._layers(picture)
        contents = tuple(layer.content_id for layer in layers)
        held = self._names
        if held is not None and held.contents == contents:
            return held
        with self._lock:
            if self._names is None or self._names.contents != contents:
                self._names = self._read(picture, layers, contents)
            return self._names

    def _layers(self, picture: InForce) -> list[NamedLayer]:
        settings = self._library.config.tianditu
        wanted = (settings.unit_layer, *settings.name_layers)
        found = []
        for layer in self._library.visible_layers():
            content = picture.layers.get(layer.id)
            if layer.id in wanted and layer.label and content is not None:
                found.append(NamedLayer(layer.id, content.content_id, layer.label, _english(layer)))
        return found

    def _read(
        self, picture: InForce, layers: Sequence[NamedLayer], contents: tuple[int, ...]
    ) -> Names:
        unit_layer = self._library.config.tianditu.unit_layer
        content = picture.layers.get(unit_layer)
        dividing = content.content_id if content else None
        with self._library.pool.connection() as connection:
            places = read_places(connection, layers, dividing)
        units = {one.feature_id: one for one in places if one.layer_id == unit_layer}
        return Names(contents, dividing, places, units)

    def unit_at(self, names: Names, lon: float, lat: float) -> Place | None:
        """The administrative unit at a place."""
        if names.dividing is None:
            return None
        with self._library.pool.connection() as connection:
            found = area_at(connection, names.dividing, lon, lat)
        return names.units.get(found or "")

    def outline(self, names: Names, unit: Place | None) -> str | None:
        """The outline of a unit, or of the region, as WKT for showing."""
        if names.dividing is None:
            return None
        with self._library.pool.connection() as connection:
            feature_id = unit.feature_id if unit else None
            return outline_wkt(connection, names.dividing, feature_id, _OUTLINE_TOLERANCE_DEG)

    def region_box(self) -> Box:
        """Where the library speaks for."""
        return self._library.config.region.bbox

    def address(self, place: Place, names: Names) -> dict[str, str]:
        """Province and county of a place, as tianditu's answers spell them."""
        region = self._library.config.region
        unit = names.units.get(place.area_id or "")
        return {
            "province": region.name.zh,
            "provinceCode": COUNTRY + region.code,
            "city": "",
            "cityCode": "",
            "county": unit.name if unit else "",
            "countyCode": COUNTRY + unit.feature_id if unit else "",
        }

    def kind(self, place: Place) -> str:
        """What a place is, in words: the title of its code, or else of its layer."""
        layer = self._library.visible_layer(place.layer_id)
        for attribute in layer.attributes:
            value = place.attributes.get(attribute.name)
            if attribute.name == "kind" and attribute.codes and value:
                code = self._library.catalog.code_list(attribute.codes).find(str(value))
                if code:
                    return code.title.zh
        return layer.title.zh


def _english(layer: Layer) -> str | None:
    name = f"{layer.label}_en"
    return name if layer.attribute(name) else None
