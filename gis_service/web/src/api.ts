/** The doors of the service that this page uses: their types, and one function for each. */

import type { Feature, Geometry, MultiPolygon, Polygon } from 'geojson';
import type { StyleSpecification } from 'maplibre-gl';

/** Text for people, always in both languages. */
export interface Text { zh: string; en: string }

export type Bounds = [west: number, south: number, east: number, north: number];

export interface LegendEntry {
  label: Text;
  symbol: 'fill' | 'line' | 'circle' | 'hatch';
  colour: string;
  outline: string | null;
  code: string | null;
  /** What lies under a hatch. */
  background?: string | null;
  /** Of a line, in widths of it. */
  dash?: number[] | null;
}

export interface Layer {
  id: string;
  title: Text;
  description: Text | null;
  geometry: 'polygon' | 'line' | 'point';
  accuracy_m: number | null;
  visible: boolean;
  draw_order: number;
  min_zoom: number;
  /** Null while the plan has no published edition. */
  feature_count: number | null;
  extent: Bounds | null;
  legend: LegendEntry[];
}

export interface Edition {
  id: number;
  state: string;
  title: Text;
  valid_from: string;
  synthetic: boolean;
}

export interface Plan {
  id: string;
  kind: string;
  title: Text;
  authority: Text;
  edition: Edition | null;
  layers: Layer[];
}

export interface ServiceFacts {
  title: Text;
  notice: Text;
  synthetic: boolean;
  region: { bbox: Bounds; center: [number, number]; zoom: number };
  credits: Text;
}

export interface Catalog { service: ServiceFacts; plans: Plan[] }

export interface IdentifiedAttribute {
  name: string;
  title: Text;
  value: string | number | boolean | null;
  label: Text | null;
  unit: string | null;
}

export interface IdentifiedFeature {
  feature_id: string;
  title: Text;
  area_m2: number | null;
  href: string;
  attributes: IdentifiedAttribute[];
}

export interface IdentifiedLayer {
  id: string;
  title: Text;
  /** `nothing`: the plan covers the place and says nothing of it; `no-data`: nobody knows. */
  state: 'features' | 'nothing' | 'no-data';
  features: IdentifiedFeature[];
}

export interface Identified {
  lon: number;
  lat: number;
  plans: { id: string; title: Text; edition: number | null; layers: IdentifiedLayer[] }[];
}

export interface Sample { id: string; title: Text; description: Text | null; href: string }

export interface FormAttribute {
  name: string;
  title: Text;
  type: 'string' | 'number' | 'integer' | 'boolean' | 'date' | 'code' | 'documents';
  unit: string | null;
  options: { value: string | number; title: Text }[] | null;
  help: Text | null;
  rules: string[];
}

export interface CodeList {
  id: string;
  title: Text;
  codes: { code: string; parent: string | null; title: Text; colour: string | null }[];
}

export type Outcome =
  | 'violation' | 'undetermined' | 'conditional' | 'warning' | 'pass' | 'not-applicable';

export interface Quantity { quantity?: string; value: number | string | null; unit: string | null }

export interface Patch {
  id: string;
  kind: 'conflict' | 'accuracy-difference' | 'sliver' | 'touch';
  layer: string;
  edition: number | null;
  feature_id: string | null;
  code: string | null;
  area_m2: number | null;
  width_m: number | null;
  geometry: Geometry | null;
  /** Why it is recorded and not counted. */
  reason?: Text;
}

export interface Finding {
  rule_id: string;
  rule_version: string;
  title: Text;
  outcome: Outcome;
  qualification: string;
  severity: string;
  rigidity: string;
  legal_basis: { title: string | Text; article?: string | null; number?: string | null }[];
  measured: Quantity | null;
  limit: Quantity | null;
  exemption: unknown;
  requires: { authority?: string | Text | null; document: string | Text }[];
  patches: Patch[];
  message: Text;
  reasons?: Text[];
  remedy?: Text;
}

export interface Report {
  report_id: string;
  created: string;
  as_of: string;
  outcome: Outcome;
  disclaimers?: Text[];
  notice?: Text;
  submission: {
    id: string;
    name: string | null;
    sha256: string;
    source_crs: string;
    area_m2: number;
    area_mu: number;
    declared_area_m2: number | null;
    repairs: unknown[];
    geometry?: Geometry;
    attributes?: Record<string, unknown>;
  };
  findings: Finding[];
  layers: { layer: string; edition: number | null; state: 'concerned' | 'not-concerned' | 'no-data' }[];
  land_take: { admin_code: string | null; code: string | null; area_m2: number; share: number }[];
  provenance: {
    rule_set: { id: string; version: string; sha256: string };
    editions: unknown[];
    engine: Record<string, unknown>;
    parameters: Record<string, unknown>;
  };
  digest: string;
  signature: unknown;
}

export type SiteGeometry = Polygon | MultiPolygon;
export type Site = Feature<SiteGeometry, Record<string, unknown>>;

/** A refusal of the service (RFC 9457), or no answer at all (status 0). */
export class Problem extends Error {
  constructor(
    readonly title: string,
    readonly detail: string,
    readonly status: number,
    readonly places: { at: string; reason: string }[] = [],
  ) {
    super(detail || title);
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => null);
  if (body === null || typeof body !== 'object') {
    return new Problem(response.statusText, '', response.status);
  }
  const { title, detail, errors } = body as Record<string, unknown>;
  const places = Array.isArray(errors) ? (errors as { at: unknown; reason: unknown }[]) : [];
  return new Problem(
    String(title ?? response.statusText),
    String(detail ?? ''),
    response.status,
    places.map(({ at, reason }) => ({ at: String(at ?? ''), reason: String(reason ?? '') })),
  );
}

async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    const headers = {
      Accept: 'application/json',
      // Refusals are worded for the reader of this page, whatever the browser's own language.
      'Accept-Language': document.documentElement.lang,
      ...init.headers,
    };
    response = await fetch(path, { ...init, headers });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new Problem('', '', 0);
  }
  if (!response.ok) throw await problemOf(response);
  return (await response.json()) as T;
}

export const fetchCatalog = () => ask<Catalog>('/catalog');
export const fetchSamples = () => ask<Sample[]>('/samples');
export const fetchSite = (href: string) => ask<Site>(href);
export const fetchForm = () => ask<{ attributes: FormAttribute[] }>('/submission-form');
export const fetchCodes = (id: string) => ask<CodeList>(`/codes/${encodeURIComponent(id)}.json`);
export const fetchReport = (id: string) => ask<Report>(`/reports/${encodeURIComponent(id)}.json`);
export const fetchStyle = (language: string) => ask<StyleSpecification>(`/styles/map.json?lang=${language}`);
export const reportHref = (id: string, form: 'json' | 'html', language: string) =>
  `/reports/${encodeURIComponent(id)}.${form}${form === 'html' ? `?lang=${language}` : ''}`;

export function identify(lon: number, lat: number, zoom: number, signal: AbortSignal) {
  const query = new URLSearchParams({
    lon: lon.toFixed(8), lat: lat.toFixed(8), zoom: zoom.toFixed(2),
  });
  return ask<Identified>(`/identify?${query}`, { signal });
}

export function conflictCheck(submission: Site) {
  return ask<Report>('/ogc/processes/conflict-check/execution', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ inputs: { submission } }),
  });
}
