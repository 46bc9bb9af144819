import { expect, test } from 'vitest';
import { ownOpacity, scaled } from './opacity';

test('numbers are multiplied, an opacity not said is one', () => {
  expect(scaled(0.5, 0.5)).toBe(0.25);
  expect(scaled(undefined, 0.5)).toBe(0.5);
});

test('zoom stays at the top of an expression: only its outputs are scaled', () => {
  expect(scaled(['interpolate', ['linear'], ['zoom'], 8, 0.2, 12, ['get', 'o']], 0.5)).toEqual([
    'interpolate', ['linear'], ['zoom'], 8, 0.1, 12, ['*', 0.5, ['get', 'o']],
  ]);
  expect(scaled(['step', ['zoom'], 0.4, 9, 1], 0.5)).toEqual(['step', ['zoom'], 0.2, 9, 0.5]);
});

test('a layer gives the opacities that its kind has', () => {
  const symbol = { id: 's', type: 'symbol' as const, source: 's', paint: { 'text-opacity': 0.8 } };
  expect(ownOpacity(symbol)).toEqual([['text-opacity', 0.8], ['icon-opacity', 1]]);
  expect(ownOpacity({ id: 'b', type: 'background' })).toEqual([]);
});
