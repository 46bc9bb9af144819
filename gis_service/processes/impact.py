"""``impact``: what an area, or a storm's track with its width, meets in any layers.

The site is cut into cells until the features near one are few; each cell is measured in a child
process. Contents are immutable, so the layers are of one moment although no transaction is held.
"""

import datetime
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import shapely
from shapely.geometry.base import BaseGeometry

from gis_service.checking import CheckRequest, read_request
from gis_service.library import Library, today
from gis_service.processes.process import Process, Run
from gis_service.routes.requests import calendar_day
from layers.area import area_m2
from layers.catalog import Layer
from layers.crs import Box
from layers.database import rows, statements
from layers.editions import Content, contents_in_force
from layers.errors import BadInput, GaveUp, LimitExceeded, Place
from layers.features import Candidate, candidates, coverage_near
from layers.text import Text
from planning_rules.corridor import strip_of
from planning_rules.impact import CellImpact, NearFeature, cell_impact, quarters

_MOST_CELLS: Final = 4096
_WIDEST_M: Final = 1_000_000
_LISTED: Final = 100
_MOST_LISTED: Final = 10_000
_SQL: Final = statements("layers", "features.sql")


@dataclass(slots=True)
class _Tally:
    """What has been found in one layer."""

    area_m2: dict[int, list[float]] = field(default_factory=dict)
    length_m: dict[int, list[float]] = field(default_factory=dict)
    names: dict[int, Candidate] = field(default_factory=dict)
    uncovered_m2: list[float] = field(default_factory=list)

    def add(self, near: Mapping[int, Candidate], found: CellImpact) -> None:
        """Count a cell."""
        self.uncovered_m2.append(found.uncovered_m2)
        for share in found.shares:
            self.names[share.fid] = near[share.fid]
            self.area_m2.setdefault(share.fid, []).append(share.area_m2)
            self.length_m.setdefault(share.fid, []).append(share.length_m)


def _impact(run: Run, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    library = run.library
    as_of = calendar_day(inputs["as_of"], "as_of") if inputs.get("as_of") else today()
    layers = _layers(library, inputs.get("layers"))
    site = _site(library, inputs)
    with library.pool.connection() as connection:
        contents = contents_in_force(connection, [layer.id for layer in layers], as_of)
    ends = time.monotonic() + library.config.limits.comparison_deadline_s
    most = int(inputs.get("list", _LISTED))
    answers = []
    for number, layer in enumerate(layers):
        content = contents.get(layer.id)
        tally = _Tally()
        if content is not None:
            for cell in _cells(run, shapely.to_wkb(site), content, ends):
                tally.add(*cell)
        answers.append(_answer(library, layer, content, tally, most))
        run.progress((number + 1) / len(layers))
    return {"impact": _document(site, as_of, answers)}


def _layers(library: Library, asked: Sequence[str] | None) -> list[Layer]:
    if asked is None:
        return list(library.visible_layers())
    return [library.visible_layer(name) for name in dict.fromkeys(asked)]


def _site(library: Library, inputs: Mapping[str, Any]) -> BaseGeometry:
    """The area (lon/lat): as it was drawn, or a track as the strip that it sweeps."""
    area, track = inputs.get("area"), inputs.get("track")
    if (area is None) == (track is None):
        raise _refused("/inputs", "give either area or track", "请给出 area 或 track 之一")
    given: Mapping[str, Any] = area if area is not None else track or {}
    submission = read_request(library, CheckRequest(given))
    wanted = 2 if track is None else 1
    if submission.dimension != wanted:
        name = "area" if track is None else "track"
        kind = ("an area", "面") if wanted == 2 else ("a line", "线")
        raise _refused(f"/inputs/{name}", f"must be {kind[0]}", f"应为{kind[1]}")
    if wanted == 2:
        return submission.geometry
    width_m = inputs.get("width_m")
    if width_m is None:
        raise _refused("/inputs/width_m", "a track needs its width", "路径需给出宽度")
    return library.sandbox.run(
        strip_of, submission.geometry, float(width_m),
        deadline_s=library.config.limits.check_deadline_s,
    )  # fmt: skip


def _refused(at: str, en: str, zh: str) -> BadInput:
    return BadInput(f"{at}: {en}.", f"{at}：{zh}。", places=(Place(at, Text(zh=zh, en=en)),))


def _cells(
    run: Run, site: bytes, content: Content, ends: float
) -> Iterator[tuple[Mapping[int, Candidate], CellImpact]]:
    """Cells of the site with what was measured in each; a crowded one is quartered."""
    library, waiting, done = run.library, [site], 0
    while waiting:
        run.check()
        if time.monotonic() > ends or done + len(waiting) > _MOST_CELLS:
            raise GaveUp(
                "The area meets too much; ask for fewer layers or a smaller area.",
                "范围涉及内容过多；请减少图层或缩小范围。",
                code="impact-too-large",
            )
        clip = waiting.pop()
        near, coverage = _near(library, content, shapely.from_wkb(clip).bounds)
        if near is None:
            waiting += library.sandbox.run(
                quarters, clip, deadline_s=library.config.limits.check_deadline_s
            )
            continue
        done += 1
        features = [NearFeature(one.fid, one.pieces) for one in near]
        found = library.sandbox.run(
            cell_impact, clip, features, coverage,
            deadline_s=library.config.limits.check_deadline_s,
        )  # fmt: skip
        yield {one.fid: one for one in near}, found


def _near(
    library: Library, content: Content, box: Box
) -> tuple[tuple[Candidate, ...] | None, bytes]:
    """Features near a box, None where they are too many for one look."""
    search, number = {content.content_id: [box]}, content.content_id
    with library.pool.connection() as connection:
        counted = rows(
            connection, _SQL["pieces_in_box"], content_id=number,
            west=box[0], south=box[1], east=box[2], north=box[3], most=_CROWDED + 1,
        )  # fmt: skip
        if counted[0]["count"] > _CROWDED:
            return None, b""
        try:
            found = candidates(connection, search, {number: content.base_id})
        except LimitExceeded:
            return None, b""
        return found[number], coverage_near(connection, search)[number]


_CROWDED: Final = 20_000


def _answer(
    library: Library, layer: Layer, content: Content | None, tally: _Tally, most: int
) -> dict[str, Any]:
    title = {"zh": layer.title.zh, "en": layer.title.en}
    if content is None:
        # No edition is no answer: nobody may read it as "nothing there".
        return {"layer": layer.id, "title": title, "state": "no-data"}
    areas = {fid: math.fsum(parts) for fid, parts in tally.area_m2.items()}
    lengths = {fid: math.fsum(parts) for fid, parts in tally.length_m.items()}
    order = sorted(areas, key=lambda fid: (-areas[fid], -lengths[fid], fid))
    measures: dict[str, Any] = {}
    if layer.geometry == "polygon":
        measures["area_m2"] = round(math.fsum(areas.values()), 2)
    elif layer.geometry == "line":
        measures["length_m"] = round(math.fsum(lengths.values()), 2)
    return {
        "layer": layer.id,
        "title": title,
        "plan": content.plan_id,
        "edition": content.edition_id,
        "synthetic": content.synthetic,
        "state": "concerned" if areas else "not-concerned",
        "features": len(areas),
        **measures,
        "no_data_m2": round(math.fsum(tally.uncovered_m2), 2),
        "list": [_listed(layer, tally.names[f], areas[f], lengths[f]) for f in order[:most]],
        "listed_all": len(order) <= most,
    }


def _listed(layer: Layer, one: Candidate, area_m2: float, length_m: float) -> dict[str, Any]:
    row: dict[str, Any] = {"feature_id": one.feature_id}
    if layer.label and one.attributes.get(layer.label) is not None:
        row["name"] = one.attributes[layer.label]
    if layer.geometry == "polygon":
        row["area_m2"] = round(area_m2, 2)
    elif layer.geometry == "line":
        row["length_m"] = round(length_m, 2)
    return row


def _document(
    site: BaseGeometry, as_of: datetime.date, answers: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "as_of": as_of.isoformat(),
        "area_m2": round(area_m2(site), 2),
        "bbox": [round(side, 8) for side in site.bounds],
        "layers": list(answers),
    }


_GEOJSON: Final = {"type": "object", "contentMediaType": "application/geo+json"}


def _input(zh: str, en: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"title": f"{en} / {zh}", "schema": dict(schema), "minOccurs": 0, "maxOccurs": 1}


IMPACT: Final = Process(
    {
        "id": "impact",
        "version": "1.0.0",
        "title": {"en": "Impact", "zh": "影响分析"},
        "description": {
            "en": "What an area, or a storm's track with its width, meets in any layers: counts, "
            "areas and a list.",
            "zh": "分析面状范围或台风路径（含宽度）涉及各图层的要素数量、面积与清单。",
        },
        "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
        "outputTransmission": ["value"],
        "keywords": {"en": ["impact", "storm"], "zh": ["影响分析", "台风"]},
        "inputs": {
            "area": _input("范围", "Area (GeoJSON polygon, longitude, latitude)", _GEOJSON),
            "track": _input("路径", "Track (GeoJSON line, longitude, latitude)", _GEOJSON),
            "width_m": _input(
                "路径宽度（米）",
                "Whole width of the track in metres",
                {"type": "number", "exclusiveMinimum": 0, "maximum": _WIDEST_M},
            ),
            "layers": _input(
                "图层",
                "Layers; all where left out",
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 100},
            ),
            "as_of": _input("日期", "Day", {"type": "string", "format": "date"}),
            "list": _input(
                "清单条数",
                "Most features listed of a layer",
                {"type": "integer", "minimum": 0, "maximum": _MOST_LISTED, "default": _LISTED},
            ),
        },
        "outputs": {
            "impact": {
                "title": "Impact / 影响",
                "schema": {"type": "object", "contentMediaType": "application/json"},
            }
        },
        "example": {
            "inputs": {
                "track": {"type": "LineString", "coordinates": [[111.2, 19.2], [109.4, 20.2]]},
                "width_m": 20000,
                "layers": ["county", "permanent_basic_farmland"],
            }
        },
    },
    _impact,
)
