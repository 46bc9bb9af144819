"""``config/quality.yml``: what is misspelt, missing or unknown is refused with its place."""

from pathlib import Path

import pytest
import yaml

from layers.catalog import Catalog
from layers.errors import BadConfiguration
from layers.quality.levels import Levels, load_levels

CONFIG = Path(__file__).resolve().parents[3] / "config"


def changed(tmp_path: Path, catalog: Catalog, key: str, value: object) -> Levels:
    content = yaml.safe_load((CONFIG / "quality.yml").read_text("utf-8"))
    *steps, last = key.split("/")
    inner = content
    for step in steps:
        inner = inner.setdefault(step, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    (tmp_path / "quality.yml").write_text(yaml.safe_dump(content), "utf-8")
    return load_levels(tmp_path, catalog)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("severities/gapp", "off", "unknown code gapp"),
        ("severities/gap", None, "no severity for gap"),
        ("severities/gap", "fatal", "severities.gap"),
        ("thresholds/rounding_m", 0, "thresholds.rounding_m"),
        ("thresholds/rounding_mm", 2, "thresholds.rounding_mm"),
        ("thresholds/declared_area_m2/acre", 2, "declared_area_m2.acre"),
        ("layers/coastline/severities/spikes", "off", "layers.coastline: unknown code spikes"),
        ("layers/coastline/thresholds/spike_angle", 2, "spike_angle"),
        ("layers/nowhere/severities/spike", "off", "no layer nowhere"),
        ("control_lines", [{"layers": ["coastline", "nowhere"]}], "no layer nowhere"),
        ("control_lines", [{"layers": ["coastline", "coastline"]}], "twice"),
        ("limits/cell_deadline_s", None, "limits.cell_deadline_s"),
    ],
)
def test_wrong_configurations_are_refused(
    tmp_path: Path, catalog: Catalog, key: str, value: object, fault: str
) -> None:
    with pytest.raises(BadConfiguration) as error:
        changed(tmp_path, catalog, key, value)
    assert fault in str(error.value)


def test_a_layer_overrides_severities_and_thresholds(tmp_path: Path, catalog: Catalog) -> None:
    levels = changed(
        tmp_path,
        catalog,
        "layers/planned_landuse",
        {"severities": {"gap": "advisory", "spike": False}, "thresholds": {"rounding_m": 0.01}},
    )
    own, other = levels.of_layer("planned_landuse"), levels.of_layer("current_landuse")
    assert (own.severity("gap"), other.severity("gap")) == ("advisory", "blocking")
    assert not own.asks("spike")  # a bare off of YAML is false
    assert (own.thresholds.rounding_m, other.thresholds.rounding_m) == (0.01, 0.002)
    assert own.thresholds.spike_angle_deg == other.thresholds.spike_angle_deg
