"""Candidates of a check and what lies at a place."""

from typing import Any

import pytest
import shapely

from layers.database import Connection
from layers.errors import LimitExceeded
from layers.features import (
    at_place,
    candidates,
    coverage_near,
    covered_at,
    library_version,
)

REDLINE = "ecological_redline"


@pytest.fixture
def content_id(connection: Connection, publish_layer: Any) -> int:
    ring = shapely.Point(110.5, 19.5).buffer(0.2, quad_segs=200)  # 800 vertices: many pieces
    publish_layer(
        REDLINE,
        [ring, shapely.box(110, 19, 110.01, 19.01)],
        {"redline_id": ["ring", "box"]},
        coverage=shapely.box(109.9, 18.9, 111, 20),
    )
    (found,) = connection.execute("SELECT max(id) FROM library.layer_content").fetchone()  # type: ignore[misc]
    return int(found)


def test_candidates_bring_the_near_pieces_only(connection: Connection, content_id: int) -> None:
    (near,) = candidates(connection, {content_id: [(110.29, 19.49, 110.31, 19.51)]})[content_id]
    assert (near.feature_id, near.attributes["redline_id"]) == ("1", "ring")
    pieces = shapely.from_wkb(list(near.pieces))
    whole = connection.execute(
        "SELECT count(*) FROM library.overlay_piece WHERE content_id = %s AND fid = 1",
        (content_id,),
    ).fetchone()
    assert whole is not None
    assert 0 < len(pieces) < whole[0]
    assert max(shapely.get_num_coordinates(pieces)) <= 129
    nowhere = {content_id: [(108.5, 18, 108.6, 18.1)]}
    assert candidates(connection, nowhere) == {content_id: ()}
    assert candidates(connection, {content_id: []}) == {content_id: ()}
    assert candidates(connection, {}) == {}


def test_many_boxes_give_each_piece_once(connection: Connection, content_id: int) -> None:
    one = candidates(connection, {content_id: [(110.0, 19.0, 110.5, 19.5)]})
    halves = [(110.0, 19.0, 110.3, 19.5), (110.2, 19.0, 110.5, 19.5)]
    assert candidates(connection, {content_id: halves}) == one


def test_pieces_together_are_the_feature(connection: Connection, content_id: int) -> None:
    found = candidates(connection, {content_id: [(107, 17, 112, 21)]})[content_id]
    for one in found:
        together = shapely.union_all(shapely.from_wkb(list(one.pieces)))
        (whole,) = connection.execute(
            "SELECT ST_AsBinary(geom) FROM library.feature WHERE content_id = %s AND fid = %s",
            (content_id, one.fid),
        ).fetchone()  # type: ignore[misc]
        assert together.symmetric_difference(shapely.from_wkb(whole)).area < 1e-12


def test_coverage_near_boxes_is_the_coverage_there(connection: Connection, content_id: int) -> None:
    box = (109.8, 18.8, 110.2, 19.2)
    (near,) = coverage_near(connection, {content_id: [box]}).values()
    window = shapely.box(*box)
    expected = shapely.box(109.9, 18.9, 111, 20).intersection(window)
    assert shapely.from_wkb(near).intersection(window).equals(expected)
    away = coverage_near(connection, {content_id: [(108, 18, 108.1, 18.1)]})
    assert shapely.from_wkb(away[content_id]).is_empty


def test_at_a_place(connection: Connection, content_id: int) -> None:
    (inside,) = at_place(connection, [content_id], 110.005, 19.005, 0.001)
    assert inside["feature_id"] == "2"
    assert inside["area_m2"] == pytest.approx(1_165_500, rel=0.01)
    # Near a polygon is not in it.
    assert at_place(connection, [content_id], 110.0101, 19.005, 0.001) == []
    assert covered_at(connection, [content_id], 110.2, 19.0) == {content_id}
    assert covered_at(connection, [content_id], 109.0, 19.0) == set()


def test_many_features_of_one_layer_hide_no_other(
    connection: Connection, publish_layer: Any
) -> None:
    lines = [shapely.LineString([(110, 19 + i / 1e5), (110.1, 19 + i / 1e5)]) for i in range(400)]
    publish_layer("coastline", lines)
    publish_layer(REDLINE, [shapely.box(109.9, 18.9, 110.2, 19.2)])
    contents = [
        number for (number,) in connection.execute("SELECT content_id FROM library.layer_in_force")
    ]
    found = at_place(connection, contents, 110.05, 19.002, 0.05)
    assert len({one["content_id"] for one in found}) == 2


def test_a_site_over_the_province_is_refused(
    connection: Connection, content_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layers.features.MOST_PIECES", 3)
    with pytest.raises(LimitExceeded) as refused:
        candidates(connection, {content_id: [(107, 17, 112, 21)]})
    assert refused.value.code == "site-too-large"


def test_version_moves_with_every_publish(connection: Connection, publish_layer: Any) -> None:
    versions = [library_version(connection)]
    for _ in range(3):
        publish_layer(REDLINE, [shapely.box(110, 19, 110.01, 19.01)])
        versions.append(library_version(connection))
    assert len(set(versions)) == 4
