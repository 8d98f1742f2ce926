/** Cuts documents into passages, by core/passage, and groups them for one pass of the model. */

import type { Embedder, EmbedOptions } from 'm2embed/worker';

/** A part of a text, [start, end) in UTF-16 code units. */
export interface Span {
  start: number;
  end: number;
}

/** A span that is embedded as one text, and how many tokens it has, special tokens included. */
export interface Passage extends Span {
  tokens: number;
}

/** Characters that are tokenized in one call. */
const SLICE = 20_000;
/** Characters that are cut in one call, at least. */
const PIECE = 100_000;
/** [CLS] and [SEP]. */
const SPECIAL = 2;

/** A span without the white space around it. */
function trimmed(text: string, start: number, end: number): Span {
  while (start < end && /\s/.test(text[start]!)) start++;
  while (end > start && /\s/.test(text[end - 1]!)) end--;
  return { start, end };
}

/** A span in pieces of at most `size` characters, which end with a paragraph, or else with a line or a word. */
function pieces(text: string, { start, end }: Span, size: number): Span[] {
  const found: Span[] = [];
  while (end - start > size) {
    const half = start + Math.floor(size / 2);
    const tail = text.slice(half, start + size);
    const last = ['\n\n', '\n', ' '].map((mark) => tail.lastIndexOf(mark)).find((one) => one > 0) ?? tail.length;
    let at = half + last;
    // A character of two code units stays whole.
    if (/[\udc00-\udfff]/.test(text[at]!)) at++;
    found.push({ start, end: at });
    start = at;
  }
  if (end > start) found.push({ start, end });
  return found;
}

/** Where the tokens of spans start, in order, special tokens left out. */
async function tokenStarts(model: Embedder, text: string, spans: readonly Span[], signal: AbortSignal, follow: (at: number) => void): Promise<number[]> {
  const starts: number[] = [];
  const parts = spans.flatMap((span) => pieces(text, span, SLICE));
  for (let i = 0; i < parts.length; ) {
    const from = parts[i]!.start;
    let j = i + 1;
    while (j < parts.length && parts[j]!.end - from <= SLICE) j++;
    const { offsets } = await model.tokenize(text.slice(from, parts[j - 1]!.end));
    signal.throwIfAborted();
    for (let k = 2; k < offsets.length - 2; k += 2) starts.push(from + offsets[k]!);
    follow(parts[j - 1]!.end);
    i = j;
  }
  return starts;
}

/** The first index of a sorted list whose value is at least x. */
function lowerBound(list: readonly number[], x: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]! < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How long passages are, in tokens, special tokens included; for whole documents both are the model's limit. */
export interface Lengths {
  /** What a passage aims at. */
  target: number;
  /** What it has at most. */
  most: number;
}

/**
 * Cuts into passages by core/passage. `within` are spans that no passage may
 * cross, such as the rows of a table; one that fits is a passage. `follow` hears
 * the share that is done.
 */
export async function cut(model: Embedder, text: string, { target, most }: Lengths, within: readonly Span[], signal: AbortSignal, follow: (share: number) => void = () => {}): Promise<Passage[]> {
  const room = { target: Math.max(1, target - SPECIAL), max: Math.max(1, most - SPECIAL) };
  const passages: Passage[] = [];
  // Half of the work is to count the tokens, half to cut by them.
  const starts = await tokenStarts(model, text, within, signal, (at) => follow(at / text.length / 2));
  for (const span of within) {
    const whole = trimmed(text, span.start, span.end);
    const tokens = lowerBound(starts, whole.end) - lowerBound(starts, whole.start);
    if (tokens === 0) continue;
    if (tokens <= room.max) passages.push({ ...whole, tokens: tokens + SPECIAL });
    else {
      for (const piece of pieces(text, span, Math.max(PIECE, 8 * most))) {
        for (const { start, end, tokens } of await model.passages(text.slice(piece.start, piece.end), { ...room, signal })) {
          passages.push({ start: piece.start + start, end: piece.start + end, tokens: tokens + SPECIAL });
        }
        follow((1 + piece.end / text.length) / 2);
      }
    }
  }
  return passages;
}

/**
 * How many of a document's passages, from the first one on, are embedded in one
 * pass, so that each has seen what stands around it: as many as a pass of `limit`
 * tokens holds, and about as many in each pass. Rows of a table are embedded by
 * themselves.
 */
export function inOnePass(passages: readonly Passage[], first: number, limit: number, rows: boolean): number {
  if (rows) return 1;
  const bare = (i: number): number => passages[i]!.tokens - SPECIAL;
  let left = 0;
  for (let i = first; i < passages.length; i++) left += bare(i);
  const room = limit - SPECIAL;
  const share = left / Math.ceil(left / room);
  let n = 1;
  for (let tokens = bare(first); first + n < passages.length; n++) {
    const next = tokens + bare(first + n);
    if (next > room || tokens + bare(first + n) / 2 > share) break;
    tokens = next;
  }
  return n;
}

/** The vectors of passages, pass by pass. One that is alone in its pass has the vector of its text. */
export async function vectorsOf(model: Embedder, text: string, passes: readonly (readonly Passage[])[], options: Pick<EmbedOptions, 'signal' | 'onProgress'>): Promise<Float32Array[]> {
  const inputs = passes.map((passages) => {
    const { start } = passages[0]!;
    return { text: text.slice(start, passages.at(-1)!.end), spans: passages.length > 1 ? passages.map((passage) => ({ start: passage.start - start, end: passage.end - start })) : [] };
  });
  const found = await model.embedDetailed(inputs, { ...options, normalize: true });
  const vectors = found.flatMap(({ vector, spans }) => spans?.map((span) => span.vector) ?? [vector]);
  // What a character's tokens made longer than the model's limit was cut off.
  const passages = passes.flat();
  for (const [i, vector] of vectors.entries()) vectors[i] = vector ?? (await model.embed(text.slice(passages[i]!.start, passages[i]!.end), { normalize: true, ...(options.signal && { signal: options.signal }) }));
  return vectors as Float32Array[];
}
