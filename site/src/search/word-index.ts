/**
 * Passages by their words: BM25 with the formula, the weights and the stems of
 * host/search, so that both rank alike. (MiniSearch counts each word of a
 * passage once for its length, adds up columns by themselves and knows no
 * phrases: its order is another.)
 */

import { parts, stem, wordsOf, type Phrase } from './words.js';

const K1 = 1.2;
const B = 0.75;
/** What a word counts in the text, in the heading, and as a piece of a compound. */
export const WEIGHTS = [1, 0.7, 0.5] as const;
/** Bits of a count; the three of a word and passage are packed into one number. */
const BITS = 10;
const MOST = (1 << BITS) - 1;

interface Row {
  text: string;
  heading: string;
  /** Words in all three columns. */
  length: number;
  live: boolean;
}

/** What ranking asks of an index of words. */
export interface Words {
  /** How many passages there are. */
  readonly count: number;
  /** The rows that hold a phrase, and how often, weighted. */
  find(phrase: Phrase): Map<number, number>;
  /** The rows that hold words, in this very form but for case and accents. */
  holds(row: number, folded: readonly string[], fold: (word: string) => string): boolean;
  /** BM25 of phrases in rows. */
  score(phrases: readonly Phrase[]): Map<number, number>;
}

export class WordIndex implements Words {
  private readonly rows: Row[] = [];
  private readonly postings = new Map<string, { rows: number[]; counts: number[] }>();
  private live = 0;
  private lengths = 0;

  /** How many rows there are, taken-out ones included. */
  get size(): number {
    return this.rows.length;
  }

  /** Whether so much has been taken out that the index is better made anew. */
  get worn(): boolean {
    return this.rows.length > 100 && this.live * 2 < this.rows.length;
  }

  /** Adds a passage and returns its number. */
  add(text: string, heading: string): number {
    const row = this.rows.length;
    const counts = new Map<string, number>();
    let length = 0;
    for (const [column, words] of [wordsOf(text), wordsOf(heading), parts(text)].entries()) {
      const one = 1 << (column * BITS);
      const full = MOST << (column * BITS);
      length += words.length;
      for (const word of words) {
        const term = stem(word);
        const before = counts.get(term) ?? 0;
        if ((before & full) !== full) counts.set(term, before + one);
      }
    }
    for (const [term, count] of counts) {
      let posting = this.postings.get(term);
      if (!posting) this.postings.set(term, (posting = { rows: [], counts: [] }));
      posting.rows.push(row);
      posting.counts.push(count);
    }
    this.rows.push({ text, heading, length, live: true });
    this.live++;
    this.lengths += length;
    return row;
  }

  /** Takes a passage out. */
  remove(row: number): void {
    const gone = this.rows[row];
    if (!gone?.live) return;
    gone.live = false;
    gone.text = gone.heading = '';
    this.live--;
    this.lengths -= gone.length;
  }

  /** The rows that hold a phrase, and how often, weighted. */
  find({ stems, prefix, parts: inParts }: Phrase): Map<number, number> {
    const found = new Map<number, number>();
    const last = stems.at(-1);
    if (last === undefined) return found;
    const endings = prefix ? [...this.postings.keys()].filter((term) => term.startsWith(last)) : [last];
    if (stems.length === 1 && !inParts) {
      for (const term of endings) {
        const posting = this.postings.get(term);
        for (let i = 0; posting && i < posting.rows.length; i++) {
          const row = posting.rows[i]!;
          if (this.rows[row]!.live) found.set(row, (found.get(row) ?? 0) + weighted(posting.counts[i]!));
        }
      }
      return found;
    }
    let candidates: Set<number> | undefined;
    for (const [i, term] of stems.entries()) {
      const holding = new Set<number>();
      for (const one of i === stems.length - 1 ? endings : [term]) for (const row of this.postings.get(one)?.rows ?? []) if (!candidates || candidates.has(row)) holding.add(row);
      candidates = holding;
    }
    const wanted = new Set(endings);
    for (const row of candidates ?? []) {
      const { text, heading, live } = this.rows[row]!;
      if (!live) continue;
      const columns = inParts ? [[], [], parts(text)] : [wordsOf(text), wordsOf(heading), parts(text)];
      let sum = 0;
      for (const [column, words] of columns.entries()) sum += WEIGHTS[column]! * occurrences(words.map(stem), stems, wanted);
      if (sum > 0) found.set(row, sum);
    }
    return found;
  }

  /** The rows that hold words, in this very form but for case and accents. */
  holds(row: number, folded: readonly string[], fold: (word: string) => string): boolean {
    const { text, heading } = this.rows[row]!;
    return occurrences(wordsOf(`${text}\n${heading}`).map(fold), folded, new Set([folded.at(-1)!])) > 0;
  }

  /** BM25 of phrases in rows. */
  score(phrases: readonly Phrase[]): Map<number, number> {
    return bm25(phrases, (one) => this.find(one), this.live, (row) => this.rows[row]!.length, this.lengths / Math.max(1, this.live));
  }

  /** How many passages there are. */
  get count(): number {
    return this.live;
  }
}

/** BM25 of phrases in the rows where `find` finds them, among `count` rows of `mean` words on average. */
export function bm25(phrases: readonly Phrase[], find: (one: Phrase) => Map<number, number>, count: number, lengthOf: (row: number) => number, mean: number): Map<number, number> {
  const scores = new Map<number, number>();
  for (const one of phrases) {
    const found = find(one);
    if (found.size === 0) continue;
    const rare = Math.log((count - found.size + 0.5) / (found.size + 0.5));
    const idf = rare > 0 ? rare : 1e-6;
    for (const [row, often] of found) scores.set(row, (scores.get(row) ?? 0) + (idf * often * (K1 + 1)) / (often + K1 * (1 - B + (B * lengthOf(row)) / mean)));
  }
  return scores;
}

function weighted(count: number): number {
  return WEIGHTS[0] * (count & MOST) + WEIGHTS[1] * ((count >> BITS) & MOST) + WEIGHTS[2] * ((count >> (2 * BITS)) & MOST);
}

/** How often words stand in a row; the last may be any of several. */
export function occurrences(words: readonly string[], row: readonly string[], last: ReadonlySet<string>): number {
  let times = 0;
  for (let i = 0; i + row.length <= words.length; i++) {
    let k = 0;
    while (k < row.length - 1 && words[i + k] === row[k]) k++;
    if (k === row.length - 1 && last.has(words[i + k]!)) times++;
  }
  return times;
}
