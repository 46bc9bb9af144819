"""Labels that are chosen and placed, as letters: by Mapnik, with the project's font."""

import json
from collections.abc import Sequence
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from PIL import Image

from tiles.expression import rgba
from tiles.fonts import face_name, font_file
from tiles.labels import Label, TextLook
from tiles.map_frame import MapFrame

_REACH_PX: Final = 512
"""A label reaches at most so far into the picture from outside."""
_OTHER_FACE: Final = "DejaVu Sans Book"
"""Comes with Mapnik; for characters that the first face does not have."""


def draw_labels(mapnik: Any, labels: Sequence[Label], frame: MapFrame) -> Image.Image:
    """The labels on nothing, as large as the frame."""
    width, height = frame.width_px / frame.scale, frame.height_px / frame.scale
    looks = {look: number for number, look in enumerate(dict.fromkeys(one.look for one in labels))}
    places = json.dumps(
        {
            "type": "FeatureCollection",
            # Worst first: what little two labels may share belongs to the better one.
            "features": [_feature(label, looks[label.look]) for label in reversed(labels)],
        },
        ensure_ascii=False,
    )
    styles = "".join(
        f'<Style name="look{number}"><Rule><Filter>[look] = {number}</Filter>{_symbolizer(look)}'
        "</Rule></Style>"
        for look, number in looks.items()
    )
    names = "".join(f"<StyleName>look{number}</StyleName>" for number in looks.values())
    xml = (
        f'<Map srs="epsg:3857" buffer-size="{_REACH_PX}"><FontSet name="labels">'
        f"{_faces(mapnik)}</FontSet>{styles}"
        f'<Layer name="labels" srs="epsg:3857" cache-features="true">{names}<Datasource>'
        '<Parameter name="type">geojson</Parameter>'
        f'<Parameter name="inline">{escape(places)}</Parameter></Datasource></Layer></Map>'
    )
    sheet = mapnik.Map(frame.width_px, frame.height_px)
    mapnik.load_map_from_string(sheet, xml, True)
    # Places are pixels; there is nothing to project.
    sheet.zoom_to_box(mapnik.Box2d(0, -height, width, 0))
    image = mapnik.Image(frame.width_px, frame.height_px)
    mapnik.render(sheet, image, frame.scale)
    shape = (frame.height_px, frame.width_px, 4)
    return Image.fromarray(np.frombuffer(image.to_string(), np.uint8).reshape(shape))


def _feature(label: Label, look: int) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"text": label.text, "look": look},
        "geometry": {"type": "Point", "coordinates": [label.x, -label.y]},
    }


def _symbolizer(look: TextLook) -> str:
    attributes = {
        "fontset-name": "labels",
        "size": f"{look.size:g}",
        "fill": _colour(look.colour),
        "opacity": f"{look.opacity:g}",
        "halo-fill": _colour(look.halo_colour),
        "halo-radius": f"{look.halo_width:g}",
        "halo-opacity": f"{look.opacity:g}",
        "character-spacing": f"{look.spacing:g}",
        "placement": "point",
        "vertical-alignment": "middle",
        "horizontal-alignment": "middle",
        "justify-alignment": "center",
        # The font's own lines are 1.45 of its size apart, MapLibre's 1.2.
        "line-spacing": f"{-0.25 * look.size:g}",
        "allow-overlap": "true",
        "avoid-edges": "false",
    }
    written = " ".join(f"{key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<TextSymbolizer {written}>[text]</TextSymbolizer>"


def _colour(colour: str) -> str:
    red, green, blue, opacity = rgba(colour)
    return f"rgba({red:.0f},{green:.0f},{blue:.0f},{opacity:g})"


def _faces(mapnik: Any) -> str:
    file, face = font_file(), face_name()
    known = set(mapnik.FontEngine.face_names())
    if file is not None and face not in known:
        mapnik.FontEngine.register_font(str(file))
        known = set(mapnik.FontEngine.face_names())
    faces = [one for one in (face, _OTHER_FACE) if one and one in known]
    return "".join(f"<Font face-name={quoteattr(one)}/>" for one in faces)
