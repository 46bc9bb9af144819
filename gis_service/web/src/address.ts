/**
 * What matters of the page's state, as the fragment of its address: view, layers, language, report, site.
 *
 * The fragment never reaches a server, so a site that is being thought about stays with its planner.
 * The same names are read from the query, for links that other programs make (`/?report=…`).
 */

import type { SiteGeometry } from './api';

export type Language = 'zh' | 'en';

export interface Address {
  view?: { zoom: number; lat: number; lon: number };
  layers?: string[];
  language?: Language;
  report?: string;
  site?: SiteGeometry;
  answers?: Record<string, unknown>;
}

// 1e-8 degree is the grid that the service snaps to: about a millimetre.
const GRID = 1e8;
// Longer addresses get cut by mail programs; such a site is left to its file.
const LONGEST_SITE = 4000;

/** Rings as differences on the grid, in base 36: `~` between polygons, `!` between rings. */
export function writeSite(geometry: SiteGeometry): string {
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;
  let x = 0;
  let y = 0;
  const corner = ([lon = 0, lat = 0]: number[]) => {
    const [nextX, nextY] = [Math.round(lon * GRID), Math.round(lat * GRID)];
    const step = `${(nextX - x).toString(36)}.${(nextY - y).toString(36)}`;
    [x, y] = [nextX, nextY];
    return step;
  };
  return polygons
    .map((rings) => rings.map((ring) => ring.slice(0, -1).map(corner).join('_')).join('!'))
    .join('~');
}

export function readSite(text: string): SiteGeometry | null {
  let x = 0;
  let y = 0;
  const corner = (step: string): [number, number] => {
    const [dx = NaN, dy = NaN] = step.split('.').map((part) => parseInt(part, 36));
    x += dx;
    y += dy;
    return [x / GRID, y / GRID];
  };
  const polygons = text.split('~').map((polygon) =>
    polygon.split('!').map((ring) => {
      const corners = ring.split('_').map(corner);
      return [...corners, ...corners.slice(0, 1)];
    }),
  );
  const sound = polygons.flat().every(
    (ring) => ring.length >= 4 && ring.flat().every((value) => Number.isFinite(value)),
  );
  if (!sound) return null;
  return polygons.length === 1
    ? { type: 'Polygon', coordinates: polygons[0] ?? [] }
    : { type: 'MultiPolygon', coordinates: polygons };
}

function readView(text: string): Address['view'] {
  const [zoom = NaN, lat = NaN, lon = NaN] = text.split('/').map(Number);
  const sound = zoom >= 0 && zoom <= 24 && Math.abs(lat) <= 85 && Math.abs(lon) <= 180;
  return sound ? { zoom, lat, lon } : undefined;
}

function readAnswers(text: string): Record<string, unknown> | undefined {
  try {
    const read: unknown = JSON.parse(text);
    return read !== null && typeof read === 'object' ? (read as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

export function readAddress(fragment: string, query = ''): Address {
  const written = new URLSearchParams(query);
  new URLSearchParams(fragment.replace(/^#/, '')).forEach((value, name) => written.set(name, value));
  const language = written.get('lang');
  const site = written.get('site');
  const view = readView(written.get('view') ?? '');
  const answers = readAnswers(written.get('answers') ?? '');
  const geometry = site ? readSite(site) : null;
  const layers = written.get('layers');
  const report = written.get('report');
  return {
    ...(view && { view }),
    ...(layers !== null && { layers: layers.split(',').filter(Boolean) }),
    ...((language === 'zh' || language === 'en') && { language }),
    ...(report && { report }),
    ...(geometry && { site: geometry }),
    ...(answers && { answers }),
  };
}

export function writeAddress(address: Address): string {
  const { view, layers, language, report, site, answers } = address;
  const parts: string[] = [];
  if (view) parts.push(`view=${view.zoom.toFixed(2)}/${view.lat.toFixed(5)}/${view.lon.toFixed(5)}`);
  if (layers) parts.push(`layers=${layers.map(encodeURIComponent).join(',')}`);
  if (language) parts.push(`lang=${language}`);
  if (report) parts.push(`report=${encodeURIComponent(report)}`);
  const outline = site ? writeSite(site) : '';
  if (outline && outline.length <= LONGEST_SITE) {
    parts.push(`site=${outline}`);
    if (answers && Object.keys(answers).length > 0) {
      parts.push(`answers=${encodeURIComponent(JSON.stringify(answers))}`);
    }
  }
  return `#${parts.join('&')}`;
}
