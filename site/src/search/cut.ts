/** Cuts documents into passages at the ends of sentences. */

import type { Embedder } from 'm2embed/worker';

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
/** [CLS] and [SEP]. */
const SPECIAL = 2;

const segmenter = typeof Intl.Segmenter === 'function' ? new Intl.Segmenter(undefined, { granularity: 'sentence' }) : undefined;

/** Sentences of part of a text, without the white space around them. A line break between paragraphs ends one. */
export function sentences(text: string, from = 0, to = text.length): Span[] {
  const found: Span[] = [];
  const add = (start: number, end: number): void => {
    while (start < end && /\s/.test(text[start]!)) start++;
    while (end > start && /\s/.test(text[end - 1]!)) end--;
    if (end > start) found.push({ start, end });
  };
  const paragraph = /\n[^\S\n]*\n/g;
  paragraph.lastIndex = from;
  for (let at = from; at < to; ) {
    const gap = paragraph.exec(text);
    const end = gap && gap.index < to ? gap.index : to;
    const part = text.slice(at, end);
    if (segmenter) for (const { index, segment } of segmenter.segment(part)) add(at + index, at + index + segment.length);
    else for (const match of part.matchAll(/[^.!?。！？]*[.!?。！？]*\s*/g)) if (match[0]) add(at + match.index, at + match.index + match[0].length);
    at = gap && gap.index < to ? gap.index + gap[0].length : to;
  }
  return found;
}

/** Starts and ends of all tokens of spans, in order, special tokens left out. */
async function tokenize(model: Embedder, text: string, spans: readonly Span[], signal: AbortSignal): Promise<{ starts: number[]; ends: number[] }> {
  const starts: number[] = [];
  const ends: number[] = [];
  for (let i = 0; i < spans.length; ) {
    const from = spans[i]!.start;
    let j = i + 1;
    while (j < spans.length && spans[j]!.end - from <= SLICE) j++;
    const { offsets } = await model.tokenize(text.slice(from, spans[j - 1]!.end));
    signal.throwIfAborted();
    for (let k = 2; k < offsets.length - 2; k += 2) {
      starts.push(from + offsets[k]!);
      ends.push(from + offsets[k + 1]!);
    }
    i = j;
  }
  return { starts, ends };
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

/**
 * Cuts into passages of at most `most` tokens. A passage ends with a sentence,
 * and with a paragraph when it is more than half full; a sentence that is
 * longer than a passage is cut between tokens. `within` are spans that no
 * passage may cross, such as the rows of a table.
 */
export async function cut(model: Embedder, text: string, most: number, within: readonly Span[], signal: AbortSignal): Promise<Passage[]> {
  const room = Math.max(1, most - SPECIAL);
  const passages: Passage[] = [];
  const all = within.map((span) => sentences(text, span.start, span.end));
  const { starts, ends } = await tokenize(model, text, all.flat(), signal);
  for (const units of all) {
    let open: Passage | undefined;
    const close = (): void => {
      if (open) passages.push({ ...open, tokens: open.tokens + SPECIAL });
      open = undefined;
    };
    for (const { start, end } of units) {
      const first = lowerBound(starts, start);
      const count = lowerBound(starts, end) - first;
      const gap: boolean = open !== undefined && /\n\s*\n/.test(text.slice(open.end, start));
      if (open && (open.tokens + count > room || (gap && open.tokens > room / 2))) close();
      if (count > room) {
        for (let i = first; i < first + count; i += room) {
          const last = Math.min(i + room, first + count);
          passages.push({ start: starts[i]!, end: ends[last - 1]!, tokens: last - i + SPECIAL });
        }
      } else if (open) {
        open = { start: open.start, end, tokens: open.tokens + count };
      } else open = { start, end, tokens: count };
    }
    close();
  }
  return passages;
}

/** A whole document as one passage, or as few as the model's limit allows. */
export async function whole(model: Embedder, text: string, most: number, within: readonly Span[], signal: AbortSignal): Promise<Passage[]> {
  const { starts } = await tokenize(model, text, within.flatMap((span) => sentences(text, span.start, span.end)), signal);
  if (within.length === 1 && starts.length + SPECIAL <= most) return starts.length > 0 ? [{ start: 0, end: text.length, tokens: starts.length + SPECIAL }] : [];
  return cut(model, text, most, within, signal);
}
