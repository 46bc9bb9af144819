"""Style layers as a Mapnik map: areas, lines and circles from the pieces of tiles in PostGIS.

The map is made for one zoom, so every value is a number or a colour, or hangs on the feature: that
is computed by the statement that fetches the pieces and read by the symbolizer as a column. A map
draws the pieces of one ancestor tile, ``!@x!``/``!@y!``; see ``tiles.map_drawing``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from psycopg import sql

from layers.features import Parts
from tiles.expression import folded, reads_feature, rgba, with_results
from tiles.expression_sql import sql_condition, sql_of
from tiles.sprite import Hatch

PIECES: Final = sql.SQL(
    "SELECT t.fid, t.geom{columns} FROM tile_piece AS t"
    " WHERE t.content_id = {content} AND t.part_id = ANY({parts}) AND NOT t.from_base"
    " AND t.base_zoom = {base_zoom} AND t.x = !@x! AND t.y = !@y! AND t.geom && !bbox!{condition}"
)
BUFFER_PX: Final = 16
"""What is fetched and drawn beyond the picture, so that no line or circle is cut at its edge."""
_PROPERTIES: Final = sql.SQL("t.properties")
_MOST_RULES: Final = 64


@dataclass(frozen=True, slots=True)
class StyledSource:
    """A layer's content with where its rows are stored."""

    content_id: int
    parts: Parts


def is_drawn(style_layer: Mapping[str, Any], zoom: float) -> bool:
    """Whether a style layer shows at a zoom."""
    return bool(style_layer.get("minzoom", 0) <= zoom < style_layer.get("maxzoom", 24))


def mapnik_xml(
    style_layers: Sequence[Mapping[str, Any]],
    sources: Mapping[str, StyledSource],
    hatches: Mapping[str, Hatch],
    *,
    zoom: float,
    base_zoom: int,
    srs: str,
    database: Mapping[str, str],
    hatch_folder: str,
) -> str:
    """The map of all style layers but symbols, bottom first, at a zoom of MapLibre's.

    ``hatches`` are by name; their images lie in ``hatch_folder`` as ``NAME.png``. Sources without
    a content are not drawn.
    """
    shown = [
        part for part in style_layers
        if part["type"] != "symbol" and part["source"] in sources and is_drawn(part, zoom)
    ]  # fmt: skip
    styles: list[str] = []
    layers: list[str] = []
    # Neighbours of one source share one statement.
    for number, (source, group) in enumerate(groupby(shown, key=lambda part: str(part["source"]))):
        columns = _Columns(zoom, hatches, hatch_folder)
        names = []
        for place, part in enumerate(group):
            name = f"s{number}-{place}"
            styles.append(f'<Style name="{name}" filter-mode="first">{columns.rules(part)}</Style>')
            names.append(name)
        table = columns.statement(sources[source], base_zoom)
        layers.append(_layer(source, names, table, database))
    return (
        f'<Map srs={quoteattr(srs)} buffer-size="{BUFFER_PX}">{"".join(styles)}'
        f"{''.join(layers)}</Map>"
    )


def _layer(name: str, styles: Sequence[str], table: str, database: Mapping[str, str]) -> str:
    world = 20037508.342789244
    parameters = {
        **database,
        "type": "postgis",
        "table": f"({table}) AS q",
        "geometry_field": "geom",
        "srid": "3857",
        "extent": f"{-world},{-world},{world},{world}",
        "estimate_extent": "false",
        "autodetect_key_field": "false",
        "initial_size": "1",
        "max_size": "2",
    }
    inner = "".join(
        f"<Parameter name={quoteattr(key)}>{escape(value)}</Parameter>"
        for key, value in parameters.items()
    )
    cached = ' cache-features="true"' if len(styles) > 1 else ""
    names = "".join(f"<StyleName>{style}</StyleName>" for style in styles)
    return (
        f'<Layer name={quoteattr(name)} srs="epsg:3857"{cached}>{names}'
        f"<Datasource>{inner}</Datasource></Layer>"
    )


class _Columns:
    """Writes rules, and gathers the columns that they read, for one statement."""

    def __init__(self, zoom: float, hatches: Mapping[str, Hatch], hatch_folder: str) -> None:
        self.zoom = zoom
        self.hatches = hatches
        self.hatch_folder = hatch_folder
        self.columns: list[sql.Composable] = []
        self.known: dict[str, str] = {}
        self.conditions: list[sql.Composable] = []
        self.is_filtered = True

    def rules(self, part: Mapping[str, Any]) -> str:
        """One style layer as rules: one, or one for each colour that it chooses between.

        Mapnik compares whole numbers five times as fast as it reads colours from texts.
        """
        shown = ""
        if "filter" in part:
            condition = sql_condition(folded(part["filter"], self.zoom), _PROPERTIES)
            self.conditions.append(condition)
            shown = f"[{self._column(condition)}]"
        else:
            self.is_filtered = False
        name = f"{part['type']}-color"
        colour = folded(part["paint"].get(name), self.zoom)
        numbers: dict[str, int] = {}
        if reads_feature(colour) and "fill-pattern" not in part["paint"]:
            number = with_results(colour, lambda one: numbers.setdefault(one, len(numbers)))
        if not 0 < len(numbers) <= _MOST_RULES:
            return self._rule(part, shown)
        column = self._column(
            sql.SQL("({} #>> '{{}}')::integer").format(sql_of(number, _PROPERTIES))
        )
        return "".join(
            self._rule(
                {**part, "paint": {**part["paint"], name: one}},
                " and ".join(filter(None, (shown, f"[{column}] = {place}"))),
            )
            for one, place in numbers.items()
        )

    def _rule(self, part: Mapping[str, Any], condition: str) -> str:
        symbolizer = {"fill": self._fill, "line": self._line, "circle": self._circle}[part["type"]]
        shown = f"<Filter>{condition}</Filter>" if condition else ""
        return f"<Rule>{shown}{symbolizer(part)}</Rule>"

    def statement(self, source: StyledSource, base_zoom: int) -> str:
        """The subquery; what no style layer shows is not fetched."""
        columns = [sql.SQL(", {} AS {}").format(one, sql.Identifier(f"c{number}"))
                   for number, one in enumerate(self.columns)]  # fmt: skip
        condition: sql.Composable = sql.SQL("")
        if self.is_filtered and self.conditions:
            condition = sql.SQL(" AND ({})").format(sql.SQL(" OR ").join(self.conditions))
        text = PIECES.format(
            columns=sql.SQL("").join(columns),
            content=sql.Literal(source.content_id),
            parts=sql.Literal(source.parts.parts),
            base_zoom=sql.Literal(base_zoom),
            condition=condition,
        ).as_string(None)
        return source.parts.on(text)

    def _column(self, expression: sql.Composable) -> str:
        text = expression.as_string(None)
        if text not in self.known:
            self.known[text] = f"c{len(self.columns)}"
            self.columns.append(expression)
        return self.known[text]

    def _colour(self, value: Any) -> str:
        value = folded(value, self.zoom)
        if reads_feature(value):
            column = self._column(sql.SQL("({} #>> '{{}}')").format(sql_of(value, _PROPERTIES)))
            return f'"[{column}]"'
        red, green, blue, opacity = rgba(value)
        return f'"rgba({red:.0f},{green:.0f},{blue:.0f},{opacity:g})"'

    def _number(self, value: Any, factor: float = 1.0) -> str:
        value = folded(value, self.zoom)
        if reads_feature(value):
            column = self._column(
                sql.SQL("(({} #>> '{{}}')::double precision * {})").format(
                    sql_of(value, _PROPERTIES), sql.Literal(factor)
                )
            )
            return f'"[{column}]"'
        return f'"{value * factor:g}"'

    def _fill(self, part: Mapping[str, Any]) -> str:
        paint, layout = part["paint"], part.get("layout", {})
        opacity = self._number(paint.get("fill-opacity", 1))
        antialias = folded({**layout, **paint}.get("fill-antialias", True), self.zoom)
        if "fill-pattern" in paint:
            return self._hatched(self.hatches[paint["fill-pattern"]], opacity)
        # Neighbours that both cover half a pixel would show the ground between them.
        gamma = "" if antialias else ' gamma="0.5" gamma-method="threshold"'
        colour = self._colour(paint["fill-color"])
        drawn = f"<PolygonSymbolizer fill={colour} fill-opacity={opacity}{gamma}/>"
        if "fill-outline-color" in paint:
            outline = self._colour(paint["fill-outline-color"])
            drawn += f'<LineSymbolizer stroke={outline} stroke-width="1" stroke-opacity={opacity}/>'
        return drawn

    def _hatched(self, hatch: Hatch, opacity: str) -> str:
        """Mapnik lays the image from the world's origin, so lines run on in the next picture."""
        path = f"{self.hatch_folder}/{hatch.name}.png"
        return (
            f"<PolygonPatternSymbolizer file={quoteattr(path)} opacity={opacity}"
            ' alignment="global"/>'
        )

    def _line(self, part: Mapping[str, Any]) -> str:
        paint, layout = part["paint"], part.get("layout", {})
        width = folded(paint.get("line-width", 1), self.zoom)
        attributes = {
            "stroke": self._colour(paint.get("line-color", "#000000")),
            "stroke-width": self._number(width),
            "stroke-opacity": self._number(paint.get("line-opacity", 1)),
            "stroke-linecap": f'"{layout.get("line-cap", "butt")}"',
            "stroke-linejoin": f'"{layout.get("line-join", "miter")}"',
        }
        if "line-dasharray" in paint:
            # MapLibre counts dashes in widths of the line.
            dashes = [
                f"{length * width:g}" for length in folded(paint["line-dasharray"], self.zoom)
            ]
            attributes["stroke-dasharray"] = f'"{",".join(dashes)}"'
        return (
            f"<LineSymbolizer {' '.join(f'{key}={value}' for key, value in attributes.items())}/>"
        )

    def _circle(self, part: Mapping[str, Any]) -> str:
        paint = part["paint"]
        stroke = float(folded(paint.get("circle-stroke-width", 0), self.zoom))
        radius = folded(paint.get("circle-radius", 5), self.zoom)
        # The stroke lies around the radius in MapLibre, on the edge in Mapnik.
        across = f'"{2 * radius + stroke:g}"'
        outline = self._colour(paint.get("circle-stroke-color", "#000000"))
        opacity = self._number(paint.get("circle-opacity", 1))
        return (
            f'<MarkersSymbolizer width={across} height={across} marker-type="ellipse"'
            f" fill={self._colour(paint.get('circle-color', '#000000'))} fill-opacity={opacity}"
            f' stroke={outline} stroke-width="{stroke:g}"'
            ' allow-overlap="true" ignore-placement="true" placement="point"/>'
        )
