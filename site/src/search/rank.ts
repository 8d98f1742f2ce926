/**
 * Puts words and meaning together, as the head of host/search/rank.go says it:
 * the same candidates, the same numbers, the same order.
 */

import type { Words } from './word-index.js';
import { alternatives, demands, fold, isStopped, phrase, wholePhrase, type Term } from './words.js';

export type Mode = 'both' | 'words' | 'meaning';

const WORD_WEIGHT = 0.4;
/** For what a passage holds exactly, which meaning does not know. */
const EXACT_WEIGHT = 0.5;
/** Standard deviations above the mean where a cosine begins to say something. */
const GOOD_DEVIATIONS = 3;
/** The share of the best BM25 below which words say little. */
const GOOD_WORDS = 0.5;
/** Passages that are looked through for the words of a query one behind the other. */
const LOOKED_THROUGH = 20_000;
/** Passages that are candidates by words, and by meaning. */
const CANDIDATES = 400;

export interface Query {
  terms: readonly Term[];
  mode: Mode;
  /** The group that a passage belongs to, its document, or undefined where it may not be found. */
  group(row: number): number | undefined;
}

export interface Hit {
  /** The best passage. */
  row: number;
  score: number;
  /** NaN where there is no vector. */
  cosine: number;
  bm25: number;
  /** Above the relevance floor. */
  good: boolean;
  /** All candidates of the group, best first. */
  passages: Passage[];
}

export interface Passage {
  row: number;
  score: number;
  /** NaN where there is no vector. */
  cosine: number;
  bm25: number;
  /** Above the relevance floor by itself. */
  good: boolean;
}

interface Candidate {
  row: number;
  group: number;
  bm25: number;
  cosine: number;
  exact: number;
}

/**
 * Ranks passages, which both the index and `cosines` number alike; NaN is the
 * cosine of one that was taken out. Without cosines words alone decide.
 */
export function rank(index: Words, cosines: Float32Array | undefined, query: Query): Hit[] {
  const { mode, terms } = query;
  const { must, may, not } = demands(terms);
  const excluded = new Set<number>();
  for (const term of not) for (const one of alternatives(term)) for (const row of index.find(one).keys()) excluded.add(row);
  const required = must.length > 0 ? holding(index, must) : undefined;

  // What few passages hold exactly: identifiers, numbers, all words one behind the other.
  const exact = new Map<number, number>();
  let names = 0;
  if (mode !== 'meaning') {
    const few = Math.max(20, Math.floor(index.count / 100));
    const words = Math.max(1, terms.filter((term) => !term.excluded && !isStopped(term)).length);
    const whole = wholePhrase(terms);
    const rare = terms.filter((term) => term.exact && !term.excluded && !term.quoted).map((term) => ({ phrase: phrase(term.pieces), share: 1 / words, name: true }));
    if (whole) {
      // One word alone, such as ERR_4097, is its own whole phrase.
      const same = rare.filter((one) => one.phrase.stems.join(' ') === whole.stems.join(' '));
      for (const one of same) Object.assign(one, { share: 1, name: false });
      rare.push({ phrase: whole, share: 1, name: false });
    }
    for (const { phrase: one, share, name } of rare) {
      const found = index.find(one, LOOKED_THROUGH);
      if (found.size === 0 || found.size > few) continue;
      if (name) names += share;
      for (const row of found.keys()) exact.set(row, Math.min(1, (exact.get(row) ?? 0) + share * Math.min(1, 4 / found.size)));
    }
  }

  const candidates = new Map<number, Candidate>();
  const candidate = (row: number): Candidate | undefined => {
    const group = excluded.has(row) || (required && !required.has(row)) ? undefined : query.group(row);
    if (group === undefined) return undefined;
    let found = candidates.get(row);
    if (!found) candidates.set(row, (found = { row, group, bm25: 0, cosine: NaN, exact: exact.get(row) ?? 0 }));
    return found;
  };

  for (const row of exact.keys()) candidate(row);

  // By words.
  let best = 0;
  if (mode !== 'meaning') {
    const phrases = [...may, ...must].flatMap(alternatives).concat(must.flatMap(alternatives));
    const scores = index.score(phrases);
    const held = required ? [...required].filter((row) => !excluded.has(row) && query.group(row) !== undefined) : largest(scores, (row) => !excluded.has(row) && query.group(row) !== undefined, 0);
    for (const row of held) {
      const bm25 = scores[row]!;
      if (bm25 <= 0) continue;
      candidate(row)!.bm25 = bm25;
      best = Math.max(best, bm25);
    }
  }

  // By meaning.
  const vectors = cosines !== undefined && mode !== 'words';
  let mean = 0;
  let spread = 0;
  let top = 0;
  if (vectors) {
    let squares = 0;
    let n = 0;
    // By number: iterators take several times as long.
    for (let row = 0; row < cosines.length; row++) {
      const cosine = cosines[row]!;
      if (Number.isNaN(cosine)) continue;
      n++;
      mean += cosine;
      squares += cosine * cosine;
    }
    mean /= Math.max(1, n);
    spread = Math.sqrt(Math.max(0, squares / Math.max(1, n) - mean * mean));
    for (const row of largest(cosines, (row) => !excluded.has(row) && (!required || required.has(row)) && query.group(row) !== undefined)) {
      candidate(row);
      top = Math.max(top, cosines[row]!);
    }
    for (const one of candidates.values()) one.cosine = cosines[one.row]!;
  }

  const wordScore = (bm25: number): number => (best > 0 ? bm25 / best : 0);
  const meaningScore = (cosine: number): number => (vectors && top > mean ? Math.max(0, (cosine - mean) / (top - mean)) : 0);
  const fuse = (words: number, close: number, held: number): number => {
    if (vectors && mode === 'meaning') return close;
    return (vectors ? WORD_WEIGHT * words + (1 - WORD_WEIGHT) * close : words) + EXACT_WEIGHT * held;
  };

  const groups = new Map<number, { words: number; close: number; exact: number; all: { one: Candidate; own: number }[] }>();
  for (const one of candidates.values()) {
    const [words, close] = [wordScore(one.bm25), meaningScore(one.cosine)];
    const own = fuse(words, close, one.exact);
    let group = groups.get(one.group);
    if (!group) groups.set(one.group, (group = { words: 0, close: 0, exact: 0, all: [] }));
    group.words = Math.max(group.words, words);
    group.close = Math.max(group.close, close);
    group.exact = Math.max(group.exact, one.exact);
    group.all.push({ one, own });
  }
  const hits = [...groups.values()].map(({ words, close, exact: held, all }): Hit => {
    all.sort((a, b) => b.own - a.own || a.one.row - b.one.row);
    const { row, cosine, bm25 } = all[0]!.one;
    const isGood = (of: { words: number; close: number; held: number; cosine: number }): boolean =>
      required !== undefined ||
      (names > 0 && of.held >= names) ||
      of.held === 1 ||
      (mode !== 'meaning' && of.words >= GOOD_WORDS) ||
      (vectors && of.close > 0 && of.cosine >= mean + GOOD_DEVIATIONS * spread);
    const passages = all.map(({ one, own }): Passage => {
      const good = isGood({ words: wordScore(one.bm25), close: meaningScore(one.cosine), held: one.exact, cosine: one.cosine });
      return { row: one.row, score: own, cosine: one.cosine, bm25: one.bm25, good };
    });
    return { row, score: fuse(words, close, held), cosine, bm25, good: isGood({ words, close, held, cosine }), passages };
  });
  return hits.sort((a, b) => b.score - a.score || a.row - b.row);
}

/** Rows that hold every quoted phrase with the very words, not with others of the same stem. */
function holding(index: Words, must: readonly Term[]): Set<number> {
  let rows: number[] | undefined;
  for (const term of must) {
    const found = index.find(phrase(term.pieces));
    const words = term.pieces.map(fold);
    rows = (rows ?? [...found.keys()]).filter((row) => found.has(row) && index.holds(row, words, fold));
  }
  return new Set(rows);
}

/** The rows of the largest values above a floor. */
function largest(values: ArrayLike<number>, allowed: (row: number) => boolean, floor = -Infinity): number[] {
  let best: number[] = [];
  const cut = (): void => {
    best.sort((a, b) => values[b]! - values[a]! || a - b);
    if (best.length <= CANDIDATES) return;
    best = best.slice(0, CANDIDATES);
    floor = values[best.at(-1)!]!;
  };
  for (let row = 0; row < values.length; row++) {
    if (!(values[row]! > floor) || !allowed(row)) continue;
    best.push(row);
    if (best.length === 2 * CANDIDATES) cut();
  }
  cut();
  return best;
}
