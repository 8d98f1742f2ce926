/** Where in a document something stands: a page, a heading, a row, a time. */

export interface Place {
  /** Where in the text it begins, in UTF-16 code units. */
  at: number;
  /** Such as "page 3" or "Chapter 2 › The harbour". */
  label: string;
}

/** The place that holds a position of the text, "" if none does. Places are in order. */
export function placeAt(places: readonly Place[] | undefined, position: number): string {
  if (!places) return '';
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle]!.at <= position) low = middle + 1;
    else high = middle;
  }
  return places[low - 1]?.label ?? '';
}

/** Places of headings: each is named with those it stands under. */
export function headings(found: readonly { at: number; level: number; text: string }[]): Place[] {
  const path: { level: number; text: string }[] = [];
  return found.map(({ at, level, text }) => {
    while (path.length > 0 && path.at(-1)!.level >= level) path.pop();
    path.push({ level, text: text.slice(0, 120) });
    return { at, label: path.map((one) => one.text).join(' › ') };
  });
}

/** Headings of Markdown, those in fenced code left out. */
export function markdownPlaces(text: string): Place[] {
  const found: { at: number; level: number; text: string }[] = [];
  let fence = '';
  let at = 0;
  let before = '';
  for (const line of text.split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark && (fence === '' || (mark[0] === fence[0] && mark.length >= fence.length))) fence = fence === '' ? mark : '';
    else if (fence === '') {
      const heading = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/.exec(line);
      if (heading && heading[2] !== '') found.push({ at, level: heading[1]!.length, text: heading[2]! });
      else if (/^ {0,3}(=+|-{2,})\s*$/.test(line) && /\S/.test(before) && !/^\s*([-*+>#|]|\d+[.)])/.test(before)) found.push({ at: at - before.length - 1, level: line.includes('=') ? 1 : 2, text: before.trim() });
    }
    before = line;
    at += line.length + 1;
  }
  return headings(found);
}

/** Joins parts with empty lines between, and names the place of each that has a name. Empty parts are left out. */
export function joined(parts: readonly { label: string; text: string }[]): { text: string; places: Place[] } {
  const places: Place[] = [];
  let text = '';
  for (const part of parts) {
    const own = part.text.trim();
    if (own === '') continue;
    if (text !== '') text += '\n\n';
    if (part.label !== '') places.push({ at: text.length, label: part.label });
    text += own;
  }
  return { text, places };
}

/** Characters below which a section goes with the next one. */
const SHORT = 80;

/** The parts of a text under its headings; pages and slides end no section. */
export function sections(text: string, places: readonly Place[] = []): { start: number; end: number }[] {
  const ends = places.filter(({ label }) => !isNumbered(label)).map(({ at }) => at);
  const found: { start: number; end: number }[] = [];
  let start = 0;
  for (const end of [...ends, text.length]) {
    if (end - start < SHORT && end < text.length) continue;
    if (end > start) found.push({ start, end });
    start = end;
  }
  return found;
}

/** Whether a label only counts: a page, a slide, a row, a time. */
export const isNumbered = (label: string): boolean => /^(page|slide|row) \d|^\d+:\d\d/.test(label);

/** Whether a document is a table, whose rows are texts by themselves. */
export const isTable = (places: readonly Place[] = []): boolean => places[0]?.label.startsWith('row ') ?? false;

/** A document's name without its ending, which is searched with each of its passages. */
export const titleOf = (name: string): string => name.replace(/\.[a-z0-9]{1,8}$/i, '');

/** The headings that a position stands under; pages and rows are no words of the text. */
export function headingAt(places: readonly Place[] | undefined, position: number): string {
  const label = placeAt(places, position);
  return isNumbered(label) ? '' : label;
}
