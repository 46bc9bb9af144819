import { expect, test } from 'vitest';
import { area, degrees, quantity, scaleAt, share } from './measures';

test('one hectare in its three units', () => {
  expect(area(10_000, 'm2')).toBe('10,000.00 m²');
  expect(area(10_000, 'ha')).toBe('1.0000 ha');
  expect(area(10_000, 'mu')).toBe('15.000 亩');
});

test('the switch changes areas and nothing else', () => {
  expect(quantity(10_000, 'm2', 'ha')).toBe('1.0000 ha');
  expect(quantity(0, 'm2', 'ha')).toBe('0 ha');
  expect(quantity(200, 'm', 'ha')).toBe('200 m');
  expect(quantity(2.5, '1', 'ha')).toBe('2.5');
  expect(quantity(null, 'm2', 'ha')).toBe('–');
});

test('shares and places', () => {
  expect(share(0.0123)).toBe('1.23 %');
  expect(degrees(110.123456, 19.2)).toBe('110.12346° E  19.20000° N');
});

test('at the equator level 0 has the scale of the OGC grid, halved for tiles of 512', () => {
  // OGC 17-083r4, WebMercatorQuad: 559 082 264.03 at level 0 of 256-pixel tiles.
  expect(scaleAt(0, 0, 100).denominator).toBe(280_000_000);
  const { barMetres, barPixels } = scaleAt(19.2, 12, 90);
  expect(barMetres).toBe(1000);
  expect(barPixels).toBeGreaterThan(45);
  expect(barPixels).toBeLessThanOrEqual(90);
});
