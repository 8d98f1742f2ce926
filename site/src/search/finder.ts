/** Finds passages of the library by their words and their vectors. */

import { CHOSEN, chosen } from './chosen.js';
import type { Document, Entry } from './library.js';
import { isNumbered, placeAt } from './place.js';
import { rank, type Hit, type Mode } from './rank.js';
import { WordIndex } from './word-index.js';
import { parse } from './words.js';

/** The page stays busy with the index no longer than this at a time, in ms. */
const SLICE = 12;

export class Finder {
  private index = new WordIndex();
  /** The passage of each row of the index. */
  private rows: (Entry | undefined)[] = [];
  private rowsOf = new Map<Document['id'], number[]>();
  private work: Promise<void> = Promise.resolve();

  /** Brings the index up to these passages; the page breathes in between. */
  follow(entries: readonly Entry[]): Promise<void> {
    return (this.work = this.work.then(() => this.catchUp(entries)));
  }

  private async catchUp(entries: readonly Entry[]): Promise<void> {
    const there = new Set(entries.map(({ document }) => document.id));
    for (const [id, rows] of this.rowsOf) {
      if (there.has(id)) continue;
      for (const row of rows) {
        this.index.remove(row);
        this.rows[row] = undefined;
      }
      this.rowsOf.delete(id);
    }
    if (this.index.worn) {
      this.index = new WordIndex();
      this.rows = [];
      this.rowsOf.clear();
    }
    let started = performance.now();
    for (const entry of entries) {
      const { document, index, passage } = entry;
      let rows = this.rowsOf.get(document.id);
      if (!rows) this.rowsOf.set(document.id, (rows = []));
      if (index < rows.length) continue;
      rows.push(this.index.add(document.text.slice(passage.start, passage.end), `${titleOf(document)}\n${headingOf(entry)}`));
      this.rows.push(entry);
      if (performance.now() - started > SLICE) {
        await new Promise((resolve) => setTimeout(resolve));
        started = performance.now();
      }
    }
  }

  /** Documents by their best passages, or passages where there is but one document to search. `vector` has unit length. */
  search(query: string, mode: Mode, vector: Float32Array | undefined, within: string): Hit[] {
    const { rows } = this;
    const alone = (within !== '' && within !== CHOSEN) || this.rowsOf.size === 1;
    const groups = new Map([...this.rowsOf.keys()].map((id, i) => [id, i]));
    return rank(this.index, vector && this.cosines(vector), {
      terms: parse(query),
      mode: vector ? mode : 'words',
      group: (row) => {
        const entry = rows[row];
        if (!entry || (within === CHOSEN ? !chosen.has(entry.document, entry.index) : within !== '' && String(entry.document.id) !== within)) return undefined;
        const { id } = entry.document;
        return alone ? row : groups.get(id);
      },
    });
  }

  /** The passage of a hit's row. */
  entry(row: number): Entry | undefined {
    return this.rows[row];
  }

  private cosines(query: Float32Array): Float32Array {
    const cosines = new Float32Array(this.rows.length).fill(NaN);
    for (const [row, entry] of this.rows.entries()) {
      if (!entry) continue;
      const { vector } = entry;
      let sum = 0;
      for (let j = 0; j < query.length; j++) sum += query[j]! * vector[j]!;
      cosines[row] = sum;
    }
    return cosines;
  }
}

/** A document's name without its ending, which is searched with each of its passages. */
const titleOf = ({ name }: Document): string => name.replace(/\.[a-z0-9]{1,8}$/i, '');

/** The headings that a passage stands under; pages and rows are no words of the text. */
function headingOf({ document, passage }: Entry): string {
  const label = placeAt(document.places, passage.start);
  return isNumbered(label) ? '' : label;
}
