import type { Geometry } from 'geojson';
import { expect, test } from 'vitest';
import { placesFor } from './inside-point';

const square = (x: number, side: number) => [
  [x, 0], [x + side, 0], [x + side, side], [x, side], [x, 0],
];
const polygon = (...coordinates: number[][][]): Geometry => ({ type: 'Polygon', coordinates });
const placeOf = (geometry: Geometry | null) => placesFor([geometry])[0];

test('a convex patch has its number in the middle', () => {
  expect(placeOf(polygon(square(0, 2)))).toEqual([1, 1]);
});

test('the number never falls into a hole', () => {
  const hole = [[0.5, 0.5], [3.5, 0.5], [3.5, 3.5], [0.5, 3.5], [0.5, 0.5]];
  const [lon, lat] = placeOf(polygon(square(0, 4), hole)) ?? [2, 2];
  expect(lon < 0.5 || lon > 3.5 || lat < 0.5 || lat > 3.5).toBe(true);
});

test('of several parts the widest carries the number', () => {
  expect(placeOf({ type: 'MultiPolygon', coordinates: [[square(0, 1)], [square(10, 4)]] }))
    .toEqual([12, 2]);
});

test('lines and points have a place too, and nothing has none', () => {
  expect(placeOf({ type: 'LineString', coordinates: [[0, 0], [1, 1], [2, 0]] })).toEqual([1, 1]);
  expect(placeOf({ type: 'Point', coordinates: [3, 4] })).toEqual([3, 4]);
  expect(placeOf(null)).toBeNull();
});

test('patches of the same ground stand side by side, the others where they would', () => {
  const ground = polygon(square(0, 6));
  expect(placesFor([ground, polygon(square(20, 2)), ground])).toEqual([[2, 3], [21, 1], [4, 3]]);
});
