/** Asks which columns of a table hold the text, and whether its first row is a header. */

import { $, counted, h, openDialog } from '../dom.js';
import type { Source } from './read.js';
import { columnsText, guessColumns, guessHeader, MOST_COLUMNS, type Table } from './table.js';

const PREVIEWED = 4;

/** What is to be embedded of a table, undefined if the visitor wants nothing. A single named column needs no question. */
export async function chooseColumns(name: string, table: Table): Promise<Source | undefined> {
  const width = Math.min(MOST_COLUMNS, table.rows.reduce((most, row) => Math.max(most, row.length), table.columns?.length ?? 0));
  const named = table.columns !== undefined;
  let header = !named && guessHeader(table.rows);
  const columns = (): string[] => Array.from({ length: width }, (_, i) => (table.columns?.[i] ?? (header ? table.rows[0]![i]?.trim() : '')) || `column ${i + 1}`);
  const rows = (): string[][] => (header ? table.rows.slice(1) : table.rows);
  const take = (chosen: readonly number[]): Source => ({ name, ...columnsText(columns(), rows(), chosen, named ? 1 : header ? 2 : 1) });
  if (named && width === 1) return take([0]);
  let chosen = new Set(guessColumns(columns(), rows()));
  return new Promise((resolve) => {
    const dialog = $<HTMLDialogElement>('dialog');
    let answer: Source | undefined;
    const go = h('button', { type: 'button', class: 'primary', onclick: () => ((answer = take([...chosen].sort((a, b) => a - b))), dialog.close()) });
    const preview = h('div', { class: 'scroll preview', tabIndex: 0, role: 'group', 'aria-label': 'The first rows' });
    const draw = (): void => {
      const shown = rows().slice(0, PREVIEWED);
      go.textContent = `Embed ${counted(rows().length, 'row')}`;
      go.disabled = chosen.size === 0 || rows().length === 0;
      const boxes = columns().map((column, i) => {
        const box = h('input', { type: 'checkbox', checked: chosen.has(i), name: 'column', value: String(i) });
        box.addEventListener('change', () => {
          if (box.checked) chosen.add(i);
          else chosen.delete(i);
          draw();
          preview.querySelector<HTMLInputElement>(`input[value="${i}"]`)?.focus();
        });
        return h('th', { scope: 'col' }, h('label', null, box, ` ${column.slice(0, 60)}`));
      });
      const cells = shown.map((row) => h('tr', null, ...columns().map((_, i) => h('td', { class: chosen.has(i) ? 'chosen' : undefined }, (row[i] ?? '').slice(0, 120)))));
      preview.replaceChildren(h('table', { class: 'data' }, h('thead', null, h('tr', null, ...boxes)), h('tbody', null, ...cells)));
    };
    const first = h('input', { type: 'checkbox', id: 'header', checked: header });
    first.addEventListener('change', () => {
      header = first.checked;
      chosen = new Set(guessColumns(columns(), rows()));
      draw();
    });
    draw();
    openDialog(dialog, name, h('p', null, 'Which columns hold the text? Each row is a passage of its own.'), !named && h('label', null, first, ' The first row names the columns'), preview, h('div', { class: 'row' }, go));
    dialog.addEventListener('close', () => resolve(answer), { once: true });
  });
}
