"""The area that a department declared, against the one that is computed."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from layers.area import HECTARE_M2, MU_M2
from layers.catalog import AreaUnit, Layer
from layers.quality.findings import CheckedLayer, Finding, found
from layers.text import Text

UNIT_M2: Final[Mapping[AreaUnit, float]] = {"m2": 1.0, "hectare": HECTARE_M2, "mu": MU_M2}
_NAMES: Final[Mapping[AreaUnit, Text]] = {
    "m2": Text(zh="平方米", en="m2"),
    "hectare": Text(zh="公顷", en="ha"),
    "mu": Text(zh="亩", en="mu"),
}


def check_declared_areas(
    layer: CheckedLayer,
    definition: Layer,
    feature_id: str,
    attributes: Mapping[str, Any],
    area_m2: float | None,
    place: tuple[float, float],
) -> Iterable[Finding]:
    """A finding where a declared area is off by more than the tolerance.

    The tolerance is the larger of a share of the computed area and a number of m2 that depends on
    the unit (half a last digit of a hectare is 50 m2). A feature that declares none has none.
    """
    for attribute in definition.kept_attributes:
        unit, value = attribute.declared_area, attributes.get(attribute.name)
        if unit is None or value is None or area_m2 is None:
            continue
        declared_m2 = float(value) * UNIT_M2[unit]
        limits = layer.levels.thresholds
        allowed_m2 = max(
            limits.declared_area_share * area_m2, getattr(limits.declared_area_m2, unit)
        )
        off_m2 = declared_m2 - area_m2
        if abs(off_m2) <= allowed_m2:
            continue
        name, share = _NAMES[unit], off_m2 / area_m2 if area_m2 else 0.0
        yield from found(
            layer,
            "declared-area",
            Text(
                zh=f"申报面积 {value:,} {name.zh}（{declared_m2:,.2f} 平方米），计算面积 "
                f"{area_m2:,.2f} 平方米，相差 {off_m2:+,.2f} 平方米（{share:+.2%}）。",
                en=f"Declared {value:,} {name.en} ({declared_m2:,.2f} m2), computed "
                f"{area_m2:,.2f} m2: off by {off_m2:+,.2f} m2 ({share:+.2%}).",
            ),
            feature_ids=(feature_id,),
            field=attribute.name,
            value=value,
            measured=off_m2,
            unit="m2",
            place=place,
        )
