/** Shows a document with a passage and its best sentence marked. */

import { $, h, openDialog } from '../dom.js';
import type { Span } from './cut.js';
import type { Document } from './library.js';

/** Characters shown on either side of the passage. */
const AROUND = 30_000;

/** Opens a document at a passage, or at its beginning. */
export function openPassage(document: Document, passage: Span = { start: 0, end: 0 }, best?: Span): void {
  const { text } = document;
  const from = Math.max(0, passage.start - AROUND);
  const to = Math.min(text.length, Math.max(passage.end, best?.end ?? 0) + AROUND);
  const inner = best ?? passage;
  const here = h('span', { class: 'here' }, text.slice(passage.start, inner.start), best ? h('mark', null, text.slice(best.start, best.end)) : text.slice(inner.start, inner.end), best ? text.slice(best.end, passage.end) : '');
  const body = h('div', { class: 'reader', tabIndex: 0, role: 'group', 'aria-label': `Text of ${document.name}` }, from > 0 && '… ', text.slice(from, passage.start), here, text.slice(passage.end, to), to < text.length && ' …');
  openDialog($<HTMLDialogElement>('dialog'), document.name, body);
  const target = here.querySelector('mark') ?? here;
  if (passage.end > 0) body.scrollTop = target.offsetTop - body.offsetTop - body.clientHeight / 3;
}
