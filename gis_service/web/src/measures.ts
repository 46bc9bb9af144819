/** How quantities are written: areas in the chosen unit, lengths, shares, degrees. */

export type AreaUnit = 'm2' | 'ha' | 'mu';

export const AREA_UNITS: readonly AreaUnit[] = ['m2', 'ha', 'mu'];
export const AREA_SIGN: Record<AreaUnit, string> = { m2: 'm²', ha: 'ha', mu: '亩' };

// One 亩 is 1/15 hectare.
const M2_PER: Record<AreaUnit, number> = { m2: 1, ha: 10_000, mu: 10_000 / 15 };
// Digits that keep at least the square metre's place in sight.
const DIGITS: Record<AreaUnit, number> = { m2: 2, ha: 4, mu: 3 };

const figures = (value: number, digits: number, fixed = true) =>
  value.toLocaleString('en', {
    minimumFractionDigits: fixed ? digits : 0,
    maximumFractionDigits: digits,
  });

/** Nought is written bare: a limit of 0 is no measured figure. */
export const areaFigure = (area_m2: number, unit: AreaUnit): string =>
  area_m2 === 0 ? '0' : figures(area_m2 / M2_PER[unit], DIGITS[unit]);

export const area = (area_m2: number, unit: AreaUnit): string =>
  `${areaFigure(area_m2, unit)} ${AREA_SIGN[unit]}`;

export const share = (part: number): string => `${figures(part * 100, 2)} %`;

/** A measured value or a limit of a finding, in the unit that it came in; areas follow the switch. */
export function quantity(value: number | string | null, unit: string | null, areaUnit: AreaUnit): string {
  if (value === null) return '–';
  if (typeof value === 'string') return unit && unit !== '1' ? `${value} ${unit}` : value;
  if (unit === 'm2') return area(value, areaUnit);
  const sign = unit === null || unit === '1' ? '' : ` ${unit}`;
  return figures(value, 2, false) + sign;
}

export const length = (metres: number): string => `${figures(metres, 1, false)} m`;

export const count = (value: number): string => value.toLocaleString('en');

/** 110.34567° E; five digits are about a metre, as much as a pointer can mean. */
export const degrees = (lon: number, lat: number): string =>
  `${Math.abs(lon).toFixed(5)}° ${lon < 0 ? 'W' : 'E'}  ${Math.abs(lat).toFixed(5)}° ${lat < 0 ? 'S' : 'N'}`;

// Web maps draw a tile of 512 px for the whole width of level 0.
const PIXEL_M_AT_0 = (2 * Math.PI * 6378137) / 512;
// The pixel of 0.28 mm by which OGC standards tell scales.
const PIXEL_MM = 0.28;

export interface Scale { denominator: number; barMetres: number; barPixels: number }

/** The scale in the middle of the map, with a bar of a round length no longer than `room` pixels. */
export function scaleAt(lat: number, zoom: number, room: number): Scale {
  const metresPerPixel = (PIXEL_M_AT_0 * Math.cos((lat * Math.PI) / 180)) / 2 ** zoom;
  const longest = metresPerPixel * room;
  const power = 10 ** Math.floor(Math.log10(longest));
  const barMetres = ([5, 2, 1].find((step) => step * power <= longest) ?? 1) * power;
  const exact = metresPerPixel / (PIXEL_MM / 1000);
  const rounding = 10 ** Math.max(0, Math.floor(Math.log10(exact)) - 1);
  return {
    denominator: Math.round(exact / rounding) * rounding,
    barMetres,
    barPixels: barMetres / metresPerPixel,
  };
}
