/** Finds the sentence of a passage that answers a query best. */

import type { Embedder } from 'm2embed/worker';
import type { Span } from './cut.js';
import type { Entry } from './library.js';

/** Characters of a piece: whole sentences up to here. */
const PIECE = 280;
/** Padded models run every piece at full length: then words decide. */
const CHEAP_LENGTH = 512;
const KEPT = 300;
const BATCH = 8;

interface Pieces {
  spans: Span[];
  vectors: Float32Array[] | undefined;
}

const kept = new Map<string, Pieces>();

const segmenter = typeof Intl.Segmenter === 'function' ? new Intl.Segmenter(undefined, { granularity: 'sentence' }) : undefined;

/** Sentences of part of a text, without the white space around them. A line break between paragraphs ends one. */
function sentences(text: string, from = 0, to = text.length): Span[] {
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

function piecesOf(entry: Entry): Pieces {
  const key = `${entry.document.id} ${entry.index}`;
  let pieces = kept.get(key);
  if (!pieces) {
    const spans: Span[] = [];
    for (const sentence of sentences(entry.document.text, entry.passage.start, entry.passage.end)) {
      const last = spans.at(-1);
      // Short sentences say little alone.
      if (last && (sentence.end - last.start <= PIECE / 3 || last.end - last.start < 24)) last.end = sentence.end;
      else spans.push({ ...sentence });
    }
    pieces = { spans, vectors: undefined };
    kept.set(key, pieces);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value!);
  }
  return pieces;
}

/** The best sentence, as a span of the document's text. */
export async function bestSentence(model: Embedder, entry: Entry, query: string, vector: Float32Array, signal: AbortSignal): Promise<Span | undefined> {
  const pieces = piecesOf(entry);
  const { spans } = pieces;
  if (spans.length < 2) return spans[0];
  const { padding, maxLength } = model.info;
  const cheap = padding === 'none' || padding === 'longest' || (padding === 'max_length' ? maxLength : Number(padding)) <= CHEAP_LENGTH;
  if (!cheap) return byWords(entry.document.text, spans, query);
  if (!pieces.vectors) {
    const vectors: Float32Array[] = [];
    for (let i = 0; i < spans.length; i += BATCH) {
      const texts = spans.slice(i, i + BATCH).map(({ start, end }) => entry.document.text.slice(start, end));
      vectors.push(...(await model.embed(texts, { normalize: true, signal })));
    }
    pieces.vectors = vectors;
  }
  let best = 0;
  let most = -Infinity;
  for (const [i, piece] of pieces.vectors.entries()) {
    const score = piece.reduce((sum, value, j) => sum + value * (vector[j] ?? 0), 0);
    if (score > most) [best, most] = [i, score];
  }
  return spans[best];
}

function byWords(text: string, spans: readonly Span[], query: string): Span | undefined {
  const wanted = new Set(query.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? []);
  const score = ({ start, end }: Span): number => new Set((text.slice(start, end).toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? []).filter((word) => wanted.has(word))).size;
  const scores = spans.map(score);
  const most = Math.max(...scores);
  return most > 0 ? spans[scores.indexOf(most)] : undefined;
}
