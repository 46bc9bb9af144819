"""``/staticimage``: the picture around a place, with marks on their places."""

import io

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

MARK = np.array([216, 56, 44])


def picture(client: TestClient, query: str) -> np.ndarray:
    answer = client.get(f"/staticimage?{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.array(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


@pytest.mark.parametrize("grid", ["c", "w"])
def test_a_picture_is_a_piece_of_the_map(client: TestClient, grid: str) -> None:
    """Pixel for pixel what the tiles of that level show there, but for lines at the edges."""
    x, y = (206, 50) if grid == "c" else (206, 113)
    if grid == "c":
        span = 360 / 2**8
        center = (-180 + (x + 0.5) * span, 90 - (y + 0.5) * span)
    else:
        n = np.pi * (1 - 2 * (y + 0.5) / 2**8)
        center = (-180 + (x + 0.5) * 360 / 2**8, float(np.degrees(np.arctan(np.sinh(n)))))
    tile = client.get(f"/DataServer?T=vec_{grid}&x={x}&y={y}&l=8").content
    wanted = np.array(Image.open(io.BytesIO(tile)).convert("RGB")).astype(int)
    query = f"center={center[0]:.9f},{center[1]:.9f}&width=256&height=256&zoom=8"
    drawn = picture(client, f"{query}&layers=vec_{grid}")
    assert drawn.shape == (256, 256, 3)
    off = np.abs(drawn - wanted).sum(axis=2) > 60
    assert off.mean() < 0.02
    moved = np.abs(drawn[:, 6:] - wanted[:, :-6]).sum(axis=2) > 60
    assert moved.mean() > 2 * off.mean()


def test_marks_stand_on_their_places(client: TestClient) -> None:
    degrees = 360 / 2**10 / 256  # a pixel of level 10
    base = "center=109.8,19.3&width=400&height=300&zoom=10&layers=vec_c"
    plain = picture(client, base)
    marked = picture(client, f"{base}&markers={109.8 + 100 * degrees},{19.3 - 50 * degrees}")
    changed = np.abs(marked - plain).sum(axis=2) > 30
    rows, columns = np.nonzero(changed)
    assert (columns.min(), columns.max()) == (pytest.approx(293, abs=2), pytest.approx(307, abs=2))
    assert rows.max() == pytest.approx(200, abs=1), "the point of the pin"
    assert np.abs(marked[rows.min() + 4, 300] - MARK).sum() < 30 or changed.sum() > 150


@pytest.mark.parametrize(
    "query",
    ["width=5000", "height=0", "zoom=99", "zoom=a", "center=1", "center=200,10", "markers=nan,1",
     "layers=vec_c,cva_w", "markers=" + "|".join(["110,19"] * 51)],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/staticimage?{query}")
    assert answer.status_code == 400
    assert "ExceptionReport" in answer.text


def test_unknown_layers_are_not_there(client: TestClient) -> None:
    assert client.get("/staticimage?layers=nobody_c").status_code == 404
    assert client.get("/staticimage?layers=vec").status_code == 404
