/** Shows a document with its passages that were found, and what is marked in them. */

import { $, h, openDialog } from '../dom.js';
import type { Span } from './cut.js';
import type { Document } from './library.js';
import { marked } from './marked.js';
import { placeAt } from './place.js';
import { marks, type Term } from './words.js';

/** Characters shown on either side of the passage. */
const AROUND = 30_000;

export interface Found {
  /** Best first. */
  passages: readonly Span[];
  terms?: readonly Term[];
  /** The best sentence of the first passage. */
  best?: Span | undefined;
}

/** Opens a document at a passage, or at its beginning. */
export function openPassage(document: Document, { passages, terms = [], best }: Found = { passages: [] }): void {
  const { text, name } = document;
  const body = h('div', { class: 'reader', tabIndex: 0, role: 'group', 'aria-label': `Text of ${name}` });
  const where = h('p', { class: 'small muted', role: 'status' });
  let at = 0;
  const draw = (): void => {
    const passage = passages[at] ?? { start: 0, end: 0 };
    const from = Math.max(0, passage.start - AROUND);
    const to = Math.min(text.length, passage.end + AROUND);
    const words = terms.length > 0 ? marks(text, from, to, terms) : [];
    const here = h('span', { class: 'here' }, marked(text, passage.start, passage.end, words, at === 0 ? best : undefined));
    body.replaceChildren(...(from > 0 ? ['… '] : []), marked(text, from, passage.start, words), here, marked(text, passage.end, to, words), ...(to < text.length ? [' …'] : []));
    where.textContent = [passages.length > 1 ? `Match ${at + 1} of ${passages.length}` : '', passages.length > 0 ? placeAt(document.places, passage.start) : ''].filter((part) => part !== '').join(', ');
    where.hidden = where.textContent === '';
    previous.disabled = at === 0;
    next.disabled = at >= passages.length - 1;
    const target = here.querySelector<HTMLElement>('.best, mark') ?? here;
    body.scrollTop = passage.end > 0 ? target.offsetTop - body.offsetTop - body.clientHeight / 3 : 0;
  };
  const go = (step: number) => (): void => {
    at += step;
    draw();
  };
  const previous = h('button', { type: 'button', class: 'quiet', onclick: go(-1) }, 'Match before');
  const next = h('button', { type: 'button', class: 'quiet', onclick: go(1) }, 'Next match');
  const steps = passages.length > 1 && h('div', { class: 'row' }, previous, next);
  openDialog($<HTMLDialogElement>('dialog'), name, where, body, steps);
  draw();
}
