"""Every zone of the three Chinese datums: codes by formula, places by two independent oracles.

The oracles are the Krueger series, written down here from its published coefficients, and PostGIS,
which carries another PROJ and another register than pyproj.
"""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import shapely

from layers.crs import from_storage, parse_crs, to_storage, zone_code
from layers.crs_families import DatumFamily, ZoneWidth, neighbour_zone
from layers.database import Connection
from layers.datum import Helmert7, Plane4, Transformation
from layers.text import Text

# crs-and-formats 1.1: (first code, first zone, last zone) by family, width and prefix.
TABLE: dict[tuple[DatumFamily, ZoneWidth, bool], tuple[int, int, int]] = {
    ("cgcs2000", 3, True): (4513, 25, 45), ("cgcs2000", 3, False): (4534, 25, 45),
    ("cgcs2000", 6, True): (4491, 13, 23), ("cgcs2000", 6, False): (4502, 13, 23),
    ("xian80", 3, True): (2349, 25, 45), ("xian80", 3, False): (2370, 25, 45),
    ("xian80", 6, True): (2327, 13, 23), ("xian80", 6, False): (2338, 13, 23),
    ("beijing54", 3, True): (2401, 25, 45), ("beijing54", 3, False): (2422, 25, 45),
    ("beijing54", 6, True): (21413, 13, 23), ("beijing54", 6, False): (21453, 13, 23),
}  # fmt: skip
ELLIPSOIDS = {
    "cgcs2000": (6378137.0, 298.257222101),
    "xian80": (6378140.0, 298.257),
    "beijing54": (6378245.0, 298.3),
}
OFF_MERIDIAN, LATITUDE = 0.8, 20.0


def rows() -> Iterator[tuple[DatumFamily, ZoneWidth, bool, int, int]]:
    for (family, width, prefixed), (first_code, first, last) in TABLE.items():
        for zone in range(first, last + 1):
            yield family, width, prefixed, zone, first_code + zone - first


def gauss_kruger(
    lon: float, lat: float, central: float, easting: float, a: float, inverse: float
) -> tuple[float, float]:
    """Krueger's series to n^4 (Karney 2011, equations 8, 9, 12, 35), good to a micrometre here."""
    f = 1 / inverse
    n = f / (2 - f)
    e = math.sqrt(f * (2 - f))
    radius = a / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    alpha = (
        n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16 + 41 * n**4 / 180,
        13 * n**2 / 48 - 3 * n**3 / 5 + 557 * n**4 / 1440,
        61 * n**3 / 240 - 103 * n**4 / 140,
        49561 * n**4 / 161280,
    )
    tau = math.tan(math.radians(lat))
    sigma = math.sinh(e * math.atanh(e * tau / math.hypot(1, tau)))
    conformal = tau * math.hypot(1, sigma) - sigma * math.hypot(1, tau)
    away = math.radians(lon - central)
    xi = math.atan2(conformal, math.cos(away))
    eta = math.asinh(math.sin(away) / math.hypot(conformal, math.cos(away)))
    north = xi + sum(
        one * math.sin(2 * j * xi) * math.cosh(2 * j * eta) for j, one in enumerate(alpha, 1)
    )
    east = eta + sum(
        one * math.cos(2 * j * xi) * math.sinh(2 * j * eta) for j, one in enumerate(alpha, 1)
    )
    return easting + radius * east, radius * north


def transformation_of(family: str) -> Transformation:
    """Zeros: the geographic coordinates change by the ellipsoid only."""
    return Transformation(
        id="zeros", title=Text(zh="零", en="zeros"), source=family,  # type: ignore[arg-type]
        method=Helmert7(
            kind="helmert7", convention="position_vector", dx_m=0, dy_m=0, dz_m=0,
            rx_arcsec=0, ry_arcsec=0, rz_arcsec=0, scale_ppm=0,
        ),
        accuracy_m=1, provenance=Text(zh="测试", en="test"), area_of_use=(70, 0, 140, 60),
    )  # fmt: skip


def expected(
    family: str, width: int, prefixed: bool, zone: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    central = zone * 3.0 if width == 3 else zone * 6.0 - 3.0
    easting = zone * 1e6 + 5e5 if prefixed else 5e5
    lon = central + OFF_MERIDIAN
    return (lon, LATITUDE), gauss_kruger(lon, LATITUDE, central, easting, *ELLIPSOIDS[family])


@pytest.mark.parametrize(("family", "width", "prefixed", "zone", "code"), list(rows()))
def test_every_zone_has_its_code_and_its_plane(
    family: DatumFamily, width: ZoneWidth, prefixed: bool, zone: int, code: int
) -> None:
    place, plane = expected(family, width, prefixed, zone)
    assert zone_code(family, width, zone, prefixed=prefixed) == f"EPSG:{code}"
    stated = None if family == "cgcs2000" else transformation_of(family)
    crs = parse_crs(f"EPSG:{code}", stated)
    assert (crs.swapped, crs.kind, crs.datum) == (True, "projected", family)

    (stored,) = to_storage(np.array([shapely.Point(plane)]), crs)

    wanted = place if family == "cgcs2000" else on_cgcs2000(place, *ELLIPSOIDS[family])
    assert (stored.x, stored.y) == pytest.approx(wanted, abs=2e-11)
    if family == "cgcs2000":
        (back,) = from_storage(np.array([shapely.Point(place)]), crs)
        assert (back.x, back.y) == pytest.approx(plane, abs=2e-6)


def on_cgcs2000(place: tuple[float, float], a: float, inverse: float) -> tuple[float, float]:
    """The same point of space on the other ellipsoid, by closed formulas (Bowring 1976)."""
    lon, lat = place
    e2 = (2 - 1 / inverse) / inverse
    sine, cosine = math.sin(math.radians(lat)), math.cos(math.radians(lat))
    prime = a / math.sqrt(1 - e2 * sine**2)
    p, z = prime * cosine, prime * (1 - e2) * sine
    a2, f2 = 6378137.0, 1 / 298.257222101
    b2, e22 = a2 * (1 - f2), f2 * (2 - f2)
    theta = math.atan2(z * a2, p * b2)
    top = z + e22 / (1 - e22) * b2 * math.sin(theta) ** 3
    bottom = p - e22 * a2 * math.cos(theta) ** 3
    return lon, math.degrees(math.atan2(top, bottom))


def test_postgis_agrees_for_every_zone_of_its_own_datum(connection: Connection) -> None:
    geographic = {"cgcs2000": 4490, "xian80": 4610, "beijing54": 4214}
    for family, width, prefixed, zone, code in rows():
        (lon, lat), plane = expected(family, width, prefixed, zone)
        found = connection.execute(
            "SELECT ST_X(p), ST_Y(p) FROM ST_Transform(ST_SetSRID(ST_MakePoint(%s, %s), %s), %s)"
            " AS p",
            (lon, lat, geographic[family], code),
        ).fetchone()
        assert found == pytest.approx(plane, abs=1e-5), (family, width, prefixed, zone)


@pytest.mark.parametrize("code", range(21473, 21484))
def test_the_older_codes_of_beijing_1954_are_the_same_planes(code: int) -> None:
    zone = code - 21460
    place, plane = expected("beijing54", 6, False, zone)
    crs = parse_crs(f"EPSG:{code}", transformation_of("beijing54"))
    (stored,) = to_storage(np.array([shapely.Point(plane)]), crs)
    assert (stored.x, stored.y) == pytest.approx(
        on_cgcs2000(place, *ELLIPSOIDS["beijing54"]), abs=2e-11
    )


@pytest.mark.parametrize(("code", "family"), [(4610, "xian80"), (4214, "beijing54")])
def test_geographic_coordinates_of_the_older_datums(code: int, family: str) -> None:
    crs = parse_crs(f"EPSG:{code}", transformation_of(family))
    assert (crs.kind, crs.is_storage) == ("geographic", False)
    (stored,) = to_storage(np.array([shapely.Point(110.35, 20.02)]), crs)
    assert (stored.x, stored.y) == pytest.approx(
        on_cgcs2000((110.35, 20.02), *ELLIPSOIDS[family]), abs=2e-11
    )


@pytest.mark.parametrize("code", [4490, 4480])
def test_geographic_cgcs2000_is_stored_as_it_is(code: int) -> None:
    assert parse_crs(f"EPSG:{code}").is_storage


def test_zones_beyond_the_register_have_no_code() -> None:
    assert zone_code("cgcs2000", 3, 46, prefixed=True) is None
    assert zone_code("cgcs2000", 6, 12, prefixed=False) is None
    assert neighbour_zone("EPSG:4554", 1) is None
    assert neighbour_zone("EPSG:2361", -1) == "EPSG:2360"
    assert neighbour_zone("EPSG:4490", 0) is None


def test_four_parameters_start_from_their_own_plane() -> None:
    # Data in the prefixed zone, parameters adjusted in the plain one: the same datum, exact.
    stated = Transformation(
        id="p4", title=Text(zh="四参数", en="four"), source="xian80", accuracy_m=0.3,
        method=Plane4(
            kind="plane4", source_plane="EPSG:2382", target_plane="EPSG:4546", east_m=110.0,
            north_m=-5.0, rotation_arcsec=0, rotation_sense="clockwise", scale_ppm=0,
        ),
        provenance=Text(zh="测试", en="test"), area_of_use=(108, 17, 112, 21),
    )  # fmt: skip
    target = parse_crs("EPSG:4546")
    wanted = to_storage(np.array([shapely.Point(432_110.0, 2_213_995.0)]), target)[0]
    for code, point in (
        ("EPSG:2382", shapely.Point(432_000, 2_214_000)),
        ("EPSG:2361", shapely.Point(37_432_000, 2_214_000)),
    ):
        (stored,) = to_storage(np.array([point]), parse_crs(code, stated))
        assert (stored.x, stored.y) == pytest.approx((wanted.x, wanted.y), abs=1e-11)
    # From geographic coordinates of the datum: by way of the same plane.
    lon, lat = 110.35, 20.0135
    plane = gauss_kruger(lon, lat, 111.0, 5e5, *ELLIPSOIDS["xian80"])
    (stored,) = to_storage(np.array([shapely.Point(lon, lat)]), parse_crs("EPSG:4610", stated))
    (again,) = from_storage(np.array([stored]), target)
    assert (again.x, again.y) == pytest.approx((plane[0] + 110, plane[1] - 5), abs=2e-6)
