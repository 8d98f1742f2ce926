/** Reads a visitor's files as text, away from the page: some take seconds. Nothing in them is executed or fetched; each library comes when it is first needed. */

import { declaredCharset, decode } from './charset.js';
import { markdownPlaces } from './place.js';
import type { Part, Told } from './read.js';
import { readSubtitles } from './subtitles.js';
import { parseJson, parseJsonLines, parseSeparated } from './table.js';

const MOST = 64e6;
/** Endings of what is not text, so that the sentence about it helps. */
const OLD = /^(doc|xls|ppt|dot|xlt|pps|pub|msg)$/;
const FOREIGN: Record<string, string> = { rtf: 'a rich text. Save it as DOCX or plain text', pages: 'a Pages document. Export it as PDF or DOCX', key: 'a Keynote presentation. Export it as PDF', numbers: 'a Numbers table. Export it as CSV', mobi: 'a Kindle book. Convert it to EPUB', azw3: 'a Kindle book. Convert it to EPUB', djvu: 'a DjVu document. Convert it to PDF', '7z': 'an archive of another kind. Pack it as zip', rar: 'an archive of another kind. Pack it as zip', gz: 'an archive of another kind. Pack it as zip' };
const READABLE = /\.(zip|txt|text|md|markdown|html?|xhtml|pdf|docx|xlsx|pptx|od[tsp]|epub|eml|srt|vtt|csv|tsv|tab|jsonl?|ndjson|tex|rst|org|adoc|log|xml|ya?ml|toml|ini|css|sql|sh|go|rs|py|rb|js|mjs|ts|tsx|jsx|java|kt|c|h|cc|cpp|hpp|cs|swift|php|pl|lua|r|jl|scala|hs|ex|clj)$/i;

type Follow = (done: number, total: number) => void;
type Tell = (sentence: string) => void;

/**
 * Reads one file. `tell` is given sentences about what had to be left out.
 * @throws Error with a sentence for the visitor
 */
async function readWhole(file: File, follow: Follow, tell: Tell): Promise<Part[]> {
  const { name } = file;
  if (file.size === 0) throw new Error(`${name} is empty.`);
  const parts = await readOne(file, follow, tell);
  const full = parts.filter((part) => 'pdf' in part || ('table' in part ? part.table.rows.length > 0 : part.text.trim() !== ''));
  if (full.length === 0) throw new Error(`${name} holds no text${parts.length === 1 && 'text' in parts[0]! && parts[0].text !== '' ? ', only spaces' : ''}.`);
  return full;
}

async function readOne(file: File, follow: Follow, tell: Tell, packed = false): Promise<Part[]> {
  try {
    return await readAny(file, follow, tell, packed);
  } catch (cause) {
    const { name, message } = cause as Error;
    if (name === 'TooDeep' || /call stack|recursion/i.test(message)) throw new Error(`${file.name} is nested too deep to be read: hundreds of levels within each other.`, { cause });
    if (name === 'NotReadableError' || name === 'NotFoundError') throw new Error(`${file.name} could not be read: it was moved or changed, or the browser may not open it. Drop it again.`, { cause });
    throw cause;
  }
}

async function readAny(file: File, follow: Follow, tell: Tell, packed: boolean): Promise<Part[]> {
  const { name } = file;
  const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? '';
  const head = new Uint8Array(await file.slice(0, 8).arrayBuffer());
  const magic = String.fromCharCode(...head);
  if (magic.startsWith('%PDF-') || ending === 'pdf') return [{ name, pdf: file }];
  if (FOREIGN[ending]) throw new Error(`${name} is ${FOREIGN[ending]} and drop that.`);
  if (magic.startsWith('{\\rtf')) throw new Error(`${name} is ${FOREIGN['rtf']} and drop that.`);
  if (magic.startsWith('\xd0\xcf\x11\xe0')) throw new Error(OLD.test(ending) ? `${name} is in an old Office format. Save it as DOCX, XLSX or PPTX and drop that.` : `${name} is locked with a password, or in an old Office format. Save it without a password, as DOCX, XLSX or PPTX.`);
  if (file.size > MOST) throw new Error(`${name} is larger than ${MOST / 1e6} MB. Split it into smaller files.`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (magic.startsWith('PK\x03\x04') || magic.startsWith('PK\x05\x06')) return readPacked(bytes, name, ending, follow, tell, packed);
  if (ending === 'eml') {
    const { readMail } = await import('./mail.js');
    return [{ name, text: await readMail(bytes, name) }];
  }
  const isHtml = /^x?html?$/.test(ending) || file.type === 'text/html';
  const { text, ...as } = await decode(bytes, name, isHtml || ending === 'xml' ? declaredCharset(bytes) : undefined);
  if (/^(csv|tsv|tab|jsonl|ndjson|json)$/.test(ending)) {
    const table = ending === 'json' ? parseJson(text, name) : /json/.test(ending) ? parseJsonLines(text, name) : parseSeparated(text, ending === 'csv' ? undefined : '\t');
    return [table ? { name, table, ...as } : { name, text, ...as }];
  }
  if (isHtml) {
    const { readHtml } = await import('./html.js');
    return [{ name, ...readHtml(text), ...as }];
  }
  if (ending === 'srt' || ending === 'vtt') return [{ name, ...readSubtitles(text), ...as }];
  return [{ name, text, ...(/^(md|markdown|mdx)$/.test(ending) && { places: markdownPlaces(text) }), ...as }];
}

/** A zip archive is an Office document, a book, or files that are read one by one. */
async function readPacked(bytes: Uint8Array, name: string, ending: string, follow: Follow, tell: Tell, inner: boolean): Promise<Part[]> {
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
  const found: Part[] = [];
  let first: unknown;
  const files = unpack(bytes, name, wanted);
  let n = 0;
  for (const [path, bytes] of files) {
    follow(++n, files.size);
    try {
      if (bytes.length > 0) found.push(...(await readOne(new File([bytes as Uint8Array<ArrayBuffer>], path), follow, tell, true)).map((part) => ({ ...part, name: `${name} › ${part.name}` })));
    } catch (error) {
      left.push(path);
      first ??= error;
    }
  }
  // Where nothing else is in it, what is wrong with the first says it all.
  if (found.length === 0 && first) throw first;
  if (first) tell((first as Error).message);
  if (left.length > 0) tell(`${left.length === 1 ? 'One file' : `${left.length} files`} of ${name} could not be read: ${left.slice(0, 3).join(', ')}${left.length > 3 ? ', …' : ''}.`);
  return found;
}

self.onmessage = ({ data: file }: MessageEvent<File>) => {
  const post = (told: Told): void => self.postMessage(told);
  readWhole(file, (done, total) => post({ done, total }), (sentence) => post({ sentence })).then(
    (parts) => post({ parts }),
    (error: unknown) => post({ error: (error as Error)?.message ?? String(error) }),
  );
};
