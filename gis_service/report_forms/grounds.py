"""The maps under a report's drawings: the layer that a finding speaks of, in its own look.

Drawn from the contents that the report pins, not from what is in force when somebody prints it: the
same report has the same maps. A layer that cannot be drawn leaves a drawing on white that says so.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gis_service.library import Library
from layers.crs import STORAGE_SRID, parse_crs
from layers.errors import GisError
from layers.pinned_contents import pinned_contents
from layers.text import Text
from planning_rules.report_html import FINDING_SIZE, OVERVIEW, OVERVIEW_SIZE, worst_patches
from planning_rules.sketch import Ground, KeyEntry, sketch_box
from tiles.legend import legend
from tiles.map_frame import MapFrame
from tiles.matrix_set import Box
from tiles.raster_tile import MapPainter

_SCALE: Final = 2
_TOGETHER_S: Final = 30.0
"""All maps of one report; what is not drawn by then is left out."""
_MOST_MAPS: Final = 40
_MOST_KEYS: Final = 8
_AROUND: Final = ("county", "highway", "town_place")
"""Layers that say where one is."""
_OVERVIEW_LAYERS: Final = (
    "planned_landuse", "permanent_basic_farmland", "ecological_redline",
    "urban_development_boundary",
)  # fmt: skip
_NOT_DRAWN: Final = Text(zh="规划图层未能绘制：", en="The plan layer could not be drawn: ")
_NO_LAYER: Final = Text(zh="该图层没有可绘制的数据", en="it has no data that can be drawn")
_TOO_LONG: Final = Text(zh="绘图时间已用完", en="there was no time left")


def draw_grounds(library: Library, report: Mapping[str, Any], language: str) -> dict[str, Ground]:
    """The grounds of a report by rule id, and of its overview; empty where no maps are drawn."""
    if library.painter is None:
        return {}
    editions = {
        entry["layer"]: entry["edition"]
        for entry in report["provenance"]["editions"]
        if entry.get("edition") is not None
    }
    with library.pool.connection() as connection:
        pinned = pinned_contents(connection, editions)
    contents = {name: content.content_id for name, content in pinned.items()}
    maps = _Maps(library, library.painter, contents, report, language)
    grounds = {
        OVERVIEW: maps.ground(_OVERVIEW_LAYERS, worst_patches(report["findings"]), OVERVIEW_SIZE)
    }
    for finding in report["findings"]:
        if finding["patches"] and len(grounds) < _MOST_MAPS:
            layers = dict.fromkeys([finding["layer"], *(p["layer"] for p in finding["patches"])])
            grounds[finding["rule_id"]] = maps.ground(
                [one for one in layers if one], finding["patches"], FINDING_SIZE
            )
    return grounds


class _Maps:
    """Draws the maps of one report, until its time is over."""

    def __init__(
        self,
        library: Library,
        painter: MapPainter,
        contents: Mapping[str, int],
        report: Mapping[str, Any],
        language: str,
    ) -> None:
        self._library = library
        self._painter = painter
        self._contents = contents
        self._site = report["submission"]["geometry"]
        self._language = language
        self._until = time.monotonic() + _TOGETHER_S

    def ground(
        self, layers: Sequence[str], patches: Sequence[Mapping[str, Any]], size: tuple[int, int]
    ) -> Ground:
        known = {layer.id for layer in self._library.visible_layers()}
        shown = [one for one in layers if one in known and one in self._contents]
        around = [one for one in _AROUND if one in known and one in self._contents]
        if not shown:
            return self._none(_NO_LAYER)
        if time.monotonic() > self._until:
            return self._none(_TOO_LONG)
        box = Box(*sketch_box(self._site, patches, *size))
        frame = MapFrame(parse_crs(f"EPSG:{STORAGE_SRID}"), box, size[0] * _SCALE,
                         size[1] * _SCALE, float(_SCALE))  # fmt: skip
        try:
            png = self._painter.draw_picture(
                ",".join([*shown, *around]), self._contents, frame,
                language=self._language, background="#EFF4F7",
            )  # fmt: skip
        except GisError as error:
            return self._none(error.text)
        return Ground(png, tuple(self._key(shown, patches))[:_MOST_KEYS])

    def _none(self, reason: Text) -> Ground:
        said = _NOT_DRAWN.in_language(self._language) + reason.in_language(self._language)
        return Ground(None, note=said)

    def _key(
        self, layers: Iterable[str], patches: Sequence[Mapping[str, Any]]
    ) -> Iterable[KeyEntry]:
        """The classes that the patches are of; all of a layer where its patches have no codes."""
        catalog = self._library.catalog
        for name in layers:
            codes = {patch["code"] for patch in patches
                     if patch["layer"] == name and patch.get("code")}  # fmt: skip
            layer = catalog.layer(name)
            entries = legend(catalog, layer, codes) if codes else []
            for entry in entries or legend(catalog, layer):
                yield KeyEntry(
                    Text(**entry["label"]).in_language(self._language),
                    entry["colour"],
                    entry["outline"],
                    entry["symbol"] == "line",
                )
