/** Finds passages of the library by their words and their vectors. */

import { CHOSEN, chosen } from './chosen.js';
import { library, type Document, type Entry } from './library.js';
import { headingAt, titleOf } from './place.js';
import { rank, type Hit, type Mode } from './rank.js';
import { Vectors } from './vectors.js';
import { WordIndex, type Indexed } from './word-index.js';
import { parse } from './words.js';
import { breath } from '../dom.js';

/** The page stays busy with the index no longer than this at a time, in ms. */
const SLICE = 20;

export class Finder {
  private index = new WordIndex();
  /** The passage of each row of the index. */
  private rows: (Entry | undefined)[] = [];
  /** The number of each row's document. */
  private groups: number[] = [];
  private vectors: Vectors | undefined;
  private rowsOf = new Map<Document['id'], number[]>();
  private work: Promise<void> = Promise.resolve();
  /** The passages that the index is up to. */
  private followed: readonly Entry[] | undefined;

  /** Brings the index up to these passages; the page breathes in between. */
  follow(entries: readonly Entry[]): Promise<void> {
    return (this.work = this.work.then(async () => {
      if (entries === this.followed) return;
      this.followed = undefined;
      await this.catchUp(entries);
      this.followed = entries;
    }));
  }

  private async catchUp(entries: readonly Entry[]): Promise<void> {
    const runs: { document: Document; start: number; end: number }[] = [];
    for (const [i, { document }] of entries.entries()) {
      const run = runs.at(-1);
      if (run?.document === document) run.end = i + 1;
      else runs.push({ document, start: i, end: i + 1 });
    }
    const there = new Set(runs.map(({ document }) => document.id));
    for (const [id, rows] of this.rowsOf) {
      if (there.has(id)) continue;
      for (const row of rows) {
        this.index.remove(row);
        this.vectors?.remove(row);
        this.rows[row] = undefined;
      }
      this.rowsOf.delete(id);
    }
    // What comes next may be of another model.
    if (this.index.worn || this.index.count === 0) {
      this.index = new WordIndex();
      this.vectors = undefined;
      this.rows = [];
      this.groups = [];
      this.rowsOf.clear();
    }
    const [first] = entries;
    if (!first) return;
    const vectors = (this.vectors ??= new Vectors(first.vector.length));
    vectors.reserve(entries.length);
    const saved = this.rows.length === 0 ? library.wordsOf(entries) : undefined;
    if (saved) this.index = WordIndex.load(saved, entries.map(passageOf));
    let started = performance.now();
    for (const { document, start, end } of runs) {
      let rows = this.rowsOf.get(document.id);
      if (!rows) this.rowsOf.set(document.id, (rows = []));
      const group = rows.length > 0 ? this.groups[rows[0]!]! : this.rows.length;
      // What is there already is skipped.
      for (let i = start + rows.length; i < end; i++) {
        const entry = entries[i]!;
        rows.push(saved ? this.rows.length : this.index.add(passageOf(entry)));
        this.rows.push(entry);
        this.groups.push(group);
        vectors.push(entry.vector);
        if (performance.now() - started > SLICE) {
          await breath();
          started = performance.now();
        }
      }
    }
  }

  /** Documents by their best passages, or passages where there is but one document to search. `vector` has unit length. */
  search(query: string, mode: Mode, vector: Float32Array | undefined, within: string): Hit[] {
    const { rows, groups } = this;
    const alone = (within !== '' && within !== CHOSEN) || this.rowsOf.size === 1;
    return rank(this.index, vector && this.vectors?.cosines(vector), {
      terms: parse(query),
      mode: vector ? mode : 'words',
      group: (row) => {
        const entry = rows[row];
        if (!entry || (within === CHOSEN ? !chosen.has(entry.document, entry.index) : within !== '' && String(entry.document.id) !== within)) return undefined;
        return alone ? row : groups[row];
      },
    });
  }

  /** The passage of a hit's row. */
  entry(row: number): Entry | undefined {
    return this.rows[row];
  }
}

/** What is searched of a passage. */
function passageOf({ document: { name, text, places }, passage: { start, end } }: Entry): Indexed {
  return { text: text.slice(start, end), heading: `${titleOf(name)}\n${headingAt(places, start)}` };
}
