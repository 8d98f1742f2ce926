/** Tables of text: separated values, JSON arrays and lines, sheets. */

import { dsvFormat } from 'd3-dsv';
import type { Place } from './place.js';

export interface Table {
  /** Names of the columns where the kind of file has them. */
  columns?: string[];
  /** Cells by row and column; without `columns` the first row may be a header. */
  rows: string[][];
}

/** Columns of a table that are read. */
export const MOST_COLUMNS = 200;

const SEPARATORS = [',', ';', '\t', '|'];
/** Lines by which a separator is guessed. */
const LOOKED_AT = 50;

/**
 * Parses separated values. A first line "sep=;" settles the separator, quoted or
 * filled up with empty cells as spreadsheets write it; else it is guessed.
 */
export function parseSeparated(source: string, given?: string): Table {
  const said = /^"?sep=([^\r\n])"?[ \t,;|]*(?:\r\n?|\n)/i.exec(source);
  const text = said ? source.slice(said[0].length) : source;
  const by = said?.[1] ?? given ?? separatorOf(text);
  const rows = dsvFormat(by).parseRows(text.replace(/\r\n?/g, '\n'), (row) => (row.length > MOST_COLUMNS ? row.slice(0, MOST_COLUMNS) : row));
  return { rows: rows.filter((row) => row.some((cell) => cell.trim() !== '')) };
}

/** The separator that gives most rows the same number of cells, and many of them. */
function separatorOf(text: string): string {
  let at = 0;
  for (let line = 0; line < LOOKED_AT && at >= 0 && at < text.length; line++) at = text.indexOf('\n', at + 1);
  const head = (at < 0 ? text : text.slice(0, at)).replace(/\r\n?/g, '\n');
  let best = ',';
  let most = 0;
  for (const separator of SEPARATORS) {
    const widths = dsvFormat(separator).parseRows(head).filter((row) => row.some((cell) => cell !== '')).map((row) => row.length);
    const [common, times] = mode(widths);
    if (common < 2) continue;
    const score = (times / widths.length) * Math.log(Math.min(common, 20));
    if (score > most) [best, most] = [separator, score];
  }
  return best;
}

/** The most frequent value, and how often it is there. */
function mode(values: readonly number[]): [number, number] {
  const times = new Map<number, number>();
  for (const value of values) times.set(value, (times.get(value) ?? 0) + 1);
  return [...times].reduce((best, one) => (one[1] > best[1] || (one[1] === best[1] && one[0] > best[0]) ? one : best), [0, 0]);
}

/** Levels of lists and objects within each other that a table may have. */
const DEEPEST = 1000;

/** @throws Error with a sentence for the visitor where JSON is nested so deep that walking through it may fail */
function checkDepth(text: string, name: string): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const sign = text.charCodeAt(i);
    if (quoted) {
      if (sign === 0x5c) i++;
      else if (sign === 0x22) quoted = false;
    } else if (sign === 0x22) quoted = true;
    else if (sign === 0x5b || sign === 0x7b) {
      if (++depth > DEEPEST) throw new Error(`${name} is nested too deep to be read: more than ${DEEPEST} levels within each other.`);
    } else if (sign === 0x5d || sign === 0x7d) depth--;
  }
}

/**
 * Reads JSON: an array of records, or the longest one in an object, is a table.
 * Other JSON is none. Lines of JSON in a .json file are read as such.
 * @throws Error with a sentence for the visitor
 */
export function parseJson(text: string, name: string): Table | undefined {
  checkDepth(text, name);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    if (lines.length > 1 && /^\s*[{[]/.test(lines[0]!)) {
      try {
        JSON.parse(lines[0]!);
        return parseJsonLines(text, name);
      } catch (error) {
        if (error instanceof Error && error.message.startsWith(name)) throw error;
      }
    }
    throw new Error(`${name} is not JSON (${(cause as Error).message.slice(0, 120)}).`, { cause });
  }
  const lists = Array.isArray(value) ? [value] : typeof value === 'object' && value !== null ? Object.values(value).filter(Array.isArray) : [];
  const longest = lists.reduce<unknown[]>((best, list) => (list.length > best.length ? list : best), []);
  return longest.length > 0 ? records(longest) : undefined;
}

/**
 * Parses one JSON value a line; every key is a column.
 * @throws Error with the line that is not one
 */
export function parseJsonLines(text: string, name: string): Table {
  const values: unknown[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    checkDepth(line, name);
    try {
      values.push(JSON.parse(line));
    } catch (cause) {
      throw new Error(`${name}, line ${i + 1}, is not JSON. Each line has to be an object such as {"text": "…"}.`, { cause });
    }
  }
  return records(values);
}

/** Records as rows; what lies deeper is named by its path, and lists of words are joined. */
function records(values: readonly unknown[]): Table {
  const places = new Map<string, number>();
  const rows = values.map((value) => {
    const row: string[] = [];
    const put = (path: string, cell: unknown, depth: number): void => {
      if (cell === null || cell === undefined) return;
      if (typeof cell === 'object' && !Array.isArray(cell) && depth < 4) {
        for (const [key, inner] of Object.entries(cell)) put(path === '' ? key : `${path}.${key}`, inner, depth + 1);
        return;
      }
      const key = path || 'text';
      if (!places.has(key)) {
        if (places.size === MOST_COLUMNS) return;
        places.set(key, places.size);
      }
      row[places.get(key)!] = typeof cell === 'string' ? cell : Array.isArray(cell) && cell.every((one) => typeof one === 'string') ? cell.join(', ') : typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
    };
    put('', value, 0);
    return row;
  });
  const columns = [...places.keys()];
  return { columns, rows: rows.map((row) => columns.map((_, i) => row[i] ?? '')) };
}

const NUMBER = /^[\s\d.,:/+\-%€$£()TZ]+$/;
const ADDRESS = /^\s*(https?:|www\.|[\w.+-]+@[\w-]+\.)\S+\s*$/i;
const TEXTUAL = /text|body|content|descr|question|answer|summary|abstract|comment|message|review|note|quote/i;

/** Whether the first row looks like names of columns. */
export function guessHeader(rows: readonly (readonly string[])[]): boolean {
  const [first = [], ...rest] = rows;
  const filled = first.map((cell) => cell.trim()).filter((cell) => cell !== '');
  if (rest.length === 0 || filled.length === 0 || new Set(filled).size < filled.length) return false;
  return filled.every((cell) => cell.length <= 40 && cell.split(/\s+/).length <= 4 && !NUMBER.test(cell) && !ADDRESS.test(cell) && !/[.!?]$/.test(cell));
}

/** The columns that most likely hold the text: those of several words, or else the wordiest. */
export function guessColumns(columns: readonly string[], rows: readonly (readonly string[])[]): number[] {
  const sample = rows.slice(0, 200);
  const words = columns.map((_, i) => {
    const cells = sample.map((row) => (row[i] ?? '').trim()).filter((cell) => cell !== '' && !NUMBER.test(cell) && !ADDRESS.test(cell) && !/^[[{]/.test(cell));
    return cells.reduce((sum, cell) => sum + cell.split(/\s+/).length + (/[\u3040-\u9fff\uac00-\ud7af]/.test(cell) ? cell.length / 4 : 0), 0) / Math.max(1, sample.length);
  });
  const most = Math.max(...words);
  const found = columns.map((_, i) => i).filter((i) => words[i]! > 0 && (words[i]! >= Math.max(3, most / 4) || words[i] === most || (TEXTUAL.test(columns[i]!) && words[i]! >= 2)));
  return found.length > 0 ? found : [0];
}

/** Columns as a text, with the span of each row that has some, and what else the row says. */
export function columnsText(columns: readonly string[], rows: readonly (readonly string[])[], chosen: readonly number[], first: number): { text: string; rows: number[]; places: Place[] } {
  const spans: number[] = [];
  const places: Place[] = [];
  const parts: string[] = [];
  let at = 0;
  for (const [i, row] of rows.entries()) {
    const cell = chosen.map((column) => (row[column] ?? '').trim()).filter((part) => part !== '').join('\n');
    if (cell === '') continue;
    const others = columns.map((name, column) => [name, (row[column] ?? '').replace(/\s+/g, ' ').trim(), column] as const).filter(([, value, column]) => value !== '' && !chosen.includes(column));
    places.push({ at, label: [`row ${i + first}`, ...others.slice(0, 4).map(([name, value]) => `${name.slice(0, 30)}: ${value.slice(0, 60)}`)].join(' · ') });
    spans.push(at, at + cell.length);
    parts.push(cell);
    at += cell.length + 2;
  }
  return { text: parts.join('\n\n'), rows: spans, places };
}
