/** Documents that are zip archives of XML: DOCX, PPTX, XLSX, OpenDocument, EPUB. */

import { isTag, isText, type Element } from 'domhandler';
import { unpack } from './archive.js';
import { readHtml } from './html.js';
import { all, attribute, decodeXml, elementsOf, nameOf, parseXml, scanXml } from './markup.js';
import { headings, joined, type Place } from './place.js';

interface Text {
  text: string;
  places: Place[];
}

type Parts = Map<string, Uint8Array>;

/** Cells of a workbook, empty ones among others counted. */
const MOST_CELLS = 10e6;

/** Pictures, sounds and fonts are left where they are. */
const XML = /\.(xml|rels|opf|x?html?)$|^mimetype$/i;

const open = (bytes: Uint8Array, name: string): Parts => unpack(bytes, name, (path) => XML.test(path));

/** The root of a part, undefined where it is missing or no XML. */
function xml(parts: Parts, path: string): Element | undefined {
  const bytes = parts.get(path);
  return bytes && parseXml(decodeXml(bytes));
}

function need(parts: Parts, path: string, name: string, kind: string): Element {
  const found = xml(parts, path);
  if (!found) throw new Error(`${name} could not be read as ${kind}: its part ${path} is missing or damaged.`);
  return found;
}

/** Targets of a part's relations by their id, as paths of the archive. */
function relations(parts: Parts, path: string): Map<string, string> {
  const slash = path.lastIndexOf('/') + 1;
  const list = xml(parts, `${path.slice(0, slash)}_rels/${path.slice(slash)}.rels`);
  return new Map(list ? all(list, 'Relationship').map((one) => [attribute(one, 'Id'), resolve(path, attribute(one, 'Target'))]) : []);
}

/** The path that a reference from a part leads to. */
function resolve(from: string, to: string): string {
  try {
    return decodeURIComponent(new URL(to, `http://zip/${encodeURI(from)}`).pathname.slice(1));
  } catch {
    return to;
  }
}

/** The text of runs, with tabs and breaks, in one paragraph of DOCX, PPTX or OpenDocument. */
function runs(paragraph: Element): string {
  let text = '';
  const own = /^(t|p|h|span|a)$/.test(nameOf(paragraph));
  for (const child of paragraph.children) {
    if (isText(child) && own) text += child.data;
    if (!isTag(child)) continue;
    switch (nameOf(child)) {
      case 'tab':
        text += '\t';
        break;
      case 'br':
      case 'cr':
      case 'line-break':
        text += '\n';
        break;
      case 's':
        text += ' '.repeat(Math.min(100, Number(attribute(child, 'c')) || 1));
        break;
      // Deleted text, field codes, notes that stand elsewhere, pictures' fall-backs.
      case 'del':
      case 'moveFrom':
      case 'instrText':
      case 'delText':
      case 'Fallback':
      case 'pPr':
      case 'rPr':
      case 'annotation':
      case 'note':
      case 'tracked-changes':
        break;
      default:
        if (!isHidden(child)) text += (nameOf(child) === 'p' ? '\n' : '') + runs(child);
    }
  }
  return text;
}

/** Whether a run of Word is hidden, by its own properties. */
function isHidden(run: Element): boolean {
  for (const properties of elementsOf(run)) for (const mark of elementsOf(properties)) if (nameOf(mark) === 'vanish' && !/^(0|false)$/.test(attribute(mark, 'val'))) return true;
  return false;
}

/** Paragraphs that stand in no other one, as text; those of one table row on one line. */
function paragraphs(root: Element, each: (paragraph: Element, text: string) => void): void {
  for (const child of elementsOf(root)) {
    const name = nameOf(child);
    if (name === 'p' || name === 'h') each(child, runs(child));
    else if (name === 'tr' || name === 'table-row') {
      const cells = elementsOf(child).map((cell) => {
        const lines: string[] = [];
        paragraphs(cell, (_, text) => text.trim() !== '' && lines.push(text.trim()));
        return lines.join(' ');
      });
      each(child, cells.filter((cell) => cell !== '').join(' | '));
    } else if (name !== 'del' && name !== 'moveFrom' && name !== 'Fallback' && name !== 'tracked-changes' && name !== 'sectPr') paragraphs(child, each);
  }
}

function withHeadings(root: Element, level: (paragraph: Element) => number): Text {
  const found: { at: number; level: number; text: string }[] = [];
  let text = '';
  let row = false;
  paragraphs(root, (paragraph, raw) => {
    const own = raw.trim();
    if (own === '') return;
    const isRow = /row|^tr$/.test(nameOf(paragraph));
    if (text !== '') text += isRow && row ? '\n' : '\n\n';
    row = isRow;
    const depth = level(paragraph);
    if (depth > 0) found.push({ at: text.length, level: depth, text: own.replace(/\s+/g, ' ') });
    text += own;
  });
  return { text, places: headings(found) };
}

export function readDocx(bytes: Uint8Array, name: string): Text {
  const parts = open(bytes, name);
  const main = [...relations(parts, 'package').values()].find((path) => /document\d*\.xml$/.test(path)) ?? 'word/document.xml';
  const page = need(parts, main, name, 'a Word document');
  // Styles say by name or outline which paragraphs are headings.
  const levels = new Map<string, number>();
  const styles = xml(parts, 'word/styles.xml');
  for (const style of styles ? all(styles, 'style') : []) {
    const called = /^heading (\d)$/i.exec(attribute(all(style, 'name')[0] ?? style, 'val'))?.[1];
    const outline = all(style, 'outlineLvl')[0];
    if (called || outline) levels.set(attribute(style, 'styleId'), called ? Number(called) : Number(attribute(outline!, 'val')) + 1);
  }
  const body = withHeadings(page, (paragraph) => {
    const style = attribute(all(paragraph, 'pStyle')[0] ?? paragraph, 'val');
    return levels.get(style) ?? Number(/^Heading(\d)$/i.exec(style)?.[1] ?? (/^Title$/i.test(style) ? 1 : 0));
  });
  const notes = ['footnotes', 'endnotes', 'comments'].map((kind) => {
    const part = xml(parts, `word/${kind}.xml`);
    return { label: kind, text: part ? withHeadings(part, () => 0).text : '' };
  });
  const rest = joined(notes);
  const gap = body.text !== '' && rest.text !== '' ? '\n\n' : '';
  return { text: body.text + gap + rest.text, places: [...body.places, ...rest.places.map(({ at, label }) => ({ at: at + body.text.length + gap.length, label }))] };
}

export function readPptx(bytes: Uint8Array, name: string): Text {
  const parts = open(bytes, name);
  const path = 'ppt/presentation.xml';
  const order = relations(parts, path);
  // Each part once, however often it is named: a small file could be a large text.
  const slides = new Set(all(need(parts, path, name, 'a presentation'), 'sldId').map((slide) => order.get(attribute(slide, 'id', true)) ?? ''));
  return joined(
    [...slides].map((slide, i) => {
      const pages = [slide, ...[...relations(parts, slide).values()].filter((target) => target.includes('notesSlide'))];
      const text = pages.flatMap((one) => {
        const page = xml(parts, one);
        const lines: string[] = [];
        if (page) paragraphs(page, (_, line) => line.trim() !== '' && lines.push(line.trim()));
        // A slide's number is a field on its notes.
        return lines.filter((line) => line !== String(i + 1));
      });
      return { label: `slide ${i + 1}`, text: text.join('\n') };
    }),
  );
}

export function readOpenDocument(bytes: Uint8Array, name: string): Text {
  const parts = open(bytes, name);
  const manifest = xml(parts, 'META-INF/manifest.xml');
  if (manifest && all(manifest, 'encryption-data').length > 0) throw new Error(`${name} is locked with a password. Save it without one and drop it again.`);
  const page = need(parts, 'content.xml', name, 'an OpenDocument');
  const body = all(page, 'body')[0] ?? page;
  const slides = all(body, 'page').filter(({ parent }) => parent && isTag(parent) && nameOf(parent) === 'presentation');
  if (slides.length > 0) return joined(slides.map((slide, i) => ({ label: `slide ${i + 1}`, text: withHeadings(slide, () => 0).text })));
  return withHeadings(body, (paragraph) => (nameOf(paragraph) === 'h' ? Number(attribute(paragraph, 'outline-level')) || 1 : 0));
}

export function readEpub(bytes: Uint8Array, name: string): Text {
  const parts = open(bytes, name);
  const container = need(parts, 'META-INF/container.xml', name, 'an EPUB');
  const root = attribute(all(container, 'rootfile')[0] ?? container, 'full-path');
  const pack = need(parts, root, name, 'an EPUB');
  const items = new Map(all(pack, 'item').map((item) => [attribute(item, 'id'), item]));
  let text = '';
  const places: Place[] = [];
  for (const reference of all(pack, 'itemref')) {
    const item = items.get(attribute(reference, 'idref'));
    // The list of contents would be found for every chapter's name.
    if (!item || /\bnav\b/.test(attribute(item, 'properties'))) continue;
    const path = resolve(root, attribute(item, 'href'));
    const page = parts.get(path);
    if (!page) continue;
    parts.delete(path); // read once, however often it is named
    const chapter = readHtml(decodeXml(page).replace(/<title[^<>]*>[^<]*<\/title>/i, ''), true);
    if (chapter.text === '') continue;
    if (text !== '') text += '\n\n';
    places.push(...chapter.places.map(({ at, label }) => ({ at: at + text.length, label })));
    text += chapter.text;
  }
  if (text === '' && parts.has('META-INF/encryption.xml')) throw new Error(`${name} is protected against copying; nothing can be read in it.`);
  return { text, places };
}

/** Sheets of a workbook: its rows as text, empty ones left out. */
export function readXlsx(bytes: Uint8Array, file: string): { name: string; rows: string[][] }[] {
  const parts = open(bytes, file);
  const path = 'xl/workbook.xml';
  const book = need(parts, path, file, 'a workbook');
  const order = relations(parts, path);
  const shared = sharedStrings(parts);
  const dates = dateStyles(parts);
  const epoch = /^(1|true)$/.test(attribute(all(book, 'workbookPr')[0] ?? book, 'date1904')) ? 24107 : 25569;
  const sheets: { name: string; rows: string[][] }[] = [];
  let room = MOST_CELLS;
  for (const sheet of all(book, 'sheet')) {
    if (/hidden/i.test(attribute(sheet, 'state'))) continue;
    const part = order.get(attribute(sheet, 'id', true)) ?? '';
    const page = parts.get(part);
    if (!page) continue;
    parts.delete(part); // read once, however often it is named
    const rows: string[][] = [];
    let cells: string[] = [];
    let cell = { at: 0, kind: '', style: NaN };
    let within = '';
    let value = '';
    let aloud = 0;
    scanXml(decodeXml(page), {
      open: (name, attribute) => {
        if (name === 'row') cells = [];
        else if (name === 'c') {
          cell = { at: columnOf(attribute('r'), cells.length), kind: attribute('t'), style: Number(attribute('s')) };
          value = '';
        } else if (name === 'rPh') aloud++;
        within = name;
      },
      text: (data) => {
        if (within === 'v' || (within === 't' && aloud === 0)) value += data;
      },
      close: (name) => {
        within = '';
        if (name === 'rPh') aloud--;
        else if (name === 'row' && cells.some((one) => one.trim() !== '')) rows.push(cells);
        else if (name === 'c' && cell.at <= 16_383) {
          // A cell at the end of a row claims all those before it.
          room -= Math.max(1, cell.at + 1 - cells.length);
          if (room < 0) throw new Error(`${file} has more than ${MOST_CELLS / 1e6} million cells, or claims to. Save the part that matters as CSV and drop that.`);
          while (cells.length < cell.at) cells.push('');
          if (cell.kind === 's') cells[cell.at] = shared[Number(value)] ?? '';
          else if (cell.kind === 'b') cells[cell.at] = value === '1' ? 'true' : 'false';
          else if (cell.kind === '' && value !== '' && dates.has(cell.style) && Number.isFinite(Number(value))) cells[cell.at] = day(Number(value) - epoch);
          else cells[cell.at] = value;
        }
      },
    });
    if (rows.length > 0) sheets.push({ name: attribute(sheet, 'name'), rows });
  }
  return sheets;
}

/** The strings that cells refer to, without the reading aid of Japanese. */
function sharedStrings(parts: Parts): string[] {
  const strings: string[] = [];
  const page = parts.get('xl/sharedStrings.xml');
  let within = '';
  let aloud = 0;
  if (page) {
    scanXml(decodeXml(page), {
      open: (name) => {
        if (name === 'si') strings.push('');
        else if (name === 'rPh') aloud++;
        within = name;
      },
      text: (data) => {
        if (within === 't' && aloud === 0 && strings.length > 0) strings[strings.length - 1] += data;
      },
      close: (name) => {
        within = '';
        if (name === 'rPh') aloud--;
      },
    });
  }
  return strings;
}

/** "C7" is column 2; a cell without a name follows the one before. */
function columnOf(reference: string, next: number): number {
  const letters = /^[A-Z]{1,3}/i.exec(reference)?.[0].toUpperCase();
  return letters ? [...letters].reduce((sum, letter) => 26 * sum + letter.charCodeAt(0) - 64, 0) - 1 : next;
}

/** Which styles of cells show days: the built-in formats 14 to 22, and own ones with years or days. */
function dateStyles(parts: Parts): Set<number> {
  const page = xml(parts, 'xl/styles.xml');
  const list = page && all(page, 'cellXfs')[0];
  if (!page || !list) return new Set();
  const own = new Set(all(page, 'numFmt').filter((one) => /[yd]/i.test(attribute(one, 'formatCode').replace(/"[^"]*"|\[[^\]]*\]|\\./g, ''))).map((one) => Number(attribute(one, 'numFmtId'))));
  const styles = new Set<number>();
  for (const [i, style] of elementsOf(list).entries()) {
    const format = Number(attribute(style, 'numFmtId'));
    if ((format >= 14 && format <= 22 && format !== 18 && format !== 19 && format !== 20 && format !== 21) || own.has(format)) styles.add(i);
  }
  return styles;
}

/** Days since 1970 as people write them. */
function day(days: number): string {
  const date = new Date(Math.round(days * 86_400) * 1000);
  if (Number.isNaN(date.getTime())) return String(days);
  const text = date.toISOString();
  return days % 1 === 0 ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, 16)}`;
}
