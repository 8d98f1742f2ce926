/**
 * Passages by their words: BM25 with the formula, the weights and the stems of
 * host/search, so that both rank alike. (MiniSearch counts each word of a
 * passage once for its length, adds up columns by themselves and knows no
 * phrases: its order is another.)
 */

import { Reader, Writer } from './varint.js';
import { parts, stem, stemsOf, wordsOf, type Phrase } from './words.js';

const K1 = 1.2;
const B = 0.75;
/** What a word counts in the text, in the heading, and as a piece of a compound. */
export const WEIGHTS = [1, 0.7, 0.5] as const;
/** Bits of a count; the three of a word and passage are packed into one number. */
const BITS = 10;
const MOST = (1 << BITS) - 1;
/** Texts from which on a pattern looks for a phrase before their words are taken. */
const MANY = 100;

/** The number of no stem. */
const NONE = -1;

/** What is searched of a passage. */
export interface Indexed {
  text: string;
  heading: string;
}

interface Row extends Indexed {
  live: boolean;
  /** Whether a word of the text has pieces. */
  compound: boolean;
}

/** The rows that hold a stem, ascending, and how often in each column, packed. */
interface Posting {
  rows: number[];
  counts: number[];
}

/** What ranking asks of an index of words. */
export interface Words {
  /** How many passages there are. */
  readonly count: number;
  /** The rows that hold a phrase, and how often, weighted; none where its words are together in more than `most` rows. */
  find(phrase: Phrase, most?: number): Map<number, number>;
  /** The rows that hold words, in this very form but for case and accents. */
  holds(row: number, folded: readonly string[], fold: (word: string) => string): boolean;
  /** BM25 (rows) of phrases, until the next call; 0 in rows without any. */
  score(phrases: readonly Phrase[]): Float64Array;
}

/** What a word is to the index: its stem, and those of its pieces if it is a compound. */
interface Known {
  term: number;
  pieces: number[] | undefined;
}

export class WordIndex implements Words {
  private readonly rows: Row[] = [];
  /** Words as they are written; most of a text are there already. */
  private readonly known = new Map<string, Known>();
  /** Stems by their numbers, in which postings are kept. */
  private readonly terms = new Map<string, number>();
  private readonly postings: Posting[] = [];
  /** Words of each row, in all three columns. */
  private readonly lengthOf: number[] = [];
  /** Packed counts of the passage that is being added, by stem. */
  private counts = new Uint32Array(1 << 12);
  /** Those of the last query: a new array with each key makes the browser tidy its memory all the time. */
  private scores = new Float64Array();
  private live = 0;
  private lengths = 0;

  /** What has been counted, in bytes: the length of each row and whether it has compounds, and the rows of each stem. */
  save(): Uint8Array {
    const writer = new Writer();
    writer.number(this.rows.length);
    for (const [i, { compound }] of this.rows.entries()) writer.number(2 * this.lengthOf[i]! + Number(compound));
    for (const [stemmed, term] of this.terms) {
      const { rows, counts } = this.postings[term]!;
      writer.text(stemmed);
      writer.number(rows.length);
      for (const [i, row] of rows.entries()) {
        writer.number(row - (rows[i - 1] ?? 0));
        writer.number(counts[i]!);
      }
    }
    return Uint8Array.from(writer.bytes);
  }

  /**
   * The index of passages that `save` has counted.
   * @throws Error where it has counted others
   */
  static load(saved: Uint8Array, passages: readonly Indexed[]): WordIndex {
    const index = new WordIndex();
    const reader = new Reader(saved);
    if (reader.number() !== passages.length) throw new Error('the words are of other passages');
    for (const passage of passages) {
      const number = reader.number();
      index.rows.push({ ...passage, live: true, compound: number % 2 === 1 });
      index.lengthOf.push(number >> 1);
      index.lengths += number >> 1;
    }
    index.live = passages.length;
    while (reader.more) {
      const stemmed = reader.text(reader.number());
      const posting: Posting = { rows: [], counts: [] };
      let row = 0;
      for (let n = reader.number(); n > 0 && reader.more; n--) {
        row += reader.number();
        if (row >= passages.length) throw new Error('the words are of other passages');
        posting.rows.push(row);
        posting.counts.push(reader.number());
      }
      index.terms.set(stemmed, index.postings.length);
      index.postings.push(posting);
    }
    index.counts = new Uint32Array(Math.max(index.counts.length, 2 * index.postings.length));
    return index;
  }

  /** How many rows there are, taken-out ones included. */
  get size(): number {
    return this.rows.length;
  }

  /** Whether so much has been taken out that the index is better made anew. */
  get worn(): boolean {
    return this.rows.length > 100 && this.live * 2 < this.rows.length;
  }

  /** Adds a passage and returns its number. */
  add({ text, heading }: Indexed): number {
    const row = this.rows.length;
    const touched: number[] = [];
    let length = 0;
    let compound = false;
    const count = (term: number, column: number): void => {
      if (term === NONE) return;
      length++;
      const before = this.counts[term]!;
      if (before === 0) touched.push(term);
      if (((before >>> (column * BITS)) & MOST) !== MOST) this.counts[term] = before + (1 << (column * BITS));
    };
    for (const word of wordsOf(text)) {
      const { term, pieces } = this.know(word);
      count(term, 0);
      if (!pieces) continue;
      compound = true;
      for (const piece of pieces) count(piece, 2);
    }
    for (const word of wordsOf(heading)) count(this.know(word).term, 1);
    for (const term of touched) {
      const posting = this.postings[term]!;
      posting.rows.push(row);
      posting.counts.push(this.counts[term]!);
      this.counts[term] = 0;
    }
    this.rows.push({ text, heading, live: true, compound });
    this.lengthOf.push(length);
    this.live++;
    this.lengths += length;
    return row;
  }

  private know(word: string): Known {
    let known = this.known.get(word);
    if (!known) {
      const pieces = parts(word);
      known = { term: this.termOf(word), pieces: pieces.length > 0 ? pieces.map((piece) => this.termOf(piece)) : undefined };
      this.known.set(word, known);
    }
    return known;
  }

  /** The number of a word's stem. */
  private termOf(word: string): number {
    const stemmed = stem(word);
    if (stemmed === '') return NONE;
    let term = this.terms.get(stemmed);
    if (term === undefined) {
      this.terms.set(stemmed, (term = this.postings.length));
      this.postings.push({ rows: [], counts: [] });
      if (term === this.counts.length) {
        const larger = new Uint32Array(2 * term);
        larger.set(this.counts);
        this.counts = larger;
      }
    }
    return term;
  }

  private postingOf(stemmed: string): Posting | undefined {
    const term = this.terms.get(stemmed);
    return term === undefined ? undefined : this.postings[term];
  }

  /** Takes a passage out. */
  remove(row: number): void {
    const gone = this.rows[row];
    if (!gone?.live) return;
    gone.live = false;
    gone.text = gone.heading = '';
    this.live--;
    this.lengths -= this.lengthOf[row]!;
  }

  find({ stems, prefix, parts: inParts }: Phrase, most = Infinity): Map<number, number> {
    const found = new Map<number, number>();
    const last = stems.at(-1);
    if (last === undefined) return found;
    const endings = prefix ? [...this.terms.keys()].filter((term) => term.startsWith(last)) : [last];
    if (stems.length === 1 && !inParts) {
      for (const term of endings) {
        const posting = this.postingOf(term);
        for (let i = 0; posting && i < posting.rows.length; i++) {
          const row = posting.rows[i]!;
          if (this.rows[row]!.live) found.set(row, (found.get(row) ?? 0) + weighted(posting.counts[i]!));
        }
      }
      return found;
    }
    const postings = stems.map((term, i) => {
      const all = i === stems.length - 1 ? endings : [term];
      const rows = all.length === 1 ? (this.postingOf(all[0]!)?.rows ?? []) : all.flatMap((one) => this.postingOf(one)?.rows ?? []);
      return all.length === 1 ? rows : rows.sort((a, b) => a - b);
    });
    postings.sort((a, b) => a.length - b.length);
    let candidates: number[] = [...new Set(postings[0])];
    for (const rows of postings.slice(1)) candidates = both(candidates, rows);
    if (candidates.length > most) return found;
    const near = candidates.length > MANY ? beginnings(stems) : undefined;
    const wanted = new Set(endings);
    for (const row of candidates) {
      const { text, heading, live, compound } = this.rows[row]!;
      if (!live || (near && !compound && !near.test(text) && !near.test(heading))) continue;
      const columns = inParts ? [[], [], parts(text)] : [wordsOf(text), wordsOf(heading), parts(text)];
      let sum = 0;
      for (const [column, words] of columns.entries()) sum += WEIGHTS[column]! * occurrences(stemsOf(words), stems, wanted);
      if (sum > 0) found.set(row, sum);
    }
    return found;
  }

  /** The rows that hold words, in this very form but for case and accents. */
  holds(row: number, folded: readonly string[], fold: (word: string) => string): boolean {
    const { text, heading } = this.rows[row]!;
    return occurrences(wordsOf(`${text}\n${heading}`).map(fold), folded, new Set([folded.at(-1)!])) > 0;
  }

  score(phrases: readonly Phrase[]): Float64Array {
    if (this.scores.length !== this.rows.length) this.scores = new Float64Array(this.rows.length);
    const scores = this.scores.fill(0);
    const mean = this.lengths / Math.max(1, this.live);
    const weigh = (size: number): Weigh => bm25(size, this.live, mean);
    for (const one of phrases) {
      const posting = one.stems.length === 1 && !one.prefix && !one.parts && this.live === this.rows.length ? this.postingOf(one.stems[0]!) : undefined;
      if (posting) {
        // What `find` finds, without a map of it.
        const { rows, counts } = posting;
        const weight = weigh(rows.length);
        for (let i = 0; i < rows.length; i++) scores[rows[i]!]! += weight(weighted(counts[i]!), this.lengthOf[rows[i]!]!);
      } else {
        const found = this.find(one);
        const weight = weigh(found.size);
        for (const [row, often] of found) scores[row]! += weight(often, this.lengthOf[row]!);
      }
    }
    return scores;
  }

  /** How many passages there are. */
  get count(): number {
    return this.live;
  }
}

/** BM25 of a phrase that a passage of `length` words holds so often. */
type Weigh = (often: number, length: number) => number;

/** Weighs a phrase that `size` of `count` passages hold, which have `mean` words on average. */
export function bm25(size: number, count: number, mean: number): Weigh {
  const rare = Math.log((count - size + 0.5) / (size + 0.5));
  const idf = rare > 0 ? rare : 1e-6;
  return (often, length) => (idf * often * (K1 + 1)) / (often + K1 * (1 - B + (B * length) / mean));
}

function weighted(count: number): number {
  return WEIGHTS[0] * (count & MOST) + WEIGHTS[1] * ((count >> BITS) & MOST) + WEIGHTS[2] * ((count >> (2 * BITS)) & MOST);
}

/** Matches where words may begin as these stems do, one behind the other; any letter beyond ASCII may be one with an accent. */
function beginnings(stems: readonly string[]): RegExp {
  // A stem's last letter may have been made.
  const words = stems.map((one) => [...one].slice(0, Math.max(1, [...one].length - 1)).map((letter) => (/[a-z0-9]/.test(letter) ? `[${letter}\\u0080-\\uffff]` : '[^]') + '[\\u0080-\\uffff]?').join(''));
  return new RegExp(words.join('[a-z0-9\\u0080-\\uffff]*[^a-z0-9]+'), 'i');
}

/** What two ascending lists of rows, of which the first is the shorter, have in common. */
function both(few: readonly number[], many: readonly number[]): number[] {
  if (few.length * 16 > many.length) {
    let at = 0;
    return few.filter((row) => {
      while (many[at]! < row) at++;
      return many[at] === row;
    });
  }
  return few.filter((row) => {
    let low = 0;
    let high = many.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (many[middle]! < row) low = middle + 1;
      else high = middle;
    }
    return many[low] === row;
  });
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
