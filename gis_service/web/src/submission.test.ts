import { expect, test } from 'vitest';
import type { SiteGeometry } from './api';
import { attributeAt, boundsOf, cornerAt, readCorners, readSiteFile, Unreadable } from './submission';

const ring = [[110, 19], [110.1, 19], [110.1, 19.1], [110, 19]];
const polygon = { type: 'Polygon', coordinates: [ring] };
const feature = { type: 'Feature', geometry: polygon, properties: { name: 'A' } };

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (cause) {
    if (cause instanceof Unreadable) return cause.reason;
  }
  return 'accepted';
}

test('a feature keeps its attributes; a bare geometry has none', () => {
  expect(readSiteFile(JSON.stringify(feature))).toEqual(feature);
  expect(readSiteFile(JSON.stringify(polygon)).properties).toEqual({});
});

test('several polygons of a collection are one site of several parts', () => {
  const point = { type: 'Feature', geometry: { type: 'Point', coordinates: [110, 19] }, properties: {} };
  const file = { type: 'FeatureCollection', features: [feature, point, feature] };
  expect(readSiteFile(JSON.stringify(file)).geometry).toEqual({
    type: 'MultiPolygon', coordinates: [[ring], [ring]],
  });
});

test.each([
  ['{', 'file.notJson'],
  ['null', 'file.noPolygon'],
  ['{"type":"Point","coordinates":[1,2]}', 'file.noPolygon'],
  ['{"type":"Polygon","coordinates":[[[37431986,2214712],[37431987,2214712],[37431987,2214713]]]}', 'file.notDegrees'],
])('a file that is no site is refused with what is wrong: %s', (text, reason) => {
  expect(refusal(() => readSiteFile(text))).toBe(reason);
});

test('corners are read in degrees, closed or not', () => {
  const wanted = { type: 'Polygon', coordinates: [ring] };
  expect(readCorners('110 19\n110.1,19\n\n110.1， 19.1')).toEqual(wanted);
  expect(readCorners('110 19\n110.1 19\n110.1 19.1\n110 19')).toEqual(wanted);
});

test('corners are read in zone metres, X before Y or Y before X', () => {
  // pyproj: EPSG:4525 (2214712.4216, 37431986.8643) is 110.35 E 20.02 N.
  const read = readCorners(
    '2214712.4216 37431986.8643\n37431986.8643 2214712.4216\n2214800 37431986',
  );
  const [[first, second]] = read.coordinates as [[number[], number[]]];
  expect(first?.[0]).toBeCloseTo(110.35, 7);
  expect(first?.[1]).toBeCloseTo(20.02, 7);
  expect(second).toEqual(first);
});

test.each([
  ['110 19\n110.1 19', 'corners.tooFew'],
  ['110 19\n110.1 x\n110 19', 'corners.notNumbers'],
  ['2214712 431986\n2214713 431986\n2214713 431987', 'corners.noZone'],
])('corners that are no outline are refused with what is wrong: %s', (text, reason) => {
  expect(refusal(() => readCorners(text))).toBe(reason);
});

test('a pointer into the geometry leads to its corner, a pointer to an attribute to its name', () => {
  const site = polygon as SiteGeometry;
  expect(cornerAt(site, '/geometry/coordinates/0/2')).toEqual([110.1, 19.1]);
  expect(cornerAt(site, '/inputs/submission/geometry/coordinates/0')).toEqual([110, 19]);
  expect(cornerAt(site, '/geometry/coordinates/7/2')).toBeNull();
  expect(cornerAt(site, '/properties/name')).toBeNull();
  expect(attributeAt('/properties/building_height_m')).toBe('building_height_m');
  expect(boundsOf(ring)).toEqual([110, 19, 110.1, 19.1]);
});
