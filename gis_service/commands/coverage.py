"""What ``--coverage`` says: a word, or a GeoJSON file that is read in the child."""

from pathlib import Path
from typing import Literal

import shapely
from shapely.geometry.base import BaseGeometry

from layers.errors import BadParameter, UnreadableFile
from layers.sandbox import Sandbox


def read_choice(
    sandbox: Sandbox, choice: str | None
) -> Literal["region", "features"] | BaseGeometry | None:
    """The choice as ``layers.plan_import`` takes it."""
    if choice is None or choice == "region" or choice == "features":
        return choice  # type: ignore[return-value]
    file = Path(choice)
    if not file.is_file():
        raise BadParameter(
            f"--coverage: region, features or a GeoJSON file, not '{choice}'.",
            f"--coverage：region、features 或 GeoJSON 文件，而不是“{choice}”。",
        )
    return sandbox.run(read_coverage, file.read_bytes(), deadline_s=60)


def read_coverage(text: bytes) -> BaseGeometry:
    """The union of the polygons of a GeoJSON text (longitude, latitude)."""
    try:
        parts = shapely.get_parts(shapely.get_parts(shapely.from_geojson(text.decode())))
    except (shapely.GEOSException, UnicodeDecodeError) as error:
        raise UnreadableFile(
            "The coverage file is no valid GeoJSON.", "覆盖范围文件不是合法的 GeoJSON。"
        ) from error
    area = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    if area.is_empty:
        raise UnreadableFile(
            "The coverage file holds no polygon.", "覆盖范围文件中没有面要素。", code="no-polygon"
        )
    return area
