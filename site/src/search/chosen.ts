/** The passages that the visitor has chosen on the map: a part of the library to search in, or to save. */

import type { Document, Entry } from './library.js';

class Chosen extends EventTarget {
  private readonly keys = new Set<string>();

  get size(): number {
    return this.keys.size;
  }

  has(document: Document, index: number): boolean {
    return this.keys.has(key(document, index));
  }

  /** Takes other passages, or more of them. */
  set(entries: Iterable<Entry>, more = false): void {
    if (!more) this.keys.clear();
    for (const { document, index } of entries) this.keys.add(key(document, index));
    this.dispatchEvent(new Event('change'));
  }

  /** Takes a passage in, or out. */
  toggle({ document, index }: Entry): void {
    if (!this.keys.delete(key(document, index))) this.keys.add(key(document, index));
    this.dispatchEvent(new Event('change'));
  }

  /** Forgets passages that are no longer there. */
  keep(entries: readonly Entry[]): void {
    if (this.keys.size === 0) return;
    const there = new Set(entries.map(({ document, index }) => key(document, index)));
    const before = this.keys.size;
    for (const one of this.keys) if (!there.has(one)) this.keys.delete(one);
    if (this.keys.size !== before) this.dispatchEvent(new Event('change'));
  }
}

const key = ({ id }: Document, index: number): string => `${id} ${index}`;

export const chosen = new Chosen();

/** What stands for the chosen passages where a document's id would stand. */
export const CHOSEN = ' chosen';
