/** The page's own words in two languages, and the choice between them. */

import type { Text } from './api';
import type { Language } from './address';
import en from './texts/en.json';
import zh from './texts/zh.json';

export type TextKey = keyof typeof zh;

const TEXTS: Record<Language, Record<TextKey, string>> = { zh, en };
const REMEMBERED = 'gis-service.language';

function firstLanguage(): Language {
  const remembered = localStorage.getItem(REMEMBERED);
  if (remembered === 'zh' || remembered === 'en') return remembered;
  const known = navigator.languages.find((tag) => /^(zh|en)\b/i.test(tag));
  return known?.toLowerCase().startsWith('en') ? 'en' : 'zh';
}

let language = $state<Language>('zh');

export const currentLanguage = (): Language => language;

export function speak(chosen: Language | undefined): void {
  language = chosen ?? firstLanguage();
  if (chosen) localStorage.setItem(REMEMBERED, chosen);
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
}

/** A sentence of the page; `{name}` in it is replaced by the value of that name. */
export function t(key: TextKey, values: Record<string, string | number> = {}): string {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    name in values ? String(values[name]) : whole,
  );
}

/** A text of the service in the chosen language; a bare string is what it is. */
export function say(text: Text | string | null | undefined): string {
  if (text === null || text === undefined) return '';
  return typeof text === 'string' ? text : text[language] || text.zh || text.en;
}

/** A word of a closed list, such as an outcome; a word that the page does not know stays as it is. */
export function word(group: string, name: string): string {
  const key = `${group}.${name}`;
  return key in zh ? t(key as TextKey) : name.replaceAll('_', ' ');
}
