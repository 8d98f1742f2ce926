/** Reads a visitor's files as text. Nothing in them is executed or fetched. */

import { readPdf } from './pdf.js';
import { parseCsv, parseJsonLines, type Table } from './table.js';

/** A text with a name, on its way into the library. */
export interface Source {
  name: string;
  text: string;
  /** Where rows of a table begin and end in the text, as pairs; each is a passage of its own. */
  rows?: number[];
}

/** What a file holds: a text, or a table whose column has to be chosen. */
export type Content = { text: string } | { table: Table };

export const MOST = 64e6;

/**
 * Reads one file.
 * @throws Error with a sentence for the visitor
 */
export async function readFile(file: File, signal: AbortSignal): Promise<Content> {
  if (file.size === 0) throw new Error(`${file.name} is empty.`);
  const ending = /\.([a-z0-9]+)$/i.exec(file.name)?.[1]?.toLowerCase() ?? '';
  if (ending === 'pdf' || file.type === 'application/pdf') {
    const text = await readPdf(file, signal);
    if (text.trim() === '') throw new Error(`${file.name} has no text in it, only pictures of text. Run a text recognition over it first.`);
    return { text };
  }
  if (file.size > MOST) throw new Error(`${file.name} is larger than ${MOST / 1e6} MB. Split it into smaller files.`);
  const text = decode(new Uint8Array(await file.arrayBuffer()), file.name);
  if (ending === 'csv' || ending === 'tsv') return { table: parseCsv(text, ending === 'tsv' ? '\t' : undefined) };
  if (ending === 'jsonl' || ending === 'ndjson') return { table: parseJsonLines(text, file.name) };
  if (ending === 'html' || ending === 'htm' || ending === 'xhtml') return { text: readHtml(text) };
  return { text };
}

/** UTF-8, or UTF-16 with its mark, or else the old Western encoding. */
function decode(bytes: Uint8Array, name: string): string {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) return new TextDecoder(bytes[0] === 0xff ? 'utf-16le' : 'utf-16be').decode(bytes);
  if (bytes.subarray(0, 8192).includes(0)) throw new Error(`${name} is not a text file. Drop txt, md, html, pdf, csv or jsonl.`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

const BLOCKS = 'address,article,aside,blockquote,br,dd,div,dl,dt,figcaption,footer,h1,h2,h3,h4,h5,h6,header,hr,li,main,nav,ol,p,pre,section,table,tr,ul';

/** The visible text of a page, with an empty line between blocks. */
export function readHtml(html: string): string {
  // Styles say nothing, and the page's policy would complain of them.
  const bare = html.replace(/<style[\s>][\s\S]*?<\/style\s*>/gi, '').replace(/<[a-z][^>]*>/gi, (tag) => tag.replace(/\sstyle\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)/gi, ''));
  const page = new DOMParser().parseFromString(bare, 'text/html');
  for (const hidden of page.querySelectorAll('script,style,noscript,template,svg,iframe,object,head > :not(title)')) hidden.remove();
  for (const block of page.querySelectorAll(BLOCKS)) {
    const gap = block.tagName === 'BR' || block.tagName === 'TR' || block.tagName === 'LI' ? '\n' : '\n\n';
    block.before(gap);
    block.after(gap);
  }
  for (const cell of page.querySelectorAll('td,th')) cell.after(' ');
  const title = page.title.trim();
  const body = (page.body?.textContent ?? '').replace(/[^\S\n]+/g, ' ').replace(/ ?\n ?/g, '\n').replace(/\n{3,}/g, '\n\n').trim();
  return title && !body.startsWith(title) ? `${title}\n\n${body}` : body;
}
