/** What the page draws over the plans: the site, the numbered patches, the place that was asked about. */

import type { Feature, FeatureCollection, Geometry } from 'geojson';
import type { GeoJSONSource, LayerSpecification, Map } from 'maplibre-gl';
import type { SiteGeometry } from '../api';
import { COLOUR, INK, type NumberedPatch } from '../verdict';
import { placesFor } from './inside-point';

export const FONTS = ['PingFang SC', 'Microsoft YaHei', 'Noto Sans SC', 'Noto Sans CJK SC', 'sans-serif'];
export const PATCH_LAYERS = ['patch-number-disc', 'patch-fill'];

const NOTHING: FeatureCollection = { type: 'FeatureCollection', features: [] };
const SITE_INK = '#16324a';
const lit = (on: number, off: number) =>
  ['case', ['boolean', ['feature-state', 'lit'], false], on, off] as unknown as number;
const colour = ['get', 'colour'] as unknown as string;
const counted = (on: number, off: number) =>
  ['case', ['get', 'counted'], on, off] as unknown as number;

const LAYERS: LayerSpecification[] = [
  {
    id: 'site-fill', type: 'fill', source: 'site',
    paint: { 'fill-color': SITE_INK, 'fill-opacity': 0.08 },
  },
  {
    // Plans shine through patches as a tint only: red over green would read as brown.
    id: 'patch-veil', type: 'fill', source: 'patches',
    paint: { 'fill-color': '#ffffff', 'fill-opacity': 0.62 },
  },
  {
    id: 'patch-fill', type: 'fill', source: 'patches',
    paint: { 'fill-color': colour, 'fill-opacity': lit(0.6, 0.36) },
  },
  {
    id: 'patch-casing', type: 'line', source: 'patches',
    paint: { 'line-color': '#ffffff', 'line-width': lit(6, 3.2), 'line-opacity': 0.85 },
  },
  {
    id: 'patch-line', type: 'line', source: 'patches',
    paint: { 'line-color': colour, 'line-width': lit(3.4, 1.6) },
  },
  {
    id: 'site-casing', type: 'line', source: 'site',
    layout: { 'line-join': 'round' },
    paint: { 'line-color': '#ffffff', 'line-width': 4.6, 'line-opacity': 0.9 },
  },
  {
    id: 'site-line', type: 'line', source: 'site',
    layout: { 'line-join': 'round' },
    paint: { 'line-color': SITE_INK, 'line-width': 2.2 },
  },
  {
    id: 'patch-number-disc', type: 'circle', source: 'patch-numbers',
    paint: {
      'circle-color': colour,
      'circle-radius': lit(13, 10),
      'circle-opacity': counted(1, 0.75),
      'circle-stroke-color': '#ffffff',
      'circle-stroke-width': lit(2.6, 1.6),
    },
  },
  {
    id: 'patch-number', type: 'symbol', source: 'patch-numbers',
    layout: {
      'text-field': ['to-string', ['get', 'number']],
      'text-font': FONTS,
      'text-size': 12,
      'text-allow-overlap': true,
      'text-ignore-placement': true,
      // Low numbers are the large patches of grave findings: drawn last, so on top.
      'symbol-sort-key': ['-', 0, ['get', 'number']],
    },
    paint: { 'text-color': ['get', 'ink'] },
  },
  {
    id: 'place-ring', type: 'circle', source: 'place',
    paint: {
      'circle-radius': 7, 'circle-color': 'rgba(255,255,255,0.25)',
      'circle-stroke-color': SITE_INK, 'circle-stroke-width': 2.4,
    },
  },
  {
    id: 'place-dot', type: 'circle', source: 'place',
    paint: { 'circle-radius': 2, 'circle-color': SITE_INK },
  },
];

export function addOverlay(map: Map): void {
  for (const source of ['site', 'patches', 'patch-numbers', 'place']) {
    map.addSource(source, { type: 'geojson', data: NOTHING });
  }
  for (const layer of LAYERS) map.addLayer(layer);
}

const show = (map: Map, source: string, features: Feature[]) =>
  map.getSource<GeoJSONSource>(source)?.setData({ type: 'FeatureCollection', features });

const bare = (geometry: Geometry): Feature => ({ type: 'Feature', geometry, properties: {} });

export function showSite(map: Map, geometry: SiteGeometry | null): void {
  show(map, 'site', geometry ? [bare(geometry)] : []);
}

export function showPlace(map: Map, place: [number, number] | null): void {
  show(map, 'place', place ? [bare({ type: 'Point', coordinates: place })] : []);
}

export function showPatches(map: Map, patches: readonly NumberedPatch[]): void {
  const drawn = patches.flatMap(({ number, finding, patch }) => {
    if (!patch.geometry) return [];
    const properties = {
      number,
      colour: COLOUR[finding.outcome],
      ink: INK[finding.outcome],
      counted: patch.kind === 'conflict',
    };
    return [{ type: 'Feature' as const, id: number, geometry: patch.geometry, properties }];
  });
  const places = placesFor(drawn.map(({ geometry }) => geometry));
  const numbers = drawn.flatMap((feature, index) => {
    const coordinates = places[index];
    return coordinates ? [{ ...feature, geometry: { type: 'Point' as const, coordinates } }] : [];
  });
  // The first patches lie on top of the later ones, as their numbers do.
  show(map, 'patches', drawn.reverse());
  show(map, 'patch-numbers', numbers.reverse());
}

export function lightPatch(map: Map, number: number | null, before: number | null): void {
  for (const source of ['patches', 'patch-numbers']) {
    if (before !== null) map.setFeatureState({ source, id: before }, { lit: false });
    if (number !== null) map.setFeatureState({ source, id: number }, { lit: true });
  }
}
