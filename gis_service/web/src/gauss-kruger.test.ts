import { expect, test } from 'vitest';
import { toDegrees, toZoneMetres, zoneOf } from './gauss-kruger';

// Expected metres: pyproj 3.8 (PROJ), EPSG:4490 to EPSG:4524 and EPSG:4525.
const places = [
  [110.35, 20.02, 37, 2214712.4216, 37431986.8643],
  [109.49, 18.2, 36, 2013758.5269, 36657633.9779],
  [108.62, 19.1, 36, 2112852.8964, 36565242.9573],
  [111.0, 19.0, 37, 2101668.119, 37500000.0],
  [109.51, 19.75, 37, 2185376.9189, 37343817.4831],
  [112.3, 16.8, 37, 1858628.0026, 37638587.5411],
] as const;

test.each(places)('%f E %f N is where PROJ puts it, to the millimetre', (lon, lat, zone, x, y) => {
  const metres = toZoneMetres(lon, lat);
  expect(metres.zone).toBe(zone);
  expect(Math.abs(metres.northing - x)).toBeLessThan(0.001);
  expect(Math.abs(metres.easting - y)).toBeLessThan(0.001);
});

test.each(places)('metres of PROJ come back as %f E %f N', (lon, lat, _zone, x, y) => {
  const [backLon, backLat] = toDegrees(x, y);
  expect(Math.abs(backLon - lon)).toBeLessThan(1e-8);
  expect(Math.abs(backLat - lat)).toBeLessThan(1e-8);
});

test('the zone goes by longitude: 109.5° E parts zone 36 from zone 37', () => {
  expect([zoneOf(109.49), zoneOf(109.51)]).toEqual([36, 37]);
});
