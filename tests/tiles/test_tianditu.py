"""How clients of tianditu really ask: a corpus of queries found in public code."""

import pytest

from layers.errors import BadParameter, NotFound
from tiles.tianditu import (
    PRODUCTS,
    Service,
    asks_for_anything,
    key_value_pairs,
    leading_integer,
    service_named,
)

CORPUS = {
    "canonical": "SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER=vec&STYLE=default"
    "&TILEMATRIXSET=c&FORMAT=tiles&TILEMATRIX=10&TILEROW=199&TILECOL=825&tk=K",
    "mixed case": "layer=vec&style=default&tilematrixset=c&Service=WMTS&Request=GetTile"
    "&Version=1.0.0&Format=tiles&TileMatrix=10&TileCol=825&TileRow=199",
    "camel case": "service=WMTS&request=GetTile&tileMatrix=10&tilematrixSet=c&tileRow=199"
    "&tileCol=825",
    "lower case value, double ampersand": "SERVICE=WMTS&&REQUEST=gettile&TILEMATRIX=10"
    "&&TILEROW=199&TILECOL=825",
    "tk first (OpenLayers)": "tk=K&layer=vec&style=default&tilematrixset=c&Service=WMTS"
    "&Request=GetTile&Version=1.0.0&Format=tiles&TileMatrix=10&TileCol=825&TileRow=199",
    "junk": "SERVICE=WMTS&REQUEST=GetTile&TILEMATRIX=10&TILEROW=199&TILECOL=825&height=256"
    "&width=256&minZoom=1&maxZoom=18",
    "glued by ArcMap": "tk=K&TILEMATRIX=10&TILECOL=825&TILEROW=199SERVICE=WMTS&REQUEST=GetTile",
    "glued to the tk": "tk=421SERVICE=WMTS&REQUEST=GetTile&TILEMATRIX=10&TILEROW=199&TILECOL=825",
    "duplicates, first wins": "TILEMATRIX=10&TILEROW=199&TILECOL=825&TILEMATRIX=3&TILEROW=1"
    "&TILECOL=1&REQUEST=GetTile&REQUEST=GetCapabilities",
    "provincial": "layer=c&style=c&tilematrixset=c&Service=WMTS&Request=GetTile&TileMatrix=10"
    "&TileRow=199&TileCol=825",
    "percent and plus": "SERVICE=WMTS&REQUEST=GetTile&TILEMATRIX=%2010&TILEROW=+199&TILECOL=825%20",
}  # fmt: skip


@pytest.mark.parametrize("name", CORPUS)
def test_every_way_of_asking_names_the_tile(name: str) -> None:
    pairs = key_value_pairs(CORPUS[name])
    asked = [leading_integer(pairs, key) for key in ("TILEMATRIX", "TILECOL", "TILEROW")]
    assert asked == [10, 825, 199]
    assert pairs.get("REQUEST", "GetTile").lower() == "gettile"


def test_what_was_glued_on_is_read_as_its_own_parameter() -> None:
    pairs = key_value_pairs("tk=421SERVICE=WMTS&REQUEST=GetCapabilities")
    assert pairs == {"TK": "421", "SERVICE": "WMTS", "REQUEST": "GetCapabilities"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "MissingParameterValue"), ("", "MissingParameterValue"),
        ("a", "InvalidParameterValue"), ("1e", None), ("-1", None),
        ("9" * 30, "InvalidParameterValue"), ("٣", "InvalidParameterValue"),
        ("１２", "InvalidParameterValue"),
    ],
)  # fmt: skip
def test_whole_numbers_only(text: str | None, code: str | None) -> None:
    pairs = {} if text is None else {"TILEROW": text}
    if code is None:
        assert isinstance(leading_integer(pairs, "TILEROW"), int)
        return
    with pytest.raises(BadParameter) as refused:
        leading_integer(pairs, "TILEROW")
    assert refused.value.code == code
    assert "TILEROW" in refused.value.text.en


def test_services() -> None:
    assert service_named("vec_c") == Service("vec", "c")
    assert service_named("permanent_basic_farmland_W") == Service("permanent_basic_farmland", "w")
    for name in ("vec", "vec_x", "_c", ""):
        with pytest.raises(NotFound):
            service_named(name)


def test_products_are_what_their_clients_expect() -> None:
    forms = {name: one.form.id for name, one in PRODUCTS.items()}
    assert forms == {
        "vec": "png", "cva": "png", "img": "jpeg", "cia": "png", "ter": "jpeg", "cta": "png",
        "ibo": "png", "eva": "png", "eia": "png",
    }  # fmt: skip
    assert all(asks_for_anything(word) for word in ("tiles", "image/tile", "image/jpgpng", ""))
    assert not asks_for_anything("image/png")
