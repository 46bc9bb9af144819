/** A place for a patch's number that lies on the patch itself, also where it is bent or has holes. */

import type { Geometry, Position } from 'geojson';

export type Point = [lon: number, lat: number];

/** A stretch along a parallel that lies on the patch from end to end. */
export interface Stretch { west: number; east: number; lat: number }

function crossings(rings: Position[][], lat: number): number[] {
  const found: number[] = [];
  for (const ring of rings) {
    for (let i = 1; i < ring.length; i += 1) {
      const [x1 = 0, y1 = 0] = ring[i - 1] ?? [];
      const [x2 = 0, y2 = 0] = ring[i] ?? [];
      if (y1 > lat !== y2 > lat) found.push(x1 + ((lat - y1) * (x2 - x1)) / (y2 - y1));
    }
  }
  return found.sort((a, b) => a - b);
}

const widthOf = ({ west, east }: Stretch) => east - west;

/** The widest stretch inside a polygon, on some parallels. */
function widest(rings: Position[][]): Stretch | null {
  const lats = (rings[0] ?? []).map(([, lat = 0]) => lat);
  const south = lats.reduce((a, b) => Math.min(a, b), Infinity);
  const north = lats.reduce((a, b) => Math.max(a, b), -Infinity);
  let best: Stretch | null = null;
  for (const part of [0.5, 0.35, 0.65, 0.2, 0.8]) {
    const lat = south + (north - south) * part;
    const ends = crossings(rings, lat);
    for (let i = 1; i < ends.length; i += 2) {
      const stretch = { west: ends[i - 1] ?? 0, east: ends[i] ?? 0, lat };
      // The middle parallel wins unless another is clearly wider.
      if (!best || widthOf(stretch) > widthOf(best) * 1.2) best = stretch;
    }
  }
  return best;
}

function middle(line: Position[]): Stretch | null {
  const [lon, lat] = line[Math.floor(line.length / 2)] ?? [];
  return lon === undefined || lat === undefined ? null : { west: lon, east: lon, lat };
}

export function insideStretch(geometry: Geometry | null): Stretch | null {
  switch (geometry?.type) {
    case 'Point':
      return middle([geometry.coordinates]);
    case 'LineString':
    case 'MultiPoint':
      return middle(geometry.coordinates);
    case 'MultiLineString':
      return middle(geometry.coordinates[0] ?? []);
    case 'Polygon':
      return widest(geometry.coordinates) ?? middle(geometry.coordinates[0] ?? []);
    case 'MultiPolygon': {
      const found = geometry.coordinates.map(widest).filter((stretch) => stretch !== null);
      return found.sort((a, b) => widthOf(b) - widthOf(a))[0] ?? null;
    }
    case 'GeometryCollection':
      return geometry.geometries.map(insideStretch).find((stretch) => stretch !== null) ?? null;
    default:
      return null;
  }
}

const centre = ({ west, east }: Stretch) => (west + east) / 2;

// Two numbers nearer than this share of their stretch would cover each other.
const TOO_NEAR = 0.1;

function isNear(a: Stretch, b: Stretch): boolean {
  const reach = Math.max(widthOf(a), widthOf(b)) * TOO_NEAR;
  return Math.abs(centre(a) - centre(b)) <= reach && Math.abs(a.lat - b.lat) <= reach;
}

/**
 * Places for many patches' numbers: each in the middle of its stretch, but patches of the same ground
 * (several rules find the same place) stand side by side along it.
 */
export function placesFor(geometries: readonly (Geometry | null)[]): (Point | null)[] {
  const stretches = geometries.map(insideStretch);
  const groups: number[][] = [];
  stretches.forEach((stretch, index) => {
    if (!stretch) return;
    const near = groups.find(([first = -1]) => {
      const other = stretches[first];
      return other ? isNear(stretch, other) : false;
    });
    if (near) near.push(index);
    else groups.push([index]);
  });
  const places: (Point | null)[] = stretches.map(() => null);
  for (const group of groups) {
    group.forEach((index, rank) => {
      const stretch = stretches[index];
      if (!stretch) return;
      const along = (rank + 1) / (group.length + 1);
      places[index] = [stretch.west + widthOf(stretch) * along, stretch.lat];
    });
  }
  return places;
}
