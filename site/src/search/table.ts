/** Tables of text: comma-separated values and JSON lines. */

export interface Table {
  columns: string[];
  /** Cells by row and column. */
  rows: string[][];
}

/** Parses RFC 4180 values; the separator is guessed from the first line unless given. */
export function parseCsv(text: string, separator?: string): Table {
  const first = text.slice(0, text.search(/[\r\n]|$/));
  const by = separator ?? [',', ';', '\t'].reduce((best, candidate) => (first.split(candidate).length > first.split(best).length ? candidate : best));
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  const endRow = (): void => {
    row.push(cell);
    if (row.length > 1 || cell.trim() !== '') rows.push(row);
    row = [];
    cell = '';
  };
  for (let i = text.charCodeAt(0) === 0xfeff ? 1 : 0; i < text.length; i++) {
    const c = text[i]!;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') cell += text[i++]!;
      else quoted = false;
    } else if (c === '"' && cell === '') quoted = true;
    else if (c === by) {
      row.push(cell);
      cell = '';
    } else if (c === '\n' || c === '\r') {
      if (c === '\r' && text[i + 1] === '\n') i++;
      endRow();
    } else cell += c;
  }
  if (cell !== '' || row.length > 0) endRow();
  const head = rows.shift() ?? [];
  const columns = head.map((name, i) => name.trim() || `column ${i + 1}`);
  return { columns, rows: rows.map((cells) => columns.map((_, i) => cells[i] ?? '')) };
}

/**
 * Parses one JSON object a line; every key is a column.
 * @throws Error with the line that is not one
 */
export function parseJsonLines(text: string, name: string): Table {
  const columns: string[] = [];
  const rows: string[][] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new Error(`${name}, line ${i + 1}, is not JSON. Each line has to be an object such as {"text": "…"}.`, { cause });
    }
    const record = typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : { text: value };
    const row: string[] = [];
    for (const [key, cell] of Object.entries(record)) {
      let at = columns.indexOf(key);
      if (at < 0) at = columns.push(key) - 1;
      row[at] = typeof cell === 'string' ? cell : cell === null || cell === undefined ? '' : JSON.stringify(cell);
    }
    rows.push(row);
  }
  return { columns, rows: rows.map((row) => columns.map((_, i) => row[i] ?? '')) };
}

/** The column that most likely holds the text: the one with the longest cells. */
export function guessColumn(table: Table): number {
  const sample = table.rows.slice(0, 200);
  const lengths = table.columns.map((_, i) => sample.reduce((sum, row) => sum + (row[i]?.length ?? 0), 0));
  return Math.max(0, lengths.indexOf(Math.max(...lengths)));
}

/** One column as a text, with the place of each row that is not empty. */
export function columnText(table: Table, column: number): { text: string; rows: number[] } {
  const rows: number[] = [];
  const parts: string[] = [];
  let at = 0;
  for (const row of table.rows) {
    const cell = (row[column] ?? '').trim();
    if (cell === '') continue;
    rows.push(at, at + cell.length);
    parts.push(cell);
    at += cell.length + 2;
  }
  return { text: parts.join('\n\n'), rows };
}
