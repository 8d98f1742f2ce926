/**
 * Words of texts and queries, as host/search has them: parsing of queries, the
 * pieces of compound words, stems, marks.
 */

import { stemmer } from 'stemmer';
import type { Span } from './cut.js';

/** One thing that a query asks for. */
export interface Term {
  /** Its words, one behind the other. */
  pieces: string[];
  /** Pieces that are also looked for by themselves. */
  alone: string[];
  /** Must be there, letter for letter but for case. */
  quoted: boolean;
  /** Must not be there. */
  excluded: boolean;
  /** Its last word may go on. */
  prefix: boolean;
  /** An identifier or a number, which meaning does not know. */
  exact: boolean;
}

/** From this many words on a query is a text: quotes and minuses in it are its own. */
const PROSE = 24;

const WORD = /[\p{L}\p{N}\p{M}]+/gu;

const demanding = (query: string): boolean => query.trim().split(/\s+/).length < PROSE;

/** Words of a text: runs of letters, digits and marks. */
export const wordsOf = (text: string): string[] => text.match(WORD) ?? [];

/** Reads a query: words, "exact phrases", -excluded ones, and the beginning of words with a star behind. */
export function parse(query: string): Term[] {
  const terms: Term[] = [];
  let rest = demanding(query) ? query : query.replaceAll('"', ' ').replaceAll(' -', ' ');
  for (;;) {
    rest = rest.trimStart();
    if (rest === '') return terms;
    const term: Term = { pieces: [], alone: [], quoted: false, excluded: false, prefix: false, exact: false };
    if (/^-[^\s-]/.test(rest)) {
      term.excluded = true;
      rest = rest.slice(1);
    }
    const end = rest[0] === '"' ? rest.indexOf('"', 1) : -1;
    if (end >= 0) {
      term.quoted = true;
      term.pieces = wordsOf(rest.slice(1, end));
      rest = rest.slice(end + 1);
      if (term.pieces.length > 0) terms.push(term);
      continue;
    }
    const chunk = /^\S+/.exec(rest)![0];
    rest = rest.slice(chunk.length);
    term.pieces = wordsOf(chunk);
    if (term.pieces.length === 0) continue;
    term.prefix = chunk.endsWith('*');
    term.exact = isIdentifier(chunk);
    const humps = split(chunk);
    if (term.pieces.length > 1 && !isContraction(term.pieces)) term.alone = term.pieces;
    else if (term.pieces.length === 1 && humps.length > 1) term.alone = humps;
    terms.push(term);
  }
}

/** Tells "don't" and "Bob's" from what has parts of its own. */
function isContraction(pieces: readonly string[]): boolean {
  const [first = '', second = ''] = pieces;
  return pieces.length === 2 && second.length <= 2 && [...first].length > 1 && !/\p{Nd}/u.test(first + second);
}

/** Whether a word is a name of code or a number. */
function isIdentifier(chunk: string): boolean {
  const bare = chunk.replace(/^[^\p{L}\p{Nd}_]+|[^\p{L}\p{Nd}_]+$/gu, '');
  return /[\p{Nd}_./:\\@]/u.test(bare) || wordsOf(bare).some((word) => split(word).length > 1);
}

/** Cuts a word such as getUserName, HTTPServer or utf8 where capitals and digits begin; other words are one piece. */
export function split(text: string): string[] {
  const pieces: string[] = [];
  for (const word of wordsOf(text)) {
    const letters = [...word];
    let from = 0;
    for (let i = 1; i < letters.length; i++) {
      const [before, letter, after] = [letters[i - 1]!, letters[i]!, letters[i + 1]];
      const hump =
        (isLower(before) && isUpper(letter)) ||
        (isUpper(before) && isUpper(letter) && after !== undefined && isLower(after) && i - from > 1) ||
        (/\p{L}/u.test(before) && /\p{Nd}/u.test(letter) && i - from > 1);
      if (!hump) continue;
      pieces.push(letters.slice(from, i).join(''));
      from = i;
    }
    pieces.push(letters.slice(from).join(''));
  }
  return pieces;
}

const isLower = (letter: string): boolean => /\p{Ll}/u.test(letter);
const isUpper = (letter: string): boolean => /\p{Lu}/u.test(letter);

/** Most words have no pieces; this finds those that may. */
export const COMPOUND = /[\p{Ll}\p{Lu}][\p{Lu}\p{Nd}]/u;

/** The words of a text that have several pieces, cut into them. */
export function parts(text: string): string[] {
  const found: string[] = [];
  if (!COMPOUND.test(text)) return found;
  for (const word of wordsOf(text)) {
    if (!COMPOUND.test(word)) continue;
    const pieces = split(word);
    if (pieces.length > 1) found.push(...pieces);
  }
  return found;
}

/** Words that nearly every English passage holds, not looked for unless a query has nothing else. */
export const STOP = new Set(
  `a about after all also am an and any are as at be been before being but by can could did do does
  for from get had has have he her him his how i if in into is it its me more most my no not of on or our out over she
  should so some such than that the their them then there these they this those to too under up us was we were what when
  where which while who whom whose why will with would you your`.split(/\s+/),
);

/** Leaves out case and accents. */
export function fold(word: string): string {
  const lower = word.toLowerCase();
  return /^[\0-\x7f]*$/.test(lower) ? lower : lower.normalize('NFD').replace(/\p{Mn}/gu, '');
}

const stems = new Map<string, string>();
/** Bytes of a word from which on it is its own stem, and those that are looked at: what is longer is data without spaces. */
const LONGEST_STEM = 64;
const LONGEST_WORD = 256;
const buffer = new Uint8Array(LONGEST_WORD);
const encoder = new TextEncoder();

/** The stem of a word (Porter 1980), without case and accents: what the index holds. It is empty for marks by themselves. */
export function stem(word: string): string {
  // A character of UTF-16 has at most three bytes.
  if (word.length > LONGEST_WORD / 3) word = word.slice(0, encoder.encodeInto(word, buffer).read);
  let found = stems.get(word);
  if (found === undefined) {
    const folded = fold(word);
    found = encoder.encodeInto(folded, buffer).written > LONGEST_STEM || folded.length < 3 ? folded : stemmer(folded);
    if (stems.size > 200_000) stems.clear();
    stems.set(word, found);
  }
  return found;
}

/** The stems of words; marks by themselves have none. */
export const stemsOf = (words: readonly string[]): string[] => words.map(stem).filter((one) => one !== '');

/** Words in a row that are looked for, as stems. */
export interface Phrase {
  stems: string[];
  prefix: boolean;
  /** Only among the pieces of compound words. */
  parts: boolean;
}

export const phrase = (pieces: readonly string[], prefix = false, inParts = false): Phrase => ({ stems: stemsOf(pieces), prefix, parts: inParts });

/** What a term looks for: any of these. */
export function alternatives(term: Term): Phrase[] {
  const found = [phrase(term.pieces, term.prefix)];
  if (term.quoted || term.excluded) return found;
  if (term.alone.length > 1) found.push(phrase(term.alone, false, true));
  for (const word of term.alone) if ([...word].length > 2 && !STOP.has(word.toLowerCase())) found.push(phrase([word]));
  return found;
}

/** Whether a term says nothing beside others. */
export const isStopped = (term: Term): boolean => term.pieces.length === 1 && !term.prefix && !term.quoted && STOP.has(term.pieces[0]!.toLowerCase());

/** A query's plain words one behind the other, undefined where they are fewer than two. */
export function wholePhrase(terms: readonly Term[]): Phrase | undefined {
  if (terms.some((term) => term.quoted || term.excluded || term.prefix)) return undefined;
  const words = terms.flatMap(({ pieces }) => pieces);
  return words.length < 2 ? undefined : phrase(words);
}

/** Terms that a query looks for, sorted. */
export function demands(terms: readonly Term[]): { must: Term[]; may: Term[]; not: Term[] } {
  const must: Term[] = [];
  const may: Term[] = [];
  const not: Term[] = [];
  const stopped: Term[] = [];
  for (const term of terms) {
    if (term.excluded) not.push(term);
    else if (term.quoted) must.push(term);
    else if (isStopped(term)) stopped.push(term);
    else may.push(term);
  }
  return { must, may: must.length === 0 && may.length === 0 ? stopped : may, not };
}

/** The text that is embedded: the query without its exclusions and marks. */
export function meaning(query: string): string {
  if (!demanding(query)) return query;
  const kept: string[] = [];
  let minus = false;
  for (const [i, part] of query.split('"').entries()) {
    if (i % 2 === 1) {
      if (!minus) kept.push(part);
      continue;
    }
    minus = part.endsWith('-');
    for (const word of part.split(/\s+/)) if (word !== '' && word !== '-' && !/^-[^-]/.test(word)) kept.push(word.replace(/\*$/, ''));
  }
  return kept.length === 0 ? query.trim() : kept.join(' ').trim();
}

/** Words of a query in part of a text, ascending. */
export function marks(text: string, start: number, end: number, terms: readonly Term[]): Span[] {
  const wanted = new Set<string>();
  const asked = new Set<string>();
  const begins: string[] = [];
  const phrases: string[][] = [];
  for (const term of terms) {
    if (term.excluded) continue;
    if (term.quoted && term.pieces.length > 1) {
      phrases.push(term.pieces.map(fold));
      continue;
    }
    for (const word of [...term.pieces, ...term.alone]) if (term.pieces.length > 1 || term.quoted || !STOP.has(fold(word))) {
      wanted.add(stem(word));
      asked.add(fold(word));
    }
    if (term.prefix) begins.push(fold(term.pieces.at(-1)!));
  }
  const found: Span[] = [];
  if (wanted.size === 0 && begins.length === 0 && phrases.length === 0) return found;
  const words = [...text.slice(start, end).matchAll(WORD)];
  // The words of an exact phrase count only one behind the other.
  const inPhrase = new Set<number>();
  const folded = phrases.length > 0 ? words.map(([word]) => fold(word)) : [];
  for (const one of phrases) for (let i = 0; i + one.length <= folded.length; i++) if (one.every((word, k) => folded[i + k] === word)) one.forEach((_, k) => inPhrase.add(i + k));
  for (const [i, match] of words.entries()) {
    const word = match[0];
    // "one" has the stem of "on".
    const marked = inPhrase.has(i) || (wanted.has(stem(word)) && (asked.has(fold(word)) || !STOP.has(fold(word)))) || begins.some((begin) => fold(word).startsWith(begin)) || (COMPOUND.test(word) && split(word).some((piece) => wanted.has(stem(piece))));
    if (marked) found.push({ start: start + match.index, end: start + match.index + word.length });
  }
  return found;
}
