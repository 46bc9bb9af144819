/** Outcomes as people see them: word, icon and colour together; and patches with their numbers. */

import type { Finding, Outcome, Patch, Report } from './api';

/** Gravest first. */
export const OUTCOMES: readonly Outcome[] = [
  'violation', 'undetermined', 'conditional', 'warning', 'pass', 'not-applicable',
];

export const ICON: Record<Outcome, string> = {
  violation: '✕',
  undetermined: '?',
  conditional: '!',
  warning: '▲',
  pass: '✓',
  'not-applicable': '–',
};

/** For the map, where style sheets do not reach; the same values stand in frame.css. */
export const COLOUR: Record<Outcome, string> = {
  violation: '#c62f2f',
  undetermined: '#5a7388',
  conditional: '#b36200',
  warning: '#f2c200',
  pass: '#23804a',
  'not-applicable': '#8b9097',
};

/** Ink on a mark of that colour: yellow takes dark ink. */
export const INK: Record<Outcome, string> = {
  violation: '#ffffff',
  undetermined: '#ffffff',
  conditional: '#ffffff',
  warning: '#2b2400',
  pass: '#ffffff',
  'not-applicable': '#ffffff',
};

export interface NumberedPatch {
  /** Of its mark on the map and of its line in the list. */
  number: number;
  finding: Finding;
  patch: Patch;
}

const gravity = ({ outcome }: Finding) => OUTCOMES.indexOf(outcome);

/** Findings, gravest first; inside one outcome the order of the report stays. */
export const inOrder = (findings: readonly Finding[]): Finding[] =>
  [...findings].sort((a, b) => gravity(a) - gravity(b));

export function countByOutcome(findings: readonly Finding[]): [Outcome, number][] {
  return OUTCOMES.map((outcome): [Outcome, number] => [
    outcome,
    findings.filter((finding) => finding.outcome === outcome).length,
  ]).filter(([, count]) => count > 0);
}

const patchRank = ({ kind, area_m2 }: Patch): [number, number] => [
  kind === 'conflict' ? 0 : 1,
  -(area_m2 ?? 0),
];

function byRank(a: Patch, b: Patch): number {
  const [kindA, areaA] = patchRank(a);
  const [kindB, areaB] = patchRank(b);
  return kindA - kindB || areaA - areaB;
}

/** All patches of a report, numbered in the order in which the list shows them, from 1. */
export function numberPatches(report: Report): NumberedPatch[] {
  return inOrder(report.findings)
    .flatMap((finding) => [...finding.patches].sort(byRank).map((patch) => ({ finding, patch })))
    .map((entry, index) => ({ number: index + 1, ...entry }));
}
