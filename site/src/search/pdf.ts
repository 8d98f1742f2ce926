/** The text of a PDF, through PDF.js, which is fetched when the first PDF arrives. */

import type { TextItem } from 'pdfjs-dist/types/src/display/api.js';
import { joined, type Place } from './place.js';

/**
 * @throws Error with a sentence for the visitor
 */
export async function readPdf(file: File, signal: AbortSignal, follow: (done: number, total: number) => void, tell: (sentence: string) => void): Promise<{ text: string; places: Place[] }> {
  const [pdf, worker] = await Promise.all([import('pdfjs-dist'), import('pdfjs-dist/build/pdf.worker.min.mjs?url')]);
  pdf.GlobalWorkerOptions.workerSrc = worker.default;
  const beside = (folder: string): string => new URL(`./pdf/${folder}/`, document.baseURI).href;
  const task = pdf.getDocument({
    data: new Uint8Array(await file.arrayBuffer()),
    cMapUrl: beside('cmaps'),
    cMapPacked: true,
    standardFontDataUrl: beside('standard_fonts'),
    useWasm: false,
    isEvalSupported: false,
    disableFontFace: true,
  } as Parameters<typeof pdf.getDocument>[0]);
  const stop = (): void => void task.destroy();
  signal.addEventListener('abort', stop);
  const pages: string[] = [];
  try {
    const document = await task.promise;
    for (let number = 1; number <= document.numPages; number++) {
      signal.throwIfAborted();
      follow(number, document.numPages);
      const page = await document.getPage(number);
      const { items } = await page.getTextContent();
      pages.push(joinLines(items.filter((item): item is TextItem => 'str' in item)));
      page.cleanup();
    }
  } catch (cause) {
    signal.throwIfAborted();
    const { name, message } = cause as Error;
    if (name === 'PasswordException') throw new Error(`${file.name} is locked with a password. Save it without one and drop it again.`, { cause });
    throw new Error(`${file.name} could not be read as a PDF (${message}). Open it elsewhere to see whether it is whole.`, { cause });
  } finally {
    signal.removeEventListener('abort', stop);
    void task.destroy();
  }
  const bare = pages.filter((page) => page === '').length;
  if (bare === pages.length) throw new Error(`${file.name} has no text in it, only pictures of text. Run a text recognition over it first.`);
  if (bare > 0) tell(`${bare} of the ${pages.length} pages of ${file.name} hold no text, perhaps pictures of it.`);
  return joined(pages.map((text, i) => ({ label: `page ${i + 1}`, text })));
}

/** Lines of a page as flowing text: words cut at line ends are joined, larger gaps make paragraphs. */
function joinLines(items: readonly TextItem[]): string {
  let text = '';
  let lastY: number | undefined;
  for (const item of items) {
    const y = item.transform[5] as number;
    const height = item.height || 10;
    if (lastY !== undefined && item.str !== '' && Math.abs(y - lastY) > 1.7 * height && text !== '' && !text.endsWith('\n\n')) text = `${text.trimEnd()}\n\n`;
    text += item.str;
    if (item.str !== '') lastY = y;
    if (item.hasEOL) text = /\p{Ll}-$/u.test(text) ? text.slice(0, -1) : `${text} `;
  }
  return text.replace(/[^\S\n]+/g, ' ').trim();
}
