"""Findings: one row of a quality report, and the collector that bounds how many are kept."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from layers.catalog import GeometryKind
from layers.quality.levels import LayerLevels
from layers.text import Text

Severity = Literal["blocking", "advisory"]
Origin = Literal["import", "edition"]
Unit = Literal["m2", "m", "deg", "1"]

_LONGEST_VALUE: Final = 120


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, and by how much.

    ``geometry`` is WKB, ``place`` a point in it, both EPSG:4490 with x = longitude. ``measured``
    is the figure that was compared, in ``unit``; ``width_m`` the widest place of a gap or overlap.
    """

    code: str
    severity: Severity
    layer: str
    content: int
    reason: Text
    origin: Origin = "edition"
    feature_ids: tuple[str, ...] = ()
    other_layer: str | None = None
    other_content: int | None = None
    row: int | None = None
    field: str | None = None
    value: str | None = None
    measured: float | None = None
    unit: Unit | None = None
    width_m: float | None = None
    geometry: bytes | None = None
    place: tuple[float, float] | None = None


class CheckedLayer(NamedTuple):
    """What the checks of a content need to know of its layer."""

    layer: str
    title: Text
    content: int
    kind: GeometryKind
    accuracy_m: float
    tessellation: bool
    levels: LayerLevels


class CountKey(NamedTuple):
    """By what findings are counted."""

    layer: str
    code: str
    origin: Origin
    severity: Severity


@dataclass(slots=True)
class Findings:
    """Collects findings; keeps the first of each kind in a layer, counts all."""

    kept_per_code: int
    kept: list[Finding] = field(default_factory=list)
    counts: Counter[CountKey] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Take in one finding."""
        self.add_all([finding])

    def add_all(self, findings: Iterable[Finding]) -> None:
        """Take in findings; the important ones first, for only so many are kept."""
        for one in findings:
            key = CountKey(one.layer, one.code, one.origin, one.severity)
            self.counts[key] += 1
            if self.counts[key] <= self.kept_per_code:
                self.kept.append(one)

    def count_more(self, key: CountKey, number: int) -> None:
        """Count findings of which only the number is known."""
        self.counts[key] += number

    def total(self, severity: Severity) -> int:
        """How many findings have that severity, kept or not."""
        return sum(count for key, count in self.counts.items() if key.severity == severity)

    def has(self, codes: Iterable[str]) -> bool:
        """Whether one of the codes was found."""
        wanted = set(codes)
        return any(key.code in wanted for key in self.counts)


def found(
    layer: CheckedLayer,
    code: str,
    reason: Text,
    *,
    feature_ids: tuple[str, ...] = (),
    other: CheckedLayer | None = None,
    field: str | None = None,
    value: object = None,
    measured: float | None = None,
    unit: Unit | None = None,
    width_m: float | None = None,
    geometry: bytes | None = None,
    place: tuple[float, float] | None = None,
) -> list[Finding]:
    """A finding with the severity that the layer's levels give its code; none where it is off."""
    level = layer.levels.severity(code)
    if level == "off":
        return []
    return [
        Finding(
            code=code,
            severity=level,
            layer=layer.layer,
            content=layer.content,
            reason=reason,
            feature_ids=feature_ids,
            other_layer=other.layer if other else None,
            other_content=other.content if other else None,
            field=field,
            value=None if value is None else str(value)[:_LONGEST_VALUE],
            measured=measured,
            unit=unit,
            width_m=width_m,
            geometry=geometry,
            place=place,
        )
    ]
