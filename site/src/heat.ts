/** The grid of similarities between texts. */

import { cosine } from 'm2embed/worker';
import { cosineText, h } from './dom.js';

/** Texts from which on the grid is wider than its frame. */
const MANY = 8;

export interface HeatRow {
  name: string;
  text: string;
  vector: Float32Array | undefined;
  /** Whether the text has changed since its vector was made. */
  stale: boolean;
}

/** Draws the table; the closest pair is outlined. */
export function drawHeat(root: HTMLElement, rows: readonly HeatRow[]): void {
  const values = rows.map((a) => rows.map((b) => (a !== b && a.vector && b.vector && a.vector.length === b.vector.length ? cosine(a.vector, b.vector) : undefined)));
  const all = values.flat().filter((value) => value !== undefined);
  const best = Math.max(...all);
  const head = h('tr', null, h('td', { class: 'corner', hidden: true }), h('th', { scope: 'col' }, h('span', { class: 'hidden-label' }, 'Text')), ...rows.map((row) => h('th', { scope: 'col', title: row.text.slice(0, 200) }, row.name)));
  const body = rows.map((row, i) =>
    h(
      'tr',
      null,
      h('th', { scope: 'row', title: row.text.slice(0, 200) }, row.name),
      ...rows.map((other, j) => {
        if (i === j) return h('td', { class: 'self', 'aria-label': 'the same text' }, '·');
        const value = values[i]![j];
        const cell = h('td', { title: `${row.name} and ${other.name}` }, value === undefined ? '' : cosineText(value));
        if (value === undefined) cell.classList.add('self');
        else {
          const share = Math.max(0, Math.min(1, value));
          cell.style.backgroundColor = `rgb(var(--heat-rgb) / ${(0.04 + 0.86 * share ** 1.6).toFixed(3)})`;
          if (share > 0.62) cell.style.color = 'var(--accent-ink)';
          if (row.stale || other.stale) cell.classList.add('stale');
          if (value === best && all.length > 2) cell.classList.add('best');
        }
        return cell;
      }),
    ),
  );
  // Many texts get cells that can still be read, and the grid scrolls in its own frame.
  const many = rows.length > MANY;
  const table = h('table', { class: many ? 'many' : undefined }, h('caption', { class: 'hidden-label' }, 'Cosine similarity of every two texts'), h('thead', null, head), h('tbody', null, ...body));
  if (many) table.style.width = `${1.6 + 2.9 * rows.length}rem`;
  root.tabIndex = many ? 0 : -1;
  const { scrollLeft } = root;
  root.replaceChildren(table);
  root.scrollLeft = scrollLeft;
}
