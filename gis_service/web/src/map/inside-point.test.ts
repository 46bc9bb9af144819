import { expect, test } from 'vitest';
import { insidePoint } from './inside-point';

const square = (x: number, side: number) => [
  [x, 0], [x + side, 0], [x + side, side], [x, side], [x, 0],
];

test('a convex patch has its number in the middle', () => {
  expect(insidePoint({ type: 'Polygon', coordinates: [square(0, 2)] })).toEqual([1, 1]);
});

test('the number never falls into a hole', () => {
  const hole = [[0.5, 0.5], [3.5, 0.5], [3.5, 3.5], [0.5, 3.5], [0.5, 0.5]];
  const [lon, lat] = insidePoint({ type: 'Polygon', coordinates: [square(0, 4), hole] }) ?? [2, 2];
  expect(lon < 0.5 || lon > 3.5 || lat < 0.5 || lat > 3.5).toBe(true);
});

test('of several parts the widest carries the number', () => {
  expect(insidePoint({ type: 'MultiPolygon', coordinates: [[square(0, 1)], [square(10, 4)]] }))
    .toEqual([12, 2]);
});

test('lines and points have a place too, and nothing has none', () => {
  expect(insidePoint({ type: 'LineString', coordinates: [[0, 0], [1, 1], [2, 0]] })).toEqual([1, 1]);
  expect(insidePoint({ type: 'Point', coordinates: [3, 4] })).toEqual([3, 4]);
  expect(insidePoint(null)).toBeNull();
});
