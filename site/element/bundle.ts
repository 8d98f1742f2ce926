/** The files that m2embed site-index makes, fetched as they are needed; host/siteindex describes them. */

import { Reader } from '../src/search/varint.js';
import { bm25, occurrences, WEIGHTS, type Words } from '../src/search/word-index.js';
import { wordsOf, type Phrase } from '../src/search/words.js';

const FORMAT = 1;

interface Part<T> {
  first: T;
  file: string;
}

interface Manifest {
  format: number;
  root: string;
  passages: number;
  dimension: number;
  model: { name: string; folder: string; bytes: number };
  rows: string;
  vectors: string;
  words: Part<string>[];
  texts: Part<number>[];
}

interface TextPage {
  title: string;
  address: string;
  passages: [heading: string, anchor: string, text: string][];
}

/** A passage as it is shown. */
export interface Passage {
  title: string;
  heading: string;
  /** Of the page, with the heading's anchor. */
  address: string;
  text: string;
}

/** The last index of an ascending list whose value is at most x. */
function lastUpTo<T>(list: readonly T[], x: T): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]! <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The index of a site: words and texts of what has been fetched so far. */
export class SiteIndex implements Words {
  private readonly fetched = new Map<string, Promise<ArrayBuffer>>();
  /** Stems of the parts that are here, with their places. */
  private readonly stems = new Map<string, Uint8Array>();
  private readonly passagesAt = new Map<number, Passage>();
  /** The first row of each page. */
  private readonly pages: number[] = [];
  private readonly mean: number;

  private constructor(
    private readonly base: URL,
    readonly manifest: Manifest,
    private readonly rows: { pages: number[]; lengths: number[] },
  ) {
    let first = 0;
    for (const n of rows.pages) {
      this.pages.push(first);
      first += n;
    }
    this.mean = rows.lengths.reduce((sum, n) => sum + n, 0) / Math.max(1, rows.lengths.length);
  }

  /** @throws Error when the files are not there, or of another version */
  static async open(base: URL): Promise<SiteIndex> {
    const response = await fetch(new URL('index.json', base), { cache: 'no-cache' });
    if (!response.ok) throw new Error(`${base.href}index.json: status ${response.status}`);
    const manifest = (await response.json()) as Manifest;
    if (manifest.format !== FORMAT) throw new Error(`the index has format ${manifest.format}, this element reads ${FORMAT}: make it anew`);
    const rows = JSON.parse(new TextDecoder().decode(await unpacked(base, manifest.rows))) as { pages: number[]; lengths: number[] };
    return new SiteIndex(base, manifest, rows);
  }

  get count(): number {
    return this.manifest.passages;
  }

  /** The address of the model's folder. */
  get model(): URL {
    return new URL(`${this.manifest.model.folder}/`, this.base);
  }

  /** The number of a passage's page. */
  pageOf(row: number): number {
    return lastUpTo(this.pages, row);
  }

  private once(file: string): Promise<ArrayBuffer> {
    let known = this.fetched.get(file);
    if (!known) {
      known = unpacked(this.base, file);
      this.fetched.set(file, known);
      known.catch(() => this.fetched.delete(file));
    }
    return known;
  }

  /** Fetches what finding these phrases needs. */
  async fetchWords(phrases: readonly Phrase[]): Promise<void> {
    const firsts = this.manifest.words.map(({ first }) => first);
    const wanted = new Set<number>();
    for (const { stems, prefix } of phrases) {
      for (const [i, stem] of stems.entries()) {
        const from = Math.max(0, lastUpTo(firsts, stem));
        const to = prefix && i === stems.length - 1 ? lastUpTo(firsts, `${stem}\uffff`) : from;
        for (let part = from; part <= to; part++) wanted.add(part);
      }
    }
    await Promise.all(
      [...wanted].map(async (i) => {
        const part = this.manifest.words[i];
        if (!part || this.stems.has(part.first)) return;
        const reader = new Reader(new Uint8Array(await this.once(part.file)));
        while (reader.more) {
          const stem = reader.text(reader.number());
          this.stems.set(stem, reader.bytes(reader.number()));
        }
      }),
    );
  }

  /** Fetches the texts of rows. */
  async fetchTexts(rows: Iterable<number>): Promise<void> {
    const firsts = this.manifest.texts.map(({ first }) => first);
    const wanted = new Set([...rows].map((row) => lastUpTo(firsts, row)));
    await Promise.all(
      [...wanted].map(async (i) => {
        const { first, file } = this.manifest.texts[i]!;
        if (this.passagesAt.has(first)) return;
        const pages = JSON.parse(new TextDecoder().decode(await this.once(file))) as TextPage[];
        let row = first;
        for (const { title, address, passages } of pages) {
          const page = new URL(this.manifest.root + address, this.base);
          for (const [heading, anchor, text] of passages) this.passagesAt.set(row++, { title, heading, text, address: page.href + (anchor === '' ? '' : `#${encodeURIComponent(anchor)}`) });
        }
      }),
    );
  }

  passage(row: number): Passage | undefined {
    return this.passagesAt.get(row);
  }

  find({ stems, prefix, parts }: Phrase): Map<number, number> {
    const found = new Map<number, number>();
    const last = stems.length - 1;
    /** For each row and column, 3 of a row, the places where the phrase so far begins. */
    let begins: Map<number, Set<number>> | undefined;
    for (const [i, stem] of stems.entries()) {
      const next = new Map<number, Set<number>>();
      const endings = prefix && i === last ? [...this.stems.keys()].filter((one) => one.startsWith(stem)) : [stem];
      for (const ending of endings) {
        places(this.stems.get(ending), (row, column, offset) => {
          if (parts && column !== 2) return;
          const key = 3 * row + column;
          if (last === 0) found.set(row, (found.get(row) ?? 0) + WEIGHTS[column]!);
          else if (i === 0 || begins!.get(key)?.has(offset - i)) {
            const set = next.get(key);
            if (set) set.add(offset - i);
            else next.set(key, new Set([offset - i]));
          }
        });
      }
      begins = next;
    }
    if (last > 0) for (const [key, set] of begins!) found.set(Math.floor(key / 3), (found.get(Math.floor(key / 3)) ?? 0) + WEIGHTS[key % 3]! * set.size);
    return found;
  }

  holds(row: number, folded: readonly string[], fold: (word: string) => string): boolean {
    const passage = this.passagesAt.get(row);
    if (!passage) return false;
    return occurrences(wordsOf(`${passage.text}\n${passage.title}\n${passage.heading}`).map(fold), folded, new Set([folded.at(-1)!])) > 0;
  }

  score(phrases: readonly Phrase[]): Float64Array {
    const scores = new Float64Array(this.count);
    for (const one of phrases) {
      const found = this.find(one);
      const weight = bm25(found.size, this.count, this.mean);
      for (const [row, often] of found) scores[row]! += weight(often, this.rows.lengths[row]!);
    }
    return scores;
  }

  /** The vectors (n, D) of all passages, with what brings each to unit length. */
  async vectors(): Promise<(query: Float32Array) => Float32Array> {
    const { dimension: d, passages: n, vectors: file } = this.manifest;
    const all = new Int8Array(await fetched(this.base, file));
    if (all.length !== n * d) throw new Error(`${file} has ${all.length} bytes, want ${n * d}`);
    const scale = new Float32Array(n);
    for (let row = 0; row < n; row++) {
      let squares = 0;
      for (let j = row * d; j < (row + 1) * d; j++) squares += all[j]! * all[j]!;
      scale[row] = 1 / Math.sqrt(squares || 1);
    }
    return (query) => {
      const cosines = new Float32Array(n);
      for (let row = 0, at = 0; row < n; row++) {
        let sum = 0;
        for (let j = 0; j < d; j++, at++) sum += query[j]! * all[at]!;
        cosines[row] = sum * scale[row]!;
      }
      return cosines;
    };
  }
}

/** Calls `place` with each row, column and offset of a stem's places. */
function places(data: Uint8Array | undefined, place: (row: number, column: number, offset: number) => void): void {
  if (!data) return;
  const reader = new Reader(data);
  for (let row = 0; reader.more; ) {
    row += reader.number();
    for (let column = 0; column < 3; column++) {
      let offset = 0;
      for (let n = reader.number(); n > 0; n--) place(row, column, (offset += reader.number()));
    }
  }
}

async function fetched(base: URL, file: string): Promise<ArrayBuffer> {
  const response = await fetch(new URL(file, base));
  if (!response.ok) throw new Error(`${file}: status ${response.status}`);
  return response.arrayBuffer();
}

/** A file as it was before it was compressed; some servers have done that themselves. */
async function unpacked(base: URL, file: string): Promise<ArrayBuffer> {
  const data = await fetched(base, file);
  const [a, b] = new Uint8Array(data);
  if (a !== 0x1f || b !== 0x8b) return data;
  return new Response(new Blob([data]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}
