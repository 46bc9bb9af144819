import { expect, test } from 'vitest';
import type { SiteGeometry } from './api';
import { readAddress, readSite, writeAddress, writeSite } from './address';

const square: SiteGeometry = {
  type: 'Polygon',
  coordinates: [
    [[110.1, 19.2], [110.10000001, 19.2], [110.11, 19.21234567], [110.1, 19.2]],
    [[110.102, 19.203], [110.103, 19.203], [110.103, 19.204], [110.102, 19.203]],
  ],
};

test('an address comes back as it was written', () => {
  const address = {
    view: { zoom: 12.34, lat: 19.2, lon: 110.1 },
    layers: ['ecological_redline', 'county'],
    language: 'en' as const,
    report: 'r-1',
    site: square,
    answers: { name: '滨江 & 花园', floor_area_ratio: 2.5, land_take: true },
  };
  expect(readAddress(writeAddress(address))).toEqual(address);
});

test('a site keeps its holes, its parts and every corner to 1e-8 degree', () => {
  const parts: SiteGeometry = {
    type: 'MultiPolygon',
    coordinates: [square.coordinates, [[[-1, -2], [1, -2], [0, 3.00000001], [-1, -2]]]],
  };
  expect(readSite(writeSite(square))).toEqual(square);
  expect(readSite(writeSite(parts))).toEqual(parts);
});

test('no layer at all differs from layers not said', () => {
  expect(readAddress('#layers=').layers).toEqual([]);
  expect(readAddress('#lang=zh').layers).toBeUndefined();
});

test.each(['#view=99/1/2', '#site=zz', '#site=1.a_2', '#answers={', '#lang=fr', '#view=', ''])(
  'what cannot be read is left out: %s',
  (fragment) => expect(readAddress(fragment)).toEqual({}),
);

test('links of other programs may use the query; the fragment is the later word', () => {
  expect(readAddress('#lang=en', '?lang=zh&report=r1')).toEqual({ language: 'en', report: 'r1' });
});

test('a site too long for a mail is left out, with its answers', () => {
  const ring = Array.from({ length: 900 }, (_, i) => [Math.cos(i) + 110, Math.sin(i) + 19]);
  const long: SiteGeometry = { type: 'Polygon', coordinates: [[...ring, ring[0] ?? []]] };
  expect(writeAddress({ report: 'r', site: long, answers: { a: 1 } })).toBe('#report=r');
});
