/**
 * CGCS2000 degrees to metres of the 3-degree Gauss-Krüger zones, for what the page shows.
 *
 * Krüger's series in the third flattening n to n^4 (Karney 2011, equations 7 to 9 and 35): better than
 * a millimetre inside a zone. The figures of a report come from the service, never from here.
 */

const AXIS_M = 6378137; // CGCS2000, GB 22021-2008
const FLATTENING = 1 / 298.257222101;
const FALSE_EASTING_M = 500000;

const n = FLATTENING / (2 - FLATTENING);
const eccentricity = Math.sqrt(FLATTENING * (2 - FLATTENING));
const rectifyingRadius = (AXIS_M / (1 + n)) * (1 + n ** 2 / 4 + n ** 4 / 64);

const forward = [
  n / 2 - (2 / 3) * n ** 2 + (5 / 16) * n ** 3 + (41 / 180) * n ** 4,
  (13 / 48) * n ** 2 - (3 / 5) * n ** 3 + (557 / 1440) * n ** 4,
  (61 / 240) * n ** 3 - (103 / 140) * n ** 4,
  (49561 / 161280) * n ** 4,
] as const;

const backward = [
  n / 2 - (2 / 3) * n ** 2 + (37 / 96) * n ** 3 - (1 / 360) * n ** 4,
  (1 / 48) * n ** 2 + (1 / 15) * n ** 3 - (437 / 1440) * n ** 4,
  (17 / 480) * n ** 3 - (37 / 840) * n ** 4,
  (4397 / 161280) * n ** 4,
] as const;

const radians = (degrees: number) => (degrees * Math.PI) / 180;
const degrees = (angle: number) => (angle * 180) / Math.PI;

export interface ZoneMetres {
  zone: number;
  /** Central meridian of the zone, degrees east. */
  meridian: number;
  /** X of the Chinese convention: metres north of the equator. */
  northing: number;
  /** Y of the Chinese convention: metres east, 500 km added, the zone number in front. */
  easting: number;
}

/** The 3-degree zone of a longitude; zone 37 has its central meridian at 111° E. */
export const zoneOf = (lon: number): number => Math.round(lon / 3);

export function toZoneMetres(lon: number, lat: number): ZoneMetres {
  const zone = zoneOf(lon);
  const away = radians(lon - zone * 3);
  const sine = Math.sin(radians(lat));
  const tau = Math.sinh(Math.atanh(sine) - eccentricity * Math.atanh(eccentricity * sine));
  const xi = Math.atan2(tau, Math.cos(away));
  const eta = Math.asinh(Math.sin(away) / Math.hypot(tau, Math.cos(away)));
  let north = xi;
  let east = eta;
  forward.forEach((a, i) => {
    const k = 2 * (i + 1);
    north += a * Math.sin(k * xi) * Math.cosh(k * eta);
    east += a * Math.cos(k * xi) * Math.sinh(k * eta);
  });
  return {
    zone,
    meridian: zone * 3,
    northing: rectifyingRadius * north,
    easting: rectifyingRadius * east + FALSE_EASTING_M + zone * 1e6,
  };
}

/** Back to degrees; the zone is read from the easting's leading digits. */
export function toDegrees(northing: number, easting: number): [lon: number, lat: number] {
  const zone = Math.floor(easting / 1e6);
  const xi = northing / rectifyingRadius;
  const eta = (easting - zone * 1e6 - FALSE_EASTING_M) / rectifyingRadius;
  let north = xi;
  let east = eta;
  backward.forEach((b, i) => {
    const k = 2 * (i + 1);
    north -= b * Math.sin(k * xi) * Math.cosh(k * eta);
    east -= b * Math.cos(k * xi) * Math.sinh(k * eta);
  });
  const conformal = Math.asinh(Math.sin(north) / Math.hypot(Math.sinh(east), Math.cos(north)));
  let sine = Math.tanh(conformal);
  // The conformal latitude differs from the geodetic by e²: five rounds reach the last digit.
  for (let round = 0; round < 5; round += 1) {
    sine = Math.tanh(conformal + eccentricity * Math.atanh(eccentricity * sine));
  }
  return [zone * 3 + degrees(Math.atan2(Math.sinh(east), Math.cos(north))), degrees(Math.asin(sine))];
}
