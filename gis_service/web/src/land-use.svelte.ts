/** The land-use codes of the 2023 guide, fetched when a form first asks for one. */

import { fetchCodes, type Text } from './api';

type Group = { code: string; title: Text; codes: { code: string; title: Text }[] };
type Entry = { title: Text; colour: string | null };

class LandUseCodes {
  groups = $state.raw<Group[]>([]);
  private entries = $state.raw<ReadonlyMap<string, Entry>>(new Map());
  private asked = false;

  /** A second call does nothing; a failure leaves the list empty and the code can still be read. */
  async load(): Promise<void> {
    if (this.asked) return;
    this.asked = true;
    const { codes } = await fetchCodes('landuse-2023').catch(() => ({ codes: [] }));
    const colours = new Map(codes.map(({ code, colour }) => [code, colour]));
    // A code without a colour of its own has its parent's, as on the map.
    const colourOf = (code: string): string | null =>
      code === '' ? null : (colours.get(code) ?? colourOf(code.slice(0, -2)));
    this.entries = new Map(codes.map(({ code, title }) => [code, { title, colour: colourOf(code) }]));
    const tops = codes.filter(({ parent }) => !parent);
    this.groups = tops.map(({ code, title }) => ({
      code,
      title,
      // The group itself may be chosen too: some projects are known no closer.
      codes: codes.filter((entry) => entry.code.startsWith(code)),
    }));
  }

  /** A code's name and colour, if the guide has it. */
  entry(code: string | null): Entry | undefined {
    return code === null ? undefined : this.entries.get(code);
  }
}

export const landUseCodes = new LandUseCodes();
