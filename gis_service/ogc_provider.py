"""The feature provider that pygeoapi sees: it tells the fields, our own route gives the items."""

from typing import Any

from pygeoapi.provider.base import BaseProvider


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
