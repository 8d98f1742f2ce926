/** A text as the model sees it. */

import type { Tokenization } from 'm2embed/worker';
import { counted, h } from './dom.js';

const FEW = 48;
const MANY = 2000;

/** Draws tokens as small boxes, and says whether some are left out. */
export function drawTokens(root: HTMLElement, tokenization: Tokenization | undefined, text: string, all: boolean): boolean {
  if (!tokenization) {
    root.replaceChildren();
    return false;
  }
  const { tokens, ids, offsets } = tokenization;
  const shown = Math.min(tokens.length, all ? MANY : FEW);
  const boxes = tokens.slice(0, shown).map((token, i) => {
    const [start, end] = [offsets[2 * i]!, offsets[2 * i + 1]!];
    const special = start === 0 && end === 0;
    const joined = !special && token.startsWith('##');
    return h('span', { class: special ? 'special' : joined ? 'joined' : undefined, title: `id ${ids[i]}${special ? '' : `, “${text.slice(start, end)}”`}` }, joined ? token.slice(2) : token);
  });
  if (shown < tokens.length && all) boxes.push(h('span', { class: 'more' }, `and ${counted(tokens.length - shown, 'more token')}`));
  root.replaceChildren(...boxes);
  return shown < tokens.length || root.scrollHeight > root.clientHeight + 4;
}
