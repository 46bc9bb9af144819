import { expect, test } from 'vitest';
import type { Finding, Outcome, Patch, Report } from './api';
import { countByOutcome, inOrder, numberPatches, OUTCOMES } from './verdict';

const patch = (id: string, kind: Patch['kind'], area_m2: number) => ({ id, kind, area_m2 }) as Patch;
const finding = (rule_id: string, outcome: Outcome, patches: Patch[] = []) =>
  ({ rule_id, outcome, patches }) as unknown as Finding;

const findings = [
  finding('A', 'pass'),
  finding('B', 'conditional', [patch('b', 'conflict', 5)]),
  finding('C', 'violation', [
    patch('sliver', 'sliver', 9), patch('small', 'conflict', 1), patch('large', 'conflict', 7),
  ]),
  finding('D', 'undetermined'),
];

test('the order of the verdicts is that of the contract', () => {
  expect(OUTCOMES.slice(0, 5)).toEqual([
    'violation', 'undetermined', 'conditional', 'warning', 'pass',
  ]);
  expect(inOrder(findings).map(({ rule_id }) => rule_id)).toEqual(['C', 'D', 'B', 'A']);
});

test('patches are numbered as they are listed: gravest finding, true conflicts, largest first', () => {
  const numbered = numberPatches({ findings } as unknown as Report);
  expect(numbered.map(({ number, patch: { id } }) => [number, id])).toEqual([
    [1, 'large'], [2, 'small'], [3, 'sliver'], [4, 'b'],
  ]);
});

test('only outcomes that occur are counted', () => {
  expect(countByOutcome(findings)).toEqual([
    ['violation', 1], ['undetermined', 1], ['conditional', 1], ['pass', 1],
  ]);
});
