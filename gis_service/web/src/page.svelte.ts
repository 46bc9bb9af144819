/** What the page knows and does: the parts show it, the map draws it, the address keeps it. */

import { SvelteMap, SvelteSet } from 'svelte/reactivity';
import {
  conflictCheck, fetchCatalog, fetchForm, fetchReport, fetchSamples, fetchSite, identify, Problem,
} from './api';
import type {
  Bounds, Catalog, FormAttribute, Identified, Layer, Plan, Report, Sample, Site, SiteGeometry,
} from './api';
import { readAddress, type Address } from './address';
import { landUseCodes } from './land-use.svelte';
import type { Drawing } from './map/drawing';
import type { View } from './map/planning-map';
import type { AreaUnit } from './measures';
import { boundsOf, cornersOf, readSiteFile, Unreadable } from './submission';
import { currentLanguage, say, speak, t, word, type TextKey } from './texts.svelte';
import { inOrder, numberPatches } from './verdict';

export type Task = 'welcome' | 'identify' | 'draw' | 'form' | 'report' | 'help';
export type Sheet = 'peek' | 'half' | 'full';
export type Answers = Record<string, unknown>;

/** Where the map is to go; a new object each time, so that the same place can be asked for again. */
export interface Journey { bounds: Bounds; maxZoom: number }

const answered = (answers: Answers): Answers =>
  Object.fromEntries(
    Object.entries(answers).filter(([, value]) => value !== '' && value !== null && value !== undefined),
  );

class Page {
  catalog = $state.raw<Catalog | null>(null);
  samples = $state.raw<Sample[]>([]);
  form = $state.raw<FormAttribute[]>([]);
  openingProblem = $state.raw<Problem | null>(null);

  task = $state<Task>('welcome');
  sheet = $state<Sheet>('half');
  sheetTab = $state<'panel' | 'layers'>('panel');
  phone = $state(false);
  leftOpen = $state(true);
  rightOpen = $state(true);

  readonly shown = new SvelteSet<string>();
  readonly opacity = new SvelteMap<string, number>();
  unit = $state<AreaUnit>('m2');
  view = $state.raw<View>({ zoom: 7, lat: 19.2, lon: 109.8 });
  /** Somebody asked for this very view; else the map opens on the whole region. */
  viewGiven = false;
  pointer = $state.raw<[lon: number, lat: number] | null>(null);
  journey = $state.raw<Journey | null>(null);
  drawing = $state.raw<Drawing | null>(null);

  site = $state.raw<Site | null>(null);
  answers = $state<Answers>({});
  report = $state.raw<Report | null>(null);
  checking = $state(false);
  problem = $state.raw<Problem | null>(null);
  /** Said once to screen readers when it changes. */
  announcement = $state('');

  identified = $state.raw<Identified | null>(null);
  place = $state.raw<[lon: number, lat: number] | null>(null);
  identifying = $state(false);

  litPatch = $state<number | null>(null);
  readonly openFindings = new SvelteSet<string>();

  readonly patches = $derived(this.report ? numberPatches(this.report) : []);
  readonly plans = $derived<Plan[]>(this.catalog?.plans ?? []);
  readonly layers = $derived<Layer[]>(this.plans.flatMap((plan) => plan.layers));
  /** What there is to see: where the layers have data, else the region of the service. */
  readonly extent = $derived.by<Bounds>(() => {
    const corners = this.layers.flatMap(({ extent }) =>
      extent ? [[extent[0], extent[1]], [extent[2], extent[3]]] : [],
    );
    return boundsOf(corners) ?? this.catalog?.service.region.bbox ?? [-180, -85, 180, 85];
  });
  /** While an outline is made or mended, a click on the map belongs to the pen. */
  readonly penDown = $derived(this.task === 'draw' || this.task === 'form');

  readonly address = $derived<Address>({
    view: this.view,
    ...(this.catalog && {
      layers: this.layers.filter(({ id }) => this.shown.has(id)).map(({ id }) => id),
    }),
    language: currentLanguage(),
    ...(this.report && { report: this.report.report_id }),
    ...(this.site && { site: this.site.geometry }),
    ...(this.site && { answers: answered($state.snapshot(this.answers)) }),
  });

  private question: AbortController | null = null;

  layer(id: string): Layer | undefined {
    return this.layers.find((layer) => layer.id === id);
  }

  async open(): Promise<void> {
    const address = readAddress(location.hash, location.search);
    speak(address.language);
    this.openingProblem = null;
    try {
      const catalog = await fetchCatalog();
      const { center, zoom } = catalog.service.region;
      this.view = address.view ?? { lon: center[0], lat: center[1], zoom };
      this.viewGiven = address.view !== undefined;
      this.catalog = catalog;
      this.showLayers(address.layers);
    } catch (cause) {
      this.openingProblem = cause instanceof Problem ? cause : new Problem(String(cause), '', 0);
      return;
    }
    // The map and the plans do not wait for these, and live without them.
    void fetchSamples().then((samples) => (this.samples = samples), () => undefined);
    void fetchForm().then(({ attributes }) => (this.form = attributes), () => undefined);
    await this.resume(address);
  }

  /** A link was followed inside the open page. */
  async follow(): Promise<void> {
    const address = readAddress(location.hash);
    if (address.language) speak(address.language);
    if (address.layers) this.showLayers(address.layers);
    if (address.view && !address.report) {
      const { lon, lat, zoom } = address.view;
      this.goTo([lon, lat, lon, lat], zoom);
    }
    await this.resume(address);
  }

  private async resume({ site, report, answers }: Address): Promise<void> {
    // A report's link that leaves the site out must not show it on the site that was open.
    if (site || report) {
      this.site = site ? { type: 'Feature', geometry: site, properties: {} } : null;
      this.answers = answers ?? {};
    }
    if (report) await this.openReport(report);
    else if (site) this.task = 'form';
  }

  showLayers(ids: readonly string[] | undefined): void {
    this.shown.clear();
    for (const { id, visible } of this.layers) {
      if (ids ? ids.includes(id) : visible) this.shown.add(id);
    }
  }

  toggle(ids: readonly string[], on: boolean): void {
    for (const id of ids) {
      if (on) this.shown.add(id);
      else this.shown.delete(id);
    }
  }

  turnTo(task: Task): void {
    this.task = task;
    this.problem = null;
    this.rightOpen = true;
    this.sheetTab = 'panel';
    if (this.sheet === 'peek') this.sheet = 'half';
  }

  goTo(bounds: Bounds | null, maxZoom = 16): void {
    if (bounds) this.journey = { bounds, maxZoom };
  }

  goToSite(): void {
    const corners = this.site ? cornersOf(this.site.geometry) : [];
    const patches = this.patches.flatMap(({ patch: { geometry } }) =>
      geometry?.type === 'Polygon' || geometry?.type === 'MultiPolygon' ? cornersOf(geometry) : [],
    );
    this.goTo(boundsOf(corners.length > 0 ? corners : patches));
  }

  // -- asking about a place

  async ask(place: [lon: number, lat: number]): Promise<void> {
    if (this.penDown) return;
    this.question?.abort();
    this.question = new AbortController();
    const { signal } = this.question;
    this.place = place;
    this.identified = null;
    this.identifying = true;
    this.turnTo('identify');
    try {
      this.identified = await identify(place[0], place[1], this.view.zoom, signal);
    } catch (cause) {
      if (!signal.aborted) this.tell(cause);
    } finally {
      if (!signal.aborted) this.identifying = false;
    }
  }

  // -- a site and its check

  /** A new site: what was said about the last one does not hold for it. */
  takeSite(site: Site): void {
    this.site = site;
    this.answers = { ...site.properties };
    this.report = null;
    this.turnTo('form');
    this.goToSite();
  }

  /** An outline that was drawn or mended: what was typed stays. */
  takeOutline(geometry: SiteGeometry): void {
    this.site = { type: 'Feature', geometry, properties: this.site?.properties ?? {} };
    this.report = null;
    if (this.task !== 'form') this.turnTo('form');
  }

  takeFile(text: string): void {
    try {
      this.takeSite(readSiteFile(text));
    } catch (cause) {
      this.turnTo('draw');
      this.tell(cause);
    }
  }

  startOver(): void {
    this.site = null;
    this.answers = {};
    this.report = null;
    this.turnTo('draw');
  }

  async checkSample(sample: Sample): Promise<void> {
    if (this.checking) return;
    this.checking = true;
    this.problem = null;
    try {
      this.takeSample(await fetchSite(sample.href));
      await this.run();
    } catch (cause) {
      this.tell(cause);
    } finally {
      this.checking = false;
    }
  }

  private takeSample(site: Site): void {
    this.site = site;
    this.answers = { ...site.properties };
    this.report = null;
    this.goToSite();
  }

  async check(): Promise<void> {
    if (!this.site || this.checking) return;
    this.checking = true;
    this.problem = null;
    try {
      await this.run();
    } catch (cause) {
      this.tell(cause);
    } finally {
      this.checking = false;
    }
  }

  private async run(): Promise<void> {
    if (!this.site) return;
    const properties = answered($state.snapshot(this.answers));
    this.take(await conflictCheck({ ...this.site, properties }));
  }

  private take(report: Report): void {
    this.report = report;
    this.place = null;
    this.openFindings.clear();
    const [gravest] = inOrder(report.findings);
    if (gravest && gravest.outcome !== 'pass') this.openFindings.add(gravest.rule_id);
    this.turnTo('report');
    this.goToSite();
    this.announcement = t('report.done', { outcome: word('outcome', report.outcome) });
  }

  private async openReport(id: string): Promise<void> {
    this.checking = true;
    try {
      const report = await fetchReport(id);
      this.recall(report);
      this.take(report);
    } catch (cause) {
      this.tell(cause);
    } finally {
      this.checking = false;
    }
  }

  /** A report knows its site and what was answered; a link may leave them out. */
  private recall({ submission: { geometry, attributes } }: Report): void {
    if (geometry?.type === 'Polygon' || geometry?.type === 'MultiPolygon') {
      this.site ??= { type: 'Feature', geometry, properties: {} };
    }
    if (attributes && Object.keys(this.answers).length === 0) this.answers = { ...attributes };
  }

  choosePatch(number: number): void {
    const chosen = this.patches.find((entry) => entry.number === number);
    if (!chosen) return;
    this.turnTo('report');
    this.openFindings.add(chosen.finding.rule_id);
    this.litPatch = number;
  }

  private tell(cause: unknown): void {
    if (cause instanceof Problem) this.problem = cause;
    else if (cause instanceof Unreadable) this.problem = new Problem('', t(cause.reason), -1);
    else this.problem = new Problem('', String(cause), -1);
  }
}

export const page = new Page();

/** A layer's name by its id, also of one that the catalogue does not have. */
export const layerName = (id: string): string => say(page.layer(id)?.title) || id.replaceAll('_', ' ');

/** A code's name: as the layer's legend says it, else as the land-use guide does. */
export function codeName(code: string, layer: string): string {
  const entry = page.layer(layer)?.legend.find((line) => line.code === code);
  return say(entry?.label ?? landUseCodes.entry(code)?.title);
}

export type { TextKey };
