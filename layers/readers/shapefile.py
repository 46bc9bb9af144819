"""Shapefile: three to five files that belong together, in a folder or out of an archive.

GDAL gets links in the job's own folder: .shp, .shx, a .dbf whose names are whole, and a .cpg that
says the encoding found by ``layers.readers.dbf``. The .prj is read by us.
"""

from pathlib import Path
from typing import Final

import pyogrio

from layers.errors import UnreadableFile
from layers.readers.dbf import choose_encoding, mend_names
from layers.readers.source import Note, Source, damaged, describe

_PARTS: Final = (".shx", ".dbf", ".prj", ".cpg")


def open_shapefile(path: Path, job_dir: Path, layer: str | None) -> Source:
    """One .shp with its siblings, whatever the case of their suffixes."""
    if layer is not None and layer != path.stem:
        raise UnreadableFile(
            f"The shapefile's layer is '{path.stem}', not '{layer}'.",
            f"Shapefile 的图层是“{path.stem}”，不是“{layer}”。",
            code="unknown-source-layer",
        )
    _refuse_cut(path)
    parts = {suffix: _sibling(path, suffix) for suffix in _PARTS}
    notes: list[Note] = []
    folder = job_dir / "shapefile"
    folder.mkdir()
    _link(path, folder / "layer.shp")
    if parts[".shx"] is not None:
        _link(parts[".shx"], folder / "layer.shx")
    # For this file only: the option belongs to the process, which reads others after it.
    pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": parts[".shx"] is None})
    encoding = "UTF-8"
    dbf = parts[".dbf"]
    if dbf is not None:
        encoding = choose_encoding(dbf, parts[".cpg"], notes)
        mended = mend_names(dbf, job_dir / "mended.dbf", encoding, notes)
        _link(mended, folder / "layer.dbf")
    (folder / "layer.cpg").write_text(encoding, "ascii")
    prj = parts[".prj"]
    crs_text = prj.read_bytes().decode("utf-8", "replace").strip() if prj is not None else ""
    return describe(
        "Shapefile",
        "ESRI Shapefile",
        folder / "layer.shp",
        "layer",
        crs_text=crs_text,
        encoding=encoding,
        notes=tuple(notes),
    )


def _refuse_cut(path: Path) -> None:
    """The header says how long the file is, in 16-bit words; GDAL reads a shorter one silently."""
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or int.from_bytes(header[24:28], "big") * 2 > path.stat().st_size:
        raise damaged("Shapefile")


def _sibling(path: Path, suffix: str) -> Path | None:
    wanted = (path.stem + suffix).lower()
    found = sorted(p for p in path.parent.iterdir() if p.name.lower() == wanted)
    # Where a.shp and A.shp lie side by side each has its own: the same spelling comes first.
    return min(found, key=lambda p: p.stem != path.stem, default=None)


def _link(target: Path, link: Path) -> None:
    link.symlink_to(target.resolve())
