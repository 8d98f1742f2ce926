/** Finds the sentence of a passage that answers a query best. */

import type { Embedder } from 'm2embed/worker';
import { sentences, type Span } from './cut.js';
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
