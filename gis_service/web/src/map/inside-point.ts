/** A place for a patch's number that lies on the patch itself, also where it is bent or has holes. */

import type { Geometry, Position } from 'geojson';

type Point = [lon: number, lat: number];

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

/** Height of a polygon's outer ring and the middle of its widest stretch inside, on some parallels. */
function widest(rings: Position[][]): { width: number; point: Point } | null {
  const lats = (rings[0] ?? []).map(([, lat = 0]) => lat);
  const south = lats.reduce((a, b) => Math.min(a, b), Infinity);
  const north = lats.reduce((a, b) => Math.max(a, b), -Infinity);
  let best: { width: number; point: Point } | null = null;
  for (const part of [0.5, 0.35, 0.65, 0.2, 0.8]) {
    const lat = south + (north - south) * part;
    const ends = crossings(rings, lat);
    for (let i = 1; i < ends.length; i += 2) {
      const [west = 0, east = 0] = [ends[i - 1], ends[i]];
      // The middle parallel wins unless another is clearly wider.
      if (!best || east - west > best.width * 1.2) {
        best = { width: east - west, point: [(west + east) / 2, lat] };
      }
    }
  }
  return best;
}

const middle = (line: Position[]): Point | null => {
  const [lon, lat] = line[Math.floor(line.length / 2)] ?? [];
  return lon === undefined || lat === undefined ? null : [lon, lat];
};

export function insidePoint(geometry: Geometry | null): Point | null {
  switch (geometry?.type) {
    case 'Point':
      return middle([geometry.coordinates]);
    case 'LineString':
    case 'MultiPoint':
      return middle(geometry.coordinates);
    case 'MultiLineString':
      return middle(geometry.coordinates[0] ?? []);
    case 'Polygon':
      return widest(geometry.coordinates)?.point ?? middle(geometry.coordinates[0] ?? []);
    case 'MultiPolygon': {
      const found = geometry.coordinates.map(widest).filter((place) => place !== null);
      return found.sort((a, b) => b.width - a.width)[0]?.point ?? null;
    }
    case 'GeometryCollection':
      return geometry.geometries.map(insidePoint).find((point) => point !== null) ?? null;
    default:
      return null;
  }
}
