/** Drawing and reshaping a site's outline on the map; loaded when somebody draws. */

import type { Polygon, Position } from 'geojson';
import type { Map } from 'maplibre-gl';
import {
  TerraDraw, TerraDrawModeUndoRedo, TerraDrawPolygonMode, TerraDrawSelectMode,
} from 'terra-draw';
import { TerraDrawMapLibreGLAdapter } from 'terra-draw-maplibre-gl-adapter';
import type { SiteGeometry } from '../api';

const INK = '#16324a';
const MARK = '#0f766e';
// terra-draw refuses coordinates with more digits than this.
const DIGITS = 9;
// Beyond this a shape came from a file and is better changed there.
const MOST_CORNERS = 200;

/** terra-draw knows polygons of one ring only. */
export const canReshape = (geometry: SiteGeometry): geometry is Polygon =>
  geometry.type === 'Polygon'
  && geometry.coordinates.length === 1
  && (geometry.coordinates[0]?.length ?? 0) <= MOST_CORNERS;

const rounded = (position: Position): Position => position.slice(0, 2).map((v) => Number(v.toFixed(DIGITS)));

function polygonMode(): TerraDrawPolygonMode {
  return new TerraDrawPolygonMode({
    showCoordinatePoints: true,
    styles: {
      fillColor: INK, fillOpacity: 0.1, outlineColor: INK, outlineWidth: 2.2,
      closingPointColor: MARK, closingPointWidth: 6, closingPointOutlineColor: '#ffffff',
      closingPointOutlineWidth: 2, coordinatePointColor: INK, coordinatePointWidth: 4,
      coordinatePointOutlineColor: '#ffffff', coordinatePointOutlineWidth: 1.5,
    },
  });
}

function selectMode(): TerraDrawSelectMode {
  return new TerraDrawSelectMode({
    flags: {
      polygon: {
        feature: { draggable: true, coordinates: { midpoints: true, draggable: true, deletable: true } },
      },
    },
    styles: {
      selectedPolygonColor: INK, selectedPolygonFillOpacity: 0.1,
      selectedPolygonOutlineColor: INK, selectedPolygonOutlineWidth: 2.2,
      selectionPointColor: '#ffffff', selectionPointWidth: 5,
      selectionPointOutlineColor: INK, selectionPointOutlineWidth: 2,
      midPointColor: '#ffffff', midPointWidth: 3, midPointOutlineColor: INK, midPointOutlineWidth: 1,
    },
  });
}

export class Drawing {
  private readonly draw: TerraDraw;

  constructor(map: Map, changed: (outline: Polygon) => void) {
    this.draw = new TerraDraw({
      adapter: new TerraDrawMapLibreGLAdapter({ map }),
      modes: [polygonMode(), selectMode()],
      undoRedo: { modeLevel: new TerraDrawModeUndoRedo() },
    });
    this.draw.start();
    this.draw.on('finish', (id) => {
      const outline = this.draw.getSnapshotFeature(id)?.geometry;
      if (outline?.type === 'Polygon') changed(outline);
    });
  }

  /** An empty map and a pen. */
  begin(): void {
    this.draw.clear();
    this.draw.setMode('polygon');
  }

  /** An outline with handles at its corners. */
  reshape({ coordinates: [ring = []] }: Polygon): void {
    this.draw.clear();
    this.draw.setMode('select');
    const id = this.draw.getFeatureId();
    const [accepted] = this.draw.addFeatures([
      {
        type: 'Feature', id, properties: { mode: 'polygon' },
        geometry: { type: 'Polygon', coordinates: [ring.map(rounded)] },
      },
    ]);
    if (accepted?.valid) this.draw.selectFeature(id);
  }

  undo(): void {
    this.draw.undo();
  }

  stop(): void {
    this.draw.stop();
  }
}
