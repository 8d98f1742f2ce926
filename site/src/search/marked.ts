/** Part of a text with the best sentence and the words of a query marked. */

import { h } from '../dom.js';
import type { Span } from './cut.js';

export function marked(text: string, from: number, to: number, words: readonly Span[], sentence?: Span): DocumentFragment {
  const part = document.createDocumentFragment();
  const run = (into: DocumentFragment | HTMLElement, start: number, end: number): void => {
    let at = start;
    for (const word of words) {
      if (word.end <= start || word.start >= end) continue;
      into.append(text.slice(at, Math.max(at, word.start)), h('mark', null, text.slice(Math.max(at, word.start), Math.min(end, word.end))));
      at = Math.min(end, word.end);
    }
    into.append(text.slice(at, end));
  };
  const [first, last] = sentence ? [Math.max(from, sentence.start), Math.min(to, sentence.end)] : [to, to];
  run(part, from, Math.max(from, first));
  if (last > first) {
    const best = h('span', { class: 'best' });
    run(best, first, last);
    part.append(best);
    run(part, last, to);
  }
  return part;
}

/** Where an excerpt begins that shows what stands at `at`: up to `before` characters ahead of it, with a word if there are spaces. */
export function excerptFrom(text: string, at: number, before: number): number {
  const near = Math.max(0, at - before);
  const from = near + text.slice(near, at).indexOf(' ') + 1;
  // A character of two code units stays whole.
  return /[\udc00-\udfff]/.test(text[from] ?? '') ? from + 1 : from;
}
