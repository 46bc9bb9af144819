"""What the child that reads a file is told, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from layers.catalog import Catalog, Layer
from layers.crs import Box
from layers.datum import Transformation
from layers.errors import GisError
from layers.field_map import FieldMap

ROWS_PIPE: Final = "rows.pipe"
PIECES_PIPE: Final = "pieces.pipe"
CHUNKS_FILE: Final = "source-chunks.copy"
ISSUES_FILE: Final = "issues.jsonl"
KEPT_FILE: Final = "kept.npy"
KNOWN_FILE: Final = "known.npz"
PROGRESS_FILE: Final = "progress.json"


class NotComparable(GisError):
    """The file cannot be compared with the base row by row; it has to be read in full."""


@dataclass(frozen=True, slots=True)
class ImportJob:
    """Everything the child needs to know."""

    path: Path
    job_dir: Path
    content_id: int
    layer: Layer
    catalog: Catalog
    field_map: FieldMap | None
    source_crs: str | None
    source_layer: str | None
    region: Box | None
    repair: bool
    union_features: bool
    transformation: Transformation | None = None
    convert_obfuscated: bool = False
    first_fid: int | None = None
    """With the digests of a base (``KNOWN_FILE``): the fid that the first changed row gets."""
    changes_only: bool = False
    """The file holds changed and new rows only; those that it does not hold stay."""
    expected: Mapping[str, Any] | None = None
    """What the source of the base was (CRS, datum, fields): another one is not compared with."""
    draw: bool = False
    """Tile pieces are drawn on the way, into ``PIECES_PIPE``."""
    coverage_stated: bool = False
    """The caller said where the layer has data; else that becomes unknown with unplaced rows."""


@dataclass(slots=True)
class ReadResult:
    """What the child found; counts are of rows."""

    format: str
    source_crs: str
    file_sha256: str
    encoding: str | None
    read: int = 0
    accepted: int = 0
    repaired: int = 0
    refused: int = 0
    unplaced: int = 0
    """Refused rows of which nobody can say where they lie."""
    source_rows: int = 0
    content_sha256: str = ""
    blocking: int = 0
    issue_counts: dict[str, int] = field(default_factory=dict)
    refused_boxes: list[Box] = field(default_factory=list)
    features_union: bytes | None = None
    area_m2: float = 0.0
    length_deg: float = 0.0
    """Sums over the rows that were written; lengths are of lines."""
    unchanged: int = 0
    """Rows that the base holds as they are; they are accepted and not loaded again."""
    fields: str = ""
    """Which field became which attribute, as text."""
    datum: dict[str, Any] = field(default_factory=dict)
    """How the coordinates came to CGCS2000 (``Crs.statement``)."""
    added_accuracy_m: float = 0.0
    grids: list[dict[str, Any]] = field(default_factory=list)
    """Those of the pieces that were drawn (``layers.tile_changes.save_grids``)."""
