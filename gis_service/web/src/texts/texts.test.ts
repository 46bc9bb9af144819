import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import en from './en.json';
import zh from './zh.json';

const keys = Object.keys(zh) as (keyof typeof zh)[];
const blanks = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

test('both languages have the same keys, in the same order', () => {
  expect(Object.keys(en)).toEqual(keys);
});

test('no sentence is empty, and both fill the same blanks', () => {
  for (const key of keys) {
    expect(zh[key], key).not.toBe('');
    expect(en[key], key).not.toBe('');
    expect(blanks(en[key]), key).toEqual(blanks(zh[key]));
  }
});

test('every sentence is used somewhere', () => {
  const folder = join(import.meta.dirname, '..');
  const source = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|svelte)$/.test(name) && !name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
  // Words of closed lists are looked up by group and name.
  const used = (key: string) =>
    source.includes(`'${key}'`) || source.includes(`word('${key.split('.')[0]}',`);
  const unused = keys.filter((key) => !used(key));
  expect(unused).toEqual([]);
});
