/** The map: the service's style, switched layer by layer, and the page's own drawings over it. */

import {
  Map, setWorkerUrl, type LayerSpecification, type MapMouseEvent, type StyleSpecification,
} from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';
import 'maplibre-gl/dist/maplibre-gl.css';
import type { Bounds, SiteGeometry } from '../api';
import type { NumberedPatch } from '../verdict';
import { ownOpacity, scaled } from './opacity';
import {
  addOverlay, FONTS, lightPatch, PATCH_LAYERS, showPatches, showPlace, showSite,
} from './overlay';

// A file of the page's own origin, so the content-security policy needs no blob for it.
setWorkerUrl(new URL(workerUrl, document.baseURI).href);

export interface View { zoom: number; lat: number; lon: number }

export interface Padding { top: number; bottom: number; left: number; right: number }

/** A view that somebody asked for, or the whole region as it fits the window. */
export type Start = View | { bounds: Bounds; padding: Padding };

export interface MapEvents {
  moved: (view: View) => void;
  pointed: (place: [lon: number, lat: number] | null) => void;
  asked: (place: [lon: number, lat: number]) => void;
  patchHovered: (number: number | null) => void;
  patchChosen: (number: number) => void;
  drawn: () => void;
}

const ownerOf = ({ metadata }: LayerSpecification) =>
  (metadata as { 'gis:layer'?: string } | undefined)?.['gis:layer'];

/** Labels in the fonts of the reader's system: no glyphs are fetched, and names of files mean nothing. */
function inSystemFonts(style: StyleSpecification): StyleSpecification {
  const layers = style.layers.map((layer) =>
    layer.type === 'symbol' ? { ...layer, layout: { ...layer.layout, 'text-font': FONTS } } : layer,
  );
  return { ...style, layers };
}

const REACH = 4; // degrees around the region that the map may be moved to

export class PlanningMap {
  readonly map: Map;
  private readonly events: MapEvents;
  private readonly styleLayers: Record<string, LayerSpecification[]> = {};
  private readonly ready: Promise<void>;
  private litPatch: number | null = null;

  constructor(container: HTMLElement, style: StyleSpecification, start: Start, region: Bounds, events: MapEvents) {
    this.events = events;
    for (const layer of style.layers) {
      const owner = ownerOf(layer);
      if (owner) (this.styleLayers[owner] ??= []).push(layer);
    }
    const [west, south, east, north] = region;
    this.map = new Map({
      container,
      style: inSystemFonts(style),
      ...('bounds' in start
        ? { bounds: start.bounds, fitBoundsOptions: { padding: start.padding } }
        : { center: [start.lon, start.lat], zoom: start.zoom }),
      maxBounds: [west - REACH, south - REACH, east + REACH, north + REACH],
      maxZoom: 20,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      // Everything comes from where this page came from, by whatever name the service knows itself;
      // and a worker needs the whole address.
      transformRequest: (url) => {
        const { pathname, search } = new URL(url, document.baseURI);
        return { url: location.origin + pathname + search };
      },
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.ready = new Promise((resolve) => {
      this.map.once('style.load', () => {
        addOverlay(this.map);
        resolve();
      });
    });
    this.listen();
  }

  private listen(): void {
    const { map, events } = this;
    events.moved(this.view());
    map.on('move', () => events.moved(this.view()));
    map.on('mousemove', (event) => {
      events.pointed([event.lngLat.lng, event.lngLat.lat]);
      events.patchHovered(this.patchAt(event));
    });
    map.on('mouseout', () => {
      events.pointed(null);
      events.patchHovered(null);
    });
    map.on('click', (event) => {
      const number = this.patchAt(event);
      if (number !== null) events.patchChosen(number);
      else events.asked([event.lngLat.lng, event.lngLat.lat]);
    });
    map.getCanvas().addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      const { lng, lat } = map.getCenter();
      events.asked([lng, lat]);
    });
    map.once('idle', () => events.drawn());
  }

  private patchAt({ point }: MapMouseEvent): number | null {
    const layers = PATCH_LAYERS.filter((id) => this.map.getLayer(id));
    const found = this.map.queryRenderedFeatures(point, { layers });
    // A number's disc lies over the patches of others.
    const [first] = [...found].sort(
      (a, b) => PATCH_LAYERS.indexOf(a.layer.id) - PATCH_LAYERS.indexOf(b.layer.id),
    );
    return typeof first?.id === 'number' ? first.id : null;
  }

  view(): View {
    const { lng, lat } = this.map.getCenter();
    return { zoom: this.map.getZoom(), lat, lon: lng };
  }

  async showLayers(shown: ReadonlySet<string>): Promise<void> {
    await this.ready;
    for (const [owner, layers] of Object.entries(this.styleLayers)) {
      const visibility = shown.has(owner) ? 'visible' : 'none';
      for (const { id } of layers) this.map.setLayoutProperty(id, 'visibility', visibility);
    }
  }

  async setOpacity(opacity: ReadonlyMap<string, number>): Promise<void> {
    await this.ready;
    for (const [owner, factor] of opacity) {
      for (const layer of this.styleLayers[owner] ?? []) {
        for (const [property, value] of ownOpacity(layer)) {
          this.map.setPaintProperty(layer.id, property as 'fill-opacity', scaled(value, factor) as number);
        }
      }
    }
  }

  /** What the map is called to those who do not see it. */
  name(label: string): void {
    this.map.getCanvas().setAttribute('aria-label', label);
  }

  /** Turn the labels to those of the same style in another language. */
  async relabel({ layers }: StyleSpecification): Promise<void> {
    await this.ready;
    for (const layer of layers) {
      const text = layer.type === 'symbol' ? layer.layout?.['text-field'] : undefined;
      if (text !== undefined && this.map.getLayer(layer.id)) {
        this.map.setLayoutProperty(layer.id, 'text-field', text);
      }
    }
  }

  async showSite(geometry: SiteGeometry | null): Promise<void> {
    await this.ready;
    showSite(this.map, geometry);
  }

  async showPlace(place: [number, number] | null): Promise<void> {
    await this.ready;
    showPlace(this.map, place);
  }

  async showPatches(patches: readonly NumberedPatch[]): Promise<void> {
    await this.ready;
    this.litPatch = null;
    for (const source of ['patches', 'patch-numbers']) this.map.removeFeatureState({ source });
    showPatches(this.map, patches);
  }

  async light(number: number | null): Promise<void> {
    await this.ready;
    if (number === this.litPatch) return;
    lightPatch(this.map, number, this.litPatch);
    this.litPatch = number;
    this.map.getCanvas().style.cursor = number === null ? '' : 'pointer';
  }

  goTo([west, south, east, north]: Bounds, padding: Padding, maxZoom = 17): void {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.map.fitBounds([west, south, east, north], { padding, maxZoom, duration: still ? 0 : 1100 });
  }

  remove(): void {
    this.map.remove();
  }
}
