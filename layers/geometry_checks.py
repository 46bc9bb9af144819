"""Geometries of a batch: from the source's CRS to valid, snapped ones in the library's CRS.

What cannot be stored is refused with its reason and, where there is one, the position of the
fault. Nothing is mended silently: with ``repair`` an invalid geometry is made valid
(``method="structure"``) and an issue says by how much its area changed. A change worth more than
a rounding is blocking: what a mended boundary lost would pass a check unseen.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from layers.area import areas_m2
from layers.catalog import GeometryKind
from layers.crs import GRID_DEG, Box, Crs, GeometryArray, snap, to_storage
from layers.geometry_faults import FAULTS_ZH, KIND_NAMES, REASONS
from layers.import_issues import IssueLog, Severity
from layers.readers import Batch
from layers.text import Text
from layers.validity import are_valid

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_DIMENSION: Final[dict[GeometryKind, int]] = {"point": 0, "line": 1, "polygon": 2}
_POSITION: Final = re.compile(r"^(.*?)\[(\S+) (\S+)\]")
WORLD: Final[Box] = (-180.0 - GRID_DEG, -90.0 - GRID_DEG, 180.0 + GRID_DEG, 90.0 + GRID_DEG)
"""With the width of the storage grid: real files hold longitudes such as -180.00000000000017."""
_CHANGED_SHARE: Final = 0.01
_CHANGED_M2: Final = 100.0


@dataclass(frozen=True, slots=True)
class GeometryRules:
    """What the geometries of one import have to be. ``region`` None = anywhere on earth."""

    kind: GeometryKind
    crs: Crs
    region: Box | None
    repair: bool


@dataclass(slots=True)
class CheckedGeometries:
    """``stored`` holds None for refused rows; boxes are lon/lat, of refused rows with a place."""

    stored: GeometryArray
    areas_m2: FloatArray
    altered: BoolArray
    """The stored geometry differs from the one in the file."""
    refused_boxes: list[Box] = field(default_factory=list)
    source_boxes: FloatArray = field(default_factory=lambda: np.empty((0, 4)))
    """Boxes in the source's CRS of all rows with finite coordinates, for the diagnosis."""
    outside_boxes: list[FloatArray] = field(default_factory=list)
    """Those of the rows that lie outside the region, as the CRS was stated."""
    outside: int = 0
    repaired: int = 0


def check_geometries(batch: Batch, rules: GeometryRules, issues: IssueLog) -> CheckedGeometries:
    """Check and convert one batch; every refused row is a blocking issue."""
    work = _Work(batch, rules, issues)
    work.note_arcs_and_heights()
    work.refuse_unfit()
    work.require_validity()
    work.bring_to_storage()
    work.refuse_outside()
    work.mend_conversion()
    work.snap_and_measure()
    return work.result


class _Work:
    """The steps of one batch; ``alive`` are the indices not refused so far."""

    def __init__(self, batch: Batch, rules: GeometryRules, issues: IssueLog) -> None:
        self.batch, self.rules, self.issues = batch, rules, issues
        self.high = shapely.has_z(batch.geometries) | shapely.has_m(batch.geometries)
        self.geometries: GeometryArray = batch.geometries.copy()
        self.geometries[self.high] = shapely.force_2d(batch.geometries[self.high])
        count = len(batch)
        self.alive: npt.NDArray[np.int64] = np.arange(count)
        self.result = CheckedGeometries(
            stored=np.full(count, None, dtype=object),
            areas_m2=np.full(count, np.nan),
            altered=np.zeros(count, dtype=bool),
        )

    def refuse(
        self, index: int, code: str, reason: Text | None = None, *, value: object = None
    ) -> None:
        text = reason or REASONS[code]
        self.issues.add(
            code,
            "blocking",
            Text(zh=f"{text.zh}，该行被拒绝。", en=f"{text.en}; the row was refused."),
            row=self.batch.first_row + index,
            field="geometry",
            value=value,
        )

    def keep(self, good: BoolArray) -> None:
        self.alive = self.alive[good]

    def note_arcs_and_heights(self) -> None:
        for index in self.batch.linearised:
            self.issues.add(
                "arcs-linearised",
                "advisory",
                Text(zh="圆弧已折线化。", en="Arcs were turned into short straight segments."),
                row=self.batch.first_row + index,
                field="geometry",
            )
        if self.high.any() and "z-or-m-dropped" not in self.issues.counts:
            self.issues.add(
                "z-or-m-dropped",
                "advisory",
                Text(
                    zh="高程（Z）或量测值（M）不入库，已舍去。",
                    en="Heights (Z) or measures (M) are not stored and were dropped.",
                ),
                row=self.batch.first_row + int(np.flatnonzero(self.high)[0]),
                field="geometry",
            )

    def refuse_unfit(self) -> None:
        """Missing, unreadable, empty, of another kind, with coordinates that are no numbers."""
        for index, code in self.batch.faults.items():
            line = self.batch.fault_lines.get(index)
            self.refuse(index, code, _at_line(code, line), value=line and f"line {line}")
        self.keep(~shapely.is_missing(self.geometries[self.alive]))
        current = self.geometries[self.alive]
        empty = shapely.is_empty(current)
        finite = self._finite(current)
        wanted = _DIMENSION[self.rules.kind]
        kinds = shapely.get_dimensions(current) == wanted
        mixed = shapely.get_type_id(current) == shapely.GeometryType.GEOMETRYCOLLECTION
        for position in np.flatnonzero(empty | ~finite | ~kinds | mixed):
            index = int(self.alive[position])
            if empty[position]:
                self.refuse(index, "geometry-empty")
            elif not finite[position]:
                self.refuse(index, "coordinates-not-finite")
            else:
                self._refuse_kind(index, current[position].geom_type)
        located = finite & ~empty
        self.result.source_boxes = shapely.bounds(current[located])
        self._note_boxes(current[located & (~kinds | mixed)])
        self.keep(located & kinds & ~mixed)

    def _refuse_kind(self, index: int, found: str) -> None:
        wanted = KIND_NAMES[self.rules.kind]
        reason = Text(
            zh=f"图形类型是 {found}，图层要求{wanted.zh}",
            en=f"The geometry is a {found}, the layer holds {wanted.en}",
        )
        self.refuse(index, "geometry-kind", reason, value=found)

    @staticmethod
    def _finite(geometries: GeometryArray) -> BoolArray:
        if np.isfinite(shapely.get_coordinates(geometries)).all():
            return np.ones(len(geometries), dtype=bool)
        coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
        wrong = ~np.isfinite(coordinates).all(axis=1)
        finite = np.ones(len(geometries), dtype=bool)
        finite[owner[wrong]] = False
        return finite

    def _note_boxes(self, geometries: GeometryArray) -> None:
        """Keep where refused rows lie, from geometries in the source's CRS."""
        if len(geometries):
            self._add_boxes(shapely.bounds(to_storage(geometries, self.rules.crs)))

    def _add_boxes(self, boxes: FloatArray) -> None:
        self.result.refused_boxes.extend(
            (b[0], b[1], b[2], b[3]) for b in boxes.tolist() if np.isfinite(b).all()
        )

    def require_validity(self) -> None:
        """Refuse what is invalid in the file's own coordinates, or mend it where asked.

        A ring that touches itself between vertices can come out of a change of CRS as valid, so
        the question is put before it.
        """
        good = are_valid(self.geometries[self.alive])
        for position in np.flatnonzero(~good):
            index = int(self.alive[position])
            good[position] = self._mend(index) if self.rules.repair else False
            if not good[position]:
                reason, place = self._validity_reason(self.geometries[index])
                self.refuse(index, "geometry-invalid", reason, value=place)
        self._note_boxes(self.geometries[self.alive[~good]])
        self.keep(good)

    def _mend(self, index: int) -> bool:
        broken = self.geometries[index]
        reason, place = self._validity_reason(broken)
        mended = shapely.make_valid(broken, method="structure", keep_collapsed=False)
        if mended.is_empty or shapely.get_dimensions(mended) != _DIMENSION[self.rules.kind]:
            return False
        self.geometries[index] = mended
        self.result.repaired += 1
        self._note_mended("geometry-repaired", index, broken, mended, reason, place)
        return True

    def _note_mended(
        self,
        code: str,
        index: int,
        broken: shapely.Geometry,
        mended: shapely.Geometry,
        reason: Text,
        place: str | None,
    ) -> None:
        after = float(areas_m2(to_storage(np.array([mended], dtype=object), self.rules.crs))[0])
        before = _area_before(broken, mended, after)
        self.issues.add(
            code,
            _severity_of_change(before, after),
            Text(
                zh=f"{reason.zh}；已修复，面积由 {before:.2f} 变为 {after:.2f} 平方米。",
                en=f"{reason.en}; repaired, area {before:.2f} m2 before and {after:.2f} m2 after.",
            ),
            row=self.batch.first_row + index,
            field="geometry",
            value=place,
        )

    def _validity_reason(self, geometry: shapely.Geometry) -> tuple[Text, str | None]:
        """GEOS's reason with the position as in the file, and the position as ``lon lat``."""
        words = str(shapely.is_valid_reason(geometry))
        found = _POSITION.match(words)
        kind = found.group(1).strip() if found else words
        where = place = ""
        if found:
            x, y = float(found.group(2)), float(found.group(3))
            where = (
                f"{x:.8g} {y:.8g}" if self.rules.crs.kind == "geographic" else f"{x:.3f} {y:.3f}"
            )
            point = to_storage(np.array([shapely.Point(x, y)], dtype=object), self.rules.crs)[0]
            place = f"{point.x:.8f} {point.y:.8f}"
        return (
            Text(
                zh=f"图形无效：{FAULTS_ZH.get(kind, kind)}" + (f"（{where}）" if where else ""),
                en=f"Invalid geometry: {kind}" + (f" at {where}" if where else ""),
            ),
            place or None,
        )

    def bring_to_storage(self) -> None:
        """To lon/lat; what PROJ cannot convert or lies off the globe is refused."""
        moved = to_storage(self.geometries[self.alive], self.rules.crs)
        inside = _within(shapely.bounds(moved), WORLD)
        if not self.rules.crs.is_storage:
            inside &= self._finite(moved)
        for position in np.flatnonzero(~inside):
            place = " ".join(f"{value:.8g}" for value in shapely.bounds(moved[position]))
            self.refuse(int(self.alive[position]), "outside-crs-bounds", value=place)
        self._note_outside(~inside)
        self.moved: GeometryArray = moved[inside]
        self.keep(inside)

    def refuse_outside(self) -> None:
        """Every part of a feature has to lie in the region's box, and where a conversion holds."""
        if self.rules.region is not None:
            boxes = shapely.bounds(self.moved)
            self._note_outside(~_within(boxes, self.rules.region))
            self._refuse_beyond(boxes, self.rules.region, "outside-region")
        if self.rules.crs.conversion_area is not None:
            boxes = shapely.bounds(self.moved)
            self._refuse_beyond(boxes, self.rules.crs.conversion_area, "outside-conversion-area")

    def _refuse_beyond(self, boxes: FloatArray, allowed: Box, code: str) -> None:
        inside = _within(boxes, allowed)
        for position in np.flatnonzero(~inside):
            west, south, east, north = boxes[position]
            place = f"{west:.6f} {south:.6f} {east:.6f} {north:.6f}"
            self.refuse(int(self.alive[position]), code, value=place)
        self._add_boxes(boxes[~inside])
        self._narrow(inside)

    def _note_outside(self, outside: BoolArray) -> None:
        if outside.any():
            self.result.outside += int(outside.sum())
            self.result.outside_boxes.append(shapely.bounds(self.geometries[self.alive[outside]]))

    def _narrow(self, good: BoolArray) -> None:
        self.moved = self.moved[good]
        self.keep(good)

    def mend_conversion(self) -> None:
        """A valid geometry that the change of CRS made invalid is mended: that fault is ours."""
        if self.rules.crs.is_storage:
            return
        for position in np.flatnonzero(~are_valid(self.moved)):
            broken = self.moved[position]
            mended = shapely.make_valid(broken, method="structure", keep_collapsed=False)
            self.moved[position] = mended
            after = float(areas_m2([mended])[0])
            before = _area_before(broken, mended, after)
            self.issues.add(
                "conversion-mended",
                _severity_of_change(before, after),
                Text(
                    zh="坐标转换使图形自相接触；已修正，"
                    f"面积由 {before:.2f} 变为 {after:.2f} 平方米。",
                    en="The change of CRS made the geometry touch itself; mended, area "
                    f"{before:.2f} m2 before and {after:.2f} m2 after.",
                ),
                row=self.batch.first_row + int(self.alive[position]),
                field="geometry",
            )

    def snap_and_measure(self) -> None:
        """To the storage grid; what collapses there is refused. Areas are measured here."""
        snapped = snap(self.moved)
        lost = shapely.is_empty(snapped) | (
            shapely.get_dimensions(snapped) != _DIMENSION[self.rules.kind]
        )
        for index in self.alive[lost]:
            self.refuse(int(index), "thinner-than-grid")
        self._add_boxes(shapely.bounds(self.moved[lost]))
        snapped, alive = snapped[~lost], self.alive[~lost]
        self._note_wide(snapped, alive)
        single = _without_needless_multi(snapped)
        self.result.stored[alive] = single
        if self.rules.kind == "polygon":
            self.result.areas_m2[alive] = areas_m2(single)
        original: Any = self.batch.geometries[alive]
        same = shapely.equals_exact(original, snapped, tolerance=0.0)
        self.result.altered[alive] = ~(same & ~self.high[alive])

    def _note_wide(self, geometries: GeometryArray, indices: npt.NDArray[np.int64]) -> None:
        boxes = shapely.bounds(geometries)
        for position in np.flatnonzero(boxes[:, 2] - boxes[:, 0] > 180.0):
            self.issues.add(
                "crosses-antimeridian",
                "advisory",
                Text(
                    zh="图形跨度超过 180 度，可能跨越日界线。",
                    en="The geometry is wider than 180 degrees; it may cross the antimeridian.",
                ),
                row=self.batch.first_row + int(indices[position]),
                field="geometry",
            )


def _at_line(code: str, line: int | None) -> Text | None:
    """The reason with the line of the file it stands in, where there are lines."""
    if line is None:
        return None
    return Text(zh=f"第{line}行：{REASONS[code].zh}", en=f"Line {line}: {REASONS[code].en}")


def _area_before(broken: shapely.Geometry, mended: shapely.Geometry, after_m2: float) -> float:
    """Area of an invalid geometry in m2, by the ratio of both in the plane of their coordinates.

    ``areas_m2`` wants valid geometries: the densifying in it mends others silently, so that before
    and after would always be equal. Lobes of a ring that crosses itself count against each other
    here, and a strip that two parts share counts twice.
    """
    whole = float(shapely.area(mended))
    return after_m2 * float(shapely.area(broken)) / whole if whole else 0.0


def _severity_of_change(before_m2: float, after_m2: float) -> Severity:
    """Blocking where a geometry lost or gained more than 1 percent of its area, or 100 m2."""
    allowed_m2 = min(_CHANGED_SHARE * before_m2, _CHANGED_M2)
    return "advisory" if abs(after_m2 - before_m2) <= allowed_m2 else "blocking"


def _without_needless_multi(geometries: GeometryArray) -> GeometryArray:
    """A collection of one part becomes that part, so that every format gives the same content."""
    single = (shapely.get_num_geometries(geometries) == 1) & (shapely.get_type_id(geometries) > 3)
    result = geometries.copy()
    result[single] = shapely.get_geometry(geometries[single], 0)
    return result


def _within(boxes: FloatArray, outer: Box) -> BoolArray:
    """Whether boxes lie in an outer one; NaN does not."""
    west, south, east, north = boxes.T
    inside: BoolArray = (
        (west >= outer[0]) & (south >= outer[1]) & (east <= outer[2]) & (north <= outer[3])
    )
    return inside
