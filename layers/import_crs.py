"""Which CRS an import is read in, and what its report says of the datum.

Runs in the child that reads the file. What the caller states wins over what the file says; each
change of datum is an issue of its own, so that it stands in the report and in the edition.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely

from layers.crs import Box, Crs, parse_crs
from layers.crs_diagnosis import likely_systems
from layers.datum import Transformation
from layers.errors import CrsRefused
from layers.geometry_checks import CheckedGeometries, FloatArray
from layers.import_issues import IssueLog
from layers.text import Text

_SAMPLED: Final = 1_000


@dataclass(frozen=True, slots=True)
class StatedCrs:
    """What the caller says of the coordinates; all of it may be missing."""

    source_crs: str | None = None
    transformation: Transformation | None = None
    convert_obfuscated: bool = False


def choose_crs(stated: StatedCrs, file_says: str | None, issues: IssueLog) -> Crs:
    """The stated CRS wins over the file's own; without either the file is refused."""
    text = stated.source_crs or file_says
    if not text:
        raise CrsRefused(
            "The file does not say its coordinate reference system; state it (--source-crs).",
            "文件未说明坐标系；请指定坐标系（--source-crs）。",
            code="no-crs",
        )
    chosen = parse_crs(text, stated.transformation, convert_obfuscated=stated.convert_obfuscated)
    if stated.source_crs is not None and file_says:
        _note_override(chosen, file_says, issues)
    _note_datum(chosen, issues)
    return chosen


def _note_override(chosen: Crs, file_says: str, issues: IssueLog) -> None:
    try:
        own = parse_crs(file_says)
        same, name = (own.code, own.wkt) == (chosen.code, chosen.wkt), own.code
        same = same or (own.srid is not None and own.srid == chosen.srid)
    except CrsRefused:
        same, name = False, " ".join(file_says.split())[:60]
    if not same:
        issues.add(
            "crs-overridden",
            "advisory",
            Text(
                zh=f"文件声明的坐标系与指定的不同，按 {chosen.code} 读取。",
                en=f"The file states another CRS than the caller; it was read as {chosen.code}.",
            ),
            value=name,
        )


def _note_datum(crs: Crs, issues: IssueLog) -> None:
    """Every content that was not CGCS2000 in the file says so."""
    if crs.datum == "wgs84":
        issues.add(
            "wgs84-taken-as-cgcs2000",
            "advisory",
            Text(
                zh="WGS 84 坐标按 CGCS2000 使用（两者相差在分米以内，系声明的等同，未作转换）。",
                en="WGS 84 coordinates were taken as CGCS2000: a stated identity, they agree "
                "within decimetres; nothing was converted.",
            ),
            value=crs.code,
        )
    elif crs.datum in ("gcj02", "bd09"):
        issues.add(
            "converted-from-obfuscated",
            "blocking",
            Text(
                zh=f"坐标由 {crs.code} 加偏坐标反算而来，精度约 {crs.added_accuracy_m:g} 米，"
                "不得作为法定依据；确需发布须说明理由（--accept-blocking）。",
                en=f"The coordinates were computed back from {crs.code}, an obfuscation: accurate "
                f"to about {crs.added_accuracy_m:g} m and not for statutory use. To publish them "
                "all the same needs a reason (--accept-blocking).",
            ),
            value=crs.code,
        )
    elif crs.transformation is not None:
        one = crs.transformation
        issues.add(
            "datum-transformed",
            "advisory",
            Text(
                zh=f"坐标按登记的转换“{one.title.zh}”（{one.id}）转换到 CGCS2000，"
                f"精度 {one.accuracy_m:g} 米。",
                en=f"Coordinates were brought to CGCS2000 by the stated transformation {one.id} "
                f"({one.title.en}), accuracy {one.accuracy_m:g} m.",
            ),
            value=one.id,
        )


class CrsWitness:
    """Watches where features come to lie while a file is read, and speaks at its end."""

    def __init__(self, crs: Crs, region: Box | None) -> None:
        """Watch a file that is read in a CRS; without a region nothing is outside."""
        self.crs, self.region = crs, region
        self.outside: list[FloatArray] = []
        self.kept = 0
        self.extent: FloatArray = np.array([np.inf, np.inf, -np.inf, -np.inf])

    def see(self, checked: CheckedGeometries) -> None:
        """Take note of one batch."""
        for boxes in checked.outside_boxes:
            if self.kept < _SAMPLED:
                self.outside.append((boxes[:, :2] + boxes[:, 2:]) / 2)
                self.kept += len(boxes)
        stored = checked.stored[~shapely.is_missing(checked.stored)]
        if len(stored):
            west, south, east, north = shapely.total_bounds(stored)
            low, high = (
                np.fmin(self.extent[:2], (west, south)),
                np.fmax(self.extent[2:], (east, north)),
            )
            self.extent = np.concatenate((low, high))

    def speak(self, issues: IssueLog) -> None:
        """Say what the whole file shows: a part in another CRS, features far from the zone."""
        self._note_part_outside(issues)
        self._note_area_of_use(issues)

    def _note_part_outside(self, issues: IssueLog) -> None:
        """Rows outside the region that another CRS would explain: two systems in one file."""
        if self.region is None or not self.outside:
            return
        centres = np.concatenate(self.outside)
        centres = centres[np.isfinite(centres).all(axis=1)]
        guesses = likely_systems(centres, self.crs, self.region) if len(centres) else []
        if guesses:
            issues.add(
                "crs-mismatch-in-part",
                "blocking",
                Text(
                    zh="被判为区域外的行可能使用了另一坐标系：" + "；或".join(g.zh for g in guesses)
                    + "。",
                    en="The rows outside the region may be in another CRS: "
                    + "; or ".join(g.en for g in guesses) + ".",
                ),
                field="geometry",
            )  # fmt: skip

    def _note_area_of_use(self, issues: IssueLog) -> None:
        """Islands south of 18.1 degrees lie outside every zone's registered area: a hint only."""
        allowed = self.crs.area_of_use
        west, south, east, north = (float(value) for value in self.extent)
        if allowed is None or west > east:
            return
        if (
            west >= allowed[0]
            and south >= allowed[1]
            and east <= allowed[2]
            and north <= allowed[3]
        ):
            return
        box = ", ".join(f"{value:g}" for value in allowed)
        issues.add(
            "outside-area-of-use",
            "advisory",
            Text(
                zh=f"部分图形位于 {self.crs.code} 的登记适用范围（{box}）之外；请确认分带。",
                en=f"Some features lie outside the registered area of use of {self.crs.code} "
                f"({box}); make sure that the zone is right.",
            ),
            field="geometry",
            value=f"{west:.6f} {south:.6f} {east:.6f} {north:.6f}",
        )
