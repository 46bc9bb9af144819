/** A layer's opacity as its style says it, times what the reader's slider says. */

import type { LayerSpecification } from 'maplibre-gl';

export const OPACITY_OF: Record<string, readonly string[]> = {
  fill: ['fill-opacity'],
  line: ['line-opacity'],
  circle: ['circle-opacity', 'circle-stroke-opacity'],
  symbol: ['text-opacity', 'icon-opacity'],
  raster: ['raster-opacity'],
};

/**
 * `value` times `factor`, for a number or an expression.
 *
 * A style expression may use the zoom only at its top, in `interpolate` or `step`; so there the outputs
 * are scaled, and anything else is wrapped.
 */
export function scaled(value: unknown, factor: number): unknown {
  if (value === undefined || value === null) return factor;
  if (typeof value === 'number') return value * factor;
  if (!Array.isArray(value)) return value;
  const parts: unknown[] = value;
  if (parts[0] === 'interpolate') {
    return parts.map((part, i) => (i >= 4 && i % 2 === 0 ? scaled(part, factor) : part));
  }
  if (parts[0] === 'step') {
    return parts.map((part, i) => (i >= 2 && i % 2 === 0 ? scaled(part, factor) : part));
  }
  return ['*', factor, parts];
}

/** The opacity properties of a style layer and their own values, to be scaled again and again. */
export function ownOpacity(layer: LayerSpecification): [property: string, value: unknown][] {
  const paint = ('paint' in layer ? layer.paint : undefined) as Record<string, unknown> | undefined;
  return (OPACITY_OF[layer.type] ?? []).map((property) => [property, paint?.[property] ?? 1]);
}
