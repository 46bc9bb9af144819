"""WMTS 1.0.0 capabilities (OGC 07-057r7) from one model, in two flavours.

``ogc``   scale denominators on pixels of 0.28 mm, bounding boxes with their CRS in its own order of
          axes, a correct corner: what OpenLayers, GDAL, QGIS and ArcGIS compute with.
``96dpi`` the document that tianditu publishes at ``/{layer}_{grid}/wmts``: denominators for 96 dpi,
          EPSG:900913, the corner of ``w`` turned round, one format ``tiles``. maptalks needs it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

from tiles.matrix_set import Box, MatrixSet, TileMatrix

Flavour = Literal["ogc", "96dpi"]

SCALE_96_DPI: Final = 0.00028 / (0.0254 / 96)
"""What a denominator on 0.28 mm pixels is multiplied by to stand on pixels of 96 dpi."""
_NAMESPACES: Final = (
    'xmlns="http://www.opengis.net/wmts/1.0" xmlns:ows="http://www.opengis.net/ows/1.1" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:gml="http://www.opengis.net/gml" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.opengis.net/wmts/1.0 '
    'http://schemas.opengis.net/wmts/1.0/wmtsGetCapabilities_response.xsd"'
)
_LEGACY_LEVELS: Final = range(1, 19)
_LEGACY_CRS: Final = {"EPSG:3857": "EPSG::900913"}


@dataclass(frozen=True, slots=True)
class WmtsLayer:
    """A layer of the document; ``box`` in degrees; ``templates`` by media type for RESTful."""

    id: str
    title: str
    abstract: str
    box: Box
    formats: tuple[str, ...]
    matrix_sets: tuple[str, ...]
    templates: tuple[tuple[str, str], ...] = ()
    info_formats: tuple[str, ...] = ()
    info_template: str | None = None
    legend: str | None = None


@dataclass(frozen=True, slots=True)
class WmtsService:
    """What a capabilities document says; ``address`` is the KVP address without a query."""

    title: str
    abstract: str
    keywords: tuple[str, ...]
    address: str
    layers: tuple[WmtsLayer, ...]
    matrix_sets: tuple[MatrixSet, ...]
    restful: str | None = None
    """Address of the RESTful capabilities."""
    has_feature_info: bool = False


def capabilities(service: WmtsService, flavour: Flavour) -> str:
    """The document as XML text."""
    return "\n".join(_document(service, flavour)) + "\n"


def _document(service: WmtsService, flavour: Flavour) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<Capabilities {_NAMESPACES} version="1.0.0">'
    yield "<ows:ServiceIdentification>"
    yield f"<ows:Title>{escape(service.title)}</ows:Title>"
    yield f"<ows:Abstract>{escape(service.abstract)}</ows:Abstract>"
    words = "".join(f"<ows:Keyword>{escape(word)}</ows:Keyword>" for word in service.keywords)
    yield f"<ows:Keywords>{words}</ows:Keywords>"
    kind = "wmts" if flavour == "96dpi" else "OGC WMTS"
    yield f"<ows:ServiceType>{kind}</ows:ServiceType>"
    yield "<ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion>"
    yield "<ows:Fees>none</ows:Fees><ows:AccessConstraints>none</ows:AccessConstraints>"
    yield "</ows:ServiceIdentification>"
    yield from _operations(service)
    yield "<Contents>"
    for layer in service.layers:
        yield from _layer(layer, service, flavour)
    for matrix_set in service.matrix_sets:
        yield from _matrix_set(matrix_set, flavour)
    yield "</Contents>"
    if service.restful:
        yield f"<ServiceMetadataURL xlink:href={quoteattr(service.restful)}/>"
    yield "</Capabilities>"


def _operations(service: WmtsService) -> Iterator[str]:
    # ArcMap glues its own parameters to the address and fails on an "&" at its end.
    end = "" if "?" in service.address else "?"
    names = ["GetCapabilities", "GetTile"] + ["GetFeatureInfo"] * service.has_feature_info
    yield "<ows:OperationsMetadata>"
    for name in names:
        yield f'<ows:Operation name="{name}"><ows:DCP><ows:HTTP>'
        yield _get(service.address + end, "KVP")
        if service.restful and name == "GetCapabilities":
            yield _get(service.restful, "RESTful")
        yield "</ows:HTTP></ows:DCP></ows:Operation>"
    yield "</ows:OperationsMetadata>"


def _get(address: str, encoding: str) -> str:
    return (
        f"<ows:Get xlink:href={quoteattr(address)}>"
        '<ows:Constraint name="GetEncoding"><ows:AllowedValues>'
        f"<ows:Value>{encoding}</ows:Value>"
        "</ows:AllowedValues></ows:Constraint></ows:Get>"
    )


def _layer(layer: WmtsLayer, service: WmtsService, flavour: Flavour) -> Iterator[str]:
    yield "<Layer>"
    yield f"<ows:Title>{escape(layer.title)}</ows:Title>"
    yield f"<ows:Abstract>{escape(layer.abstract)}</ows:Abstract>"
    west, south, east, north = layer.box
    yield _corners("ows:WGS84BoundingBox", "", (west, south), (east, north))
    yield f"<ows:Identifier>{escape(layer.id)}</ows:Identifier>"
    if flavour == "ogc":
        for matrix_set in service.matrix_sets:
            if matrix_set.id in layer.matrix_sets:
                yield _world_box(matrix_set)
    legend = (
        f'<LegendURL format="image/png" xlink:href={quoteattr(layer.legend)}/>'
        if layer.legend
        else ""
    )
    yield (
        '<Style isDefault="true"><ows:Title>default</ows:Title>'
        f"<ows:Identifier>default</ows:Identifier>{legend}</Style>"
    )
    for form in layer.formats:
        yield f"<Format>{form}</Format>"
    for form in layer.info_formats:
        yield f"<InfoFormat>{form}</InfoFormat>"
    for set_id in layer.matrix_sets:
        yield f"<TileMatrixSetLink><TileMatrixSet>{set_id}</TileMatrixSet></TileMatrixSetLink>"
    for form, template in layer.templates:
        yield (f'<ResourceURL format="{form}" resourceType="tile" template={quoteattr(template)}/>')
    if layer.info_template:
        yield (
            f'<ResourceURL format="{layer.info_formats[0]}" resourceType="FeatureInfo" '
            f"template={quoteattr(layer.info_template)}/>"
        )
    yield "</Layer>"


def _world_box(matrix_set: MatrixSet) -> str:
    """Where the grid lies, in its CRS's own order of axes: without that GDAL reads it crossed."""
    last = matrix_set.matrices[0]
    low = (last.west, last.north - last.rows * last.span)
    high = (last.west + last.columns * last.span, last.north)
    if matrix_set.crs.swapped:
        low, high = low[::-1], high[::-1]
    return _corners("ows:BoundingBox", f' crs="{_urn(matrix_set)}"', low, high)


def _corners(name: str, attributes: str, low: Sequence[float], high: Sequence[float]) -> str:
    lower, upper = (" ".join(repr(float(value)) for value in corner) for corner in (low, high))
    return (
        f"<{name}{attributes}><ows:LowerCorner>{lower}</ows:LowerCorner>"
        f"<ows:UpperCorner>{upper}</ows:UpperCorner></{name}>"
    )


def _urn(matrix_set: MatrixSet) -> str:
    code = matrix_set.crs.code
    if matrix_set.crs.srid is None:
        return "urn:ogc:def:crs:OGC:1.3:CRS84"
    return f"urn:ogc:def:crs:{code.replace(':', '::')}"


def _matrix_set(matrix_set: MatrixSet, flavour: Flavour) -> Iterator[str]:
    code = _urn(matrix_set)
    matrices: Sequence[TileMatrix] = matrix_set.matrices
    if flavour == "96dpi":
        legacy = _LEGACY_CRS.get(matrix_set.crs.code)
        code = f"urn:ogc:def:crs:{legacy}" if legacy else code
        matrices = [one for one in matrices if one.z in _LEGACY_LEVELS]
    yield "<TileMatrixSet>"
    yield f"<ows:Identifier>{escape(matrix_set.id)}</ows:Identifier>"
    yield f"<ows:SupportedCRS>{code}</ows:SupportedCRS>"
    for matrix in matrices:
        yield from _matrix(matrix, matrix_set, flavour)
    yield "</TileMatrixSet>"


def _matrix(matrix: TileMatrix, matrix_set: MatrixSet, flavour: Flavour) -> Iterator[str]:
    denominator = matrix.scale_denominator
    corner = (matrix.west, matrix.north)
    if matrix_set.crs.swapped:
        corner = corner[::-1]
    if flavour == "96dpi":
        denominator *= SCALE_96_DPI
        if matrix_set.crs.kind == "projected":
            # The lower right in fact. Clients of this document turn it back.
            corner = corner[::-1]
    yield "<TileMatrix>"
    yield f"<ows:Identifier>{matrix.z}</ows:Identifier>"
    yield f"<ScaleDenominator>{denominator!r}</ScaleDenominator>"
    yield f"<TopLeftCorner>{corner[0]!r} {corner[1]!r}</TopLeftCorner>"
    yield f"<TileWidth>{matrix.tile_px}</TileWidth><TileHeight>{matrix.tile_px}</TileHeight>"
    yield f"<MatrixWidth>{matrix.columns}</MatrixWidth>"
    yield f"<MatrixHeight>{matrix.rows}</MatrixHeight>"
    yield "</TileMatrix>"


def exception_report(code: str, text: str, language: str, locator: str | None = None) -> str:
    """What went wrong, as OWS Common 1.1 says it."""
    place = f" locator={quoteattr(locator)}" if locator else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1" version="1.1.0" '
        f'xml:lang="{language}"><ows:Exception exceptionCode={quoteattr(code)}{place}>'
        f"<ows:ExceptionText>{escape(text)}</ows:ExceptionText>"
        "</ows:Exception></ows:ExceptionReport>\n"
    )
