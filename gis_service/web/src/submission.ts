/** A project's site as people bring it (a file, typed corners) and the places a refusal points at. */

import type { Feature, Geometry, Position } from 'geojson';
import type { Bounds, Site, SiteGeometry } from './api';
import { toDegrees } from './gauss-kruger';
import type { TextKey } from './texts.svelte';

/** What a file or a list of corners is refused for; the key of the sentence that says what to do. */
export class Unreadable extends Error {
  constructor(readonly reason: TextKey) {
    super(reason);
  }
}

function isPolygon(geometry: Geometry | null | undefined): geometry is SiteGeometry {
  return geometry?.type === 'Polygon' || geometry?.type === 'MultiPolygon';
}

const polygonsOf = (geometry: SiteGeometry): Position[][][] =>
  geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;

export const cornersOf = (geometry: SiteGeometry): Position[] => polygonsOf(geometry).flat(2);

function gather(features: Feature[]): Site {
  const polygons = features.map(({ geometry }) => geometry).filter(isPolygon);
  const [first] = polygons;
  if (!first) throw new Unreadable('file.noPolygon');
  return {
    type: 'Feature',
    geometry:
      polygons.length === 1
        ? first
        : { type: 'MultiPolygon', coordinates: polygons.flatMap(polygonsOf) },
    properties: features.length === 1 ? (features[0]?.properties ?? {}) : {},
  };
}

/** The site in the text of a GeoJSON file; several polygons become one site of several parts. */
export function readSiteFile(text: string): Site {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    throw new Unreadable('file.notJson');
  }
  const { type, features } = (read ?? {}) as { type?: string; features?: unknown };
  let site: Site;
  if (type === 'FeatureCollection' && Array.isArray(features)) site = gather(features as Feature[]);
  else if (type === 'Feature') site = gather([read as Feature]);
  else site = gather([{ type: 'Feature', geometry: read as Geometry, properties: {} }]);
  const inDegrees = cornersOf(site.geometry).every(
    ([lon = NaN, lat = NaN]) => Math.abs(lon) <= 180 && Math.abs(lat) <= 90,
  );
  if (!inDegrees) throw new Unreadable('file.notDegrees');
  return site;
}

// From this on a number is metres: no longitude is larger.
const LARGEST_DEGREE = 180;

function corner(line: string): Position {
  const [first = NaN, second = NaN] = line.split(/[\s,;，；、]+/).map(Number);
  if (!Number.isFinite(first) || !Number.isFinite(second)) throw new Unreadable('corners.notNumbers');
  if (Math.abs(first) <= LARGEST_DEGREE && Math.abs(second) <= 90) return [first, second];
  // X (north) has seven digits before the point, Y with its zone number eight.
  const [northing, easting] = first < second ? [first, second] : [second, first];
  if (easting < 13e6 || easting > 46e6 || northing > 1e7) throw new Unreadable('corners.noZone');
  return toDegrees(northing, easting);
}

/** A polygon from typed corners, one a line: degrees `lon, lat`, or zone metres `X, Y`. */
export function readCorners(text: string): SiteGeometry {
  const corners = text.split('\n').map((line) => line.trim()).filter(Boolean).map(corner);
  const [first] = corners;
  const last = corners.at(-1);
  if (first && last && corners.length > 1 && first[0] === last[0] && first[1] === last[1]) {
    corners.pop();
  }
  if (!first || corners.length < 3) throw new Unreadable('corners.tooFew');
  return { type: 'Polygon', coordinates: [[...corners, first]] };
}

export function boundsOf(positions: readonly Position[]): Bounds | null {
  if (positions.length === 0) return null;
  const lons = positions.map(([lon = 0]) => lon);
  const lats = positions.map(([, lat = 0]) => lat);
  return [
    lons.reduce((a, b) => Math.min(a, b)), lats.reduce((a, b) => Math.min(a, b)),
    lons.reduce((a, b) => Math.max(a, b)), lats.reduce((a, b) => Math.max(a, b)),
  ];
}

/** The corner that a JSON pointer such as `/geometry/coordinates/0/3` names, if it names one. */
export function cornerAt(site: SiteGeometry, pointer: string): Position | null {
  const match = /\/geometry\/coordinates((?:\/\d+)+)/.exec(pointer);
  if (!match?.[1]) return null;
  let place: unknown = site.coordinates;
  for (const step of match[1].split('/').filter(Boolean)) {
    if (!Array.isArray(place) || typeof place[0] === 'number') break;
    place = place[Number(step)];
  }
  while (Array.isArray(place) && Array.isArray(place[0])) place = place[0];
  return Array.isArray(place) && typeof place[0] === 'number' ? (place as Position) : null;
}

/** The attribute that `/properties/building_height_m` names, if it names one. */
export const attributeAt = (pointer: string): string | null =>
  /\/properties\/([^/]+)/.exec(pointer)?.[1] ?? null;
