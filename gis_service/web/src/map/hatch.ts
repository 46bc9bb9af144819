/** Hatches that a style names without bringing a picture: `hatch-d08a00` is amber lines at 45°. */

const SIDE = 16; // pixels of the tile at double density
const LINE = 2.2;

export interface Hatch { width: number; height: number; data: Uint8ClampedArray }

export function hatchColour(name: string): [number, number, number] | null {
  const hex = /^hatch[-:]#?([0-9a-f]{6})$/i.exec(name)?.[1];
  if (!hex) return null;
  const value = parseInt(hex, 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** A seamless tile: each pixel is as opaque as its distance from the nearest diagonal is small. */
export function hatch([red, green, blue]: [number, number, number]): Hatch {
  const data = new Uint8ClampedArray(SIDE * SIDE * 4);
  for (let y = 0; y < SIDE; y += 1) {
    for (let x = 0; x < SIDE; x += 1) {
      const along = (x + y) % SIDE;
      const away = Math.min(along, SIDE - along) / Math.SQRT2;
      const alpha = Math.max(0, Math.min(1, LINE / 2 + 0.5 - away));
      // MapLibre takes colours multiplied by their opacity.
      data.set([red * alpha, green * alpha, blue * alpha, alpha * 255], (y * SIDE + x) * 4);
    }
  }
  return { width: SIDE, height: SIDE, data };
}
