/** Reads a visitor's files as text. Nothing in them is executed or fetched; each library comes when it is first needed. */

import { decode } from './charset.js';
import { declaredCharset, readHtml } from './html.js';
import { readPdf } from './pdf.js';
import { markdownPlaces, type Place } from './place.js';
import { readSubtitles } from './subtitles.js';
import type { Table } from './table.js';
import type { TableReply, TableTask } from './table-worker.js';

/** A text with a name, on its way into the library. */
export interface Source {
  name: string;
  text: string;
  /** Where rows of a table begin and end in the text, as pairs; each is a passage of its own. */
  rows?: number[];
  /** Pages, headings, rows or times. */
  places?: Place[];
  /** The encoding, where it had to be recognised. */
  readAs?: string;
}

/** What a file holds: texts, or tables whose columns have to be chosen. */
export type Content = Source | (Pick<Source, 'name' | 'readAs'> & { table: Table });

export const MOST = 64e6;
/** Endings of what is not text, so that the sentence about it helps. */
const OLD = /^(doc|xls|ppt|dot|xlt|pps|pub|msg)$/;
const FOREIGN: Record<string, string> = { rtf: 'a rich text. Save it as DOCX or plain text', pages: 'a Pages document. Export it as PDF or DOCX', key: 'a Keynote presentation. Export it as PDF', numbers: 'a Numbers table. Export it as CSV', mobi: 'a Kindle book. Convert it to EPUB', azw3: 'a Kindle book. Convert it to EPUB', djvu: 'a DjVu document. Convert it to PDF', '7z': 'an archive of another kind. Pack it as zip', rar: 'an archive of another kind. Pack it as zip', gz: 'an archive of another kind. Pack it as zip' };
const READABLE = /\.(zip|txt|text|md|markdown|html?|xhtml|pdf|docx|xlsx|pptx|od[tsp]|epub|eml|srt|vtt|csv|tsv|tab|jsonl?|ndjson|tex|rst|org|adoc|log|xml|ya?ml|toml|ini|css|sql|sh|go|rs|py|rb|js|mjs|ts|tsx|jsx|java|kt|c|h|cc|cpp|hpp|cs|swift|php|pl|lua|r|jl|scala|hs|ex|clj)$/i;

/** How far reading is, of a document with pages. */
export type Follow = (done: number, total: number) => void;

/**
 * Reads one file. `tell` is given sentences about what had to be left out.
 * @throws Error with a sentence for the visitor
 */
export async function readFile(file: File, signal: AbortSignal, follow: Follow, tell: (sentence: string) => void): Promise<Content[]> {
  const { name } = file;
  if (file.size === 0) throw new Error(`${name} is empty.`);
  let contents: Content[];
  try {
    contents = await readAny(file, signal, follow, tell);
  } catch (cause) {
    if (/call stack|recursion/i.test((cause as Error).message ?? '')) throw new Error(`${name} is nested too deep to be read: thousands of levels within each other.`, { cause });
    throw cause;
  }
  const full = contents.filter((content) => ('table' in content ? content.table.rows.length > 0 : content.text.trim() !== ''));
  if (full.length === 0) throw new Error(`${name} holds no text${contents.length === 1 && 'text' in contents[0]! && contents[0].text !== '' ? ', only spaces' : ''}.`);
  return full;
}

async function readAny(file: File, signal: AbortSignal, follow: Follow, tell: (sentence: string) => void, packed = false): Promise<Content[]> {
  const { name } = file;
  const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? '';
  const head = new Uint8Array(await file.slice(0, 8).arrayBuffer());
  const magic = String.fromCharCode(...head);
  if (magic.startsWith('%PDF-') || ending === 'pdf') return [{ name, ...(await readPdf(file, signal, follow, tell)) }];
  if (FOREIGN[ending]) throw new Error(`${name} is ${FOREIGN[ending]} and drop that.`);
  if (magic.startsWith('{\\rtf')) throw new Error(`${name} is ${FOREIGN['rtf']} and drop that.`);
  if (magic.startsWith('\xd0\xcf\x11\xe0')) throw new Error(OLD.test(ending) ? `${name} is in an old Office format. Save it as DOCX, XLSX or PPTX and drop that.` : `${name} is locked with a password, or in an old Office format. Save it without a password, as DOCX, XLSX or PPTX.`);
  if (file.size > MOST) throw new Error(`${name} is larger than ${MOST / 1e6} MB. Split it into smaller files.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (magic.startsWith('PK\x03\x04') || magic.startsWith('PK\x05\x06')) return readPacked(bytes, name, ending, signal, follow, tell, packed);
  if (ending === 'eml') {
    const { readMail } = await import('./mail.js');
    return [{ name, text: await readMail(bytes) }];
  }
  const isHtml = /^x?html?$/.test(ending) || file.type === 'text/html';
  const { text, ...as } = await decode(bytes, name, isHtml || ending === 'xml' ? declaredCharset(bytes) : undefined);
  if (/^(csv|tsv|tab|jsonl|ndjson|json)$/.test(ending)) {
    const table = await parseTable({ kind: ending === 'json' ? 'json' : /json/.test(ending) ? 'lines' : 'separated', text, name, ...(/^t/.test(ending) && { separator: '\t' }) }, signal);
    return [table ? { name, table, ...as } : { name, text, ...as }];
  }
  if (isHtml) return [{ name, ...readHtml(text), ...as }];
  if (ending === 'srt' || ending === 'vtt') return [{ name, ...readSubtitles(text), ...as }];
  return [{ name, text, ...(/^(md|markdown|mdx)$/.test(ending) && { places: markdownPlaces(text) }), ...as }];
}

/** Parses a table in a worker, which ends with the signal however far it is. */
function parseTable(task: TableTask, signal: AbortSignal): Promise<Table | undefined> {
  const worker = new Worker(new URL('./table-worker.ts', import.meta.url), { type: 'module', name: 'table' });
  return new Promise<Table | undefined>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    worker.onmessage = ({ data }: MessageEvent<TableReply>) => ('error' in data ? reject(new Error(data.error)) : resolve(data.table));
    worker.onerror = ({ message }) => reject(new Error(`${task.name} could not be read (${message || 'its reader did not start'}).`));
    worker.postMessage(task);
  }).finally(() => worker.terminate());
}

/** A zip archive is an Office document, a book, or files that are read one by one. */
async function readPacked(bytes: Uint8Array, name: string, ending: string, signal: AbortSignal, follow: Follow, tell: (sentence: string) => void, inner: boolean): Promise<Content[]> {
  const office = await import('./office.js');
  if (/^(docx|docm|dotx)$/.test(ending)) return [{ name, ...office.readDocx(bytes, name) }];
  if (/^(pptx|pptm|ppsx)$/.test(ending)) return [{ name, ...office.readPptx(bytes, name) }];
  if (/^(odt|odp|ods|ott)$/.test(ending)) return [{ name, ...office.readOpenDocument(bytes, name) }];
  if (ending === 'epub') return [{ name, ...office.readEpub(bytes, name) }];
  if (/^(xlsx|xlsm)$/.test(ending)) {
    const sheets = office.readXlsx(bytes, name);
    return sheets.map((sheet) => ({ name: sheets.length > 1 ? `${name}, ${sheet.name}` : name, table: { rows: sheet.rows } }));
  }
  if (inner) throw new Error(`${name} is an archive within an archive. Unpack it and drop what is in it.`);
  const { unpack } = await import('./archive.js');
  const left: string[] = [];
  const wanted = (path: string): boolean => {
    if (/(^|\/)(__MACOSX\/|\.)/.test(path)) return false;
    if (!READABLE.test(path) && /\.[a-z0-9]{1,5}$/i.test(path)) left.push(path);
    else return true;
    return false;
  };
  const contents: Content[] = [];
  let first: unknown;
  for (const [path, part] of unpack(bytes, name, wanted)) {
    signal.throwIfAborted();
    try {
      if (part.length > 0) contents.push(...(await readAny(new File([part as Uint8Array<ArrayBuffer>], path), signal, follow, tell, true)).map((content) => ({ ...content, name: `${name} › ${content.name}` })));
    } catch (error) {
      signal.throwIfAborted();
      left.push(path);
      first ??= error;
    }
  }
  // Where nothing else is in it, what is wrong with the first says it all.
  if (contents.length === 0 && first) throw first;
  if (first) tell((first as Error).message);
  if (left.length > 0) tell(`${left.length === 1 ? 'One file' : `${left.length} files`} of ${name} could not be read: ${left.slice(0, 3).join(', ')}${left.length > 3 ? ', …' : ''}.`);
  return contents;
}
