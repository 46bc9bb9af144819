"""What pygeoapi loads by dotted path: it tells fields and descriptions, our own routes do the work.

The only module that imports pygeoapi when it is imported itself; ``gis_service.ogc`` loads it in
the background, because that takes two seconds of a core.
"""

from typing import Any

from pygeoapi.process.base import BaseProcessor
from pygeoapi.provider.base import BaseProvider

from gis_service.processes import PROCESSES


class CatalogueProvider(BaseProvider):  # type: ignore[misc]
    """Fields of a layer as the catalogue has them.

    It is made anew for every request by pygeoapi, so it opens nothing. ``/items`` never comes
    here (pygeoapi would filter bounding boxes in the authority's axis order and page by OFFSET).
    """

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """Keep the fields that ``gis_service.ogc`` put into the definition."""
        super().__init__(provider_def)
        self._fields = dict(provider_def["fields"])

    def get_fields(self) -> dict[str, dict[str, str]]:
        """Names and types of the attributes."""
        fields: dict[str, dict[str, str]] = self._fields
        return fields


class Described(BaseProcessor):  # type: ignore[misc]
    """What pygeoapi needs of a process: its description."""

    def __init__(self, processor_def: dict[str, Any]) -> None:
        """Find the description that the definition names."""
        super().__init__(processor_def, dict(PROCESSES[processor_def["process"]].description))
