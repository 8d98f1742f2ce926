/** Reads a visitor's files as text: PDF by PDF.js, which has a worker of its own, all others in ours. */

import { readPdf } from './pdf.js';
import type { Place } from './place.js';
import type { Table } from './table.js';

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

/** What the worker makes of a file: PDFs come back as they are. */
export type Part = Content | { name: string; pdf: File };

/** What it says meanwhile, and at the end. */
export type Told = { done: number; total: number } | { sentence: string } | { parts: Part[] } | { error: string };

/** How far reading is: pages of a document, or files of an archive. */
export type Follow = (done: number, total: number, of: 'page' | 'file') => void;

/** Reads files one after the other, until the signal aborts, however far a file is. */
export class Reading {
  private worker: Worker | undefined;

  /** `tell` is given sentences about what had to be left out. */
  constructor(
    private readonly signal: AbortSignal,
    private readonly tell: (sentence: string) => void,
  ) {}

  /** @throws Error with a sentence for the visitor */
  async read(file: File, follow: Follow): Promise<Content[]> {
    const { signal, tell } = this;
    signal.throwIfAborted();
    const parts = await this.ask(file, follow);
    const contents: Content[] = [];
    for (const part of parts) {
      if (!('pdf' in part)) contents.push(part);
      else {
        try {
          contents.push({ name: part.name, ...(await readPdf(part.pdf, signal, (done, total) => follow(done, total, 'page'), tell)) });
        } catch (error) {
          signal.throwIfAborted();
          if (parts.length === 1) throw error;
          tell((error as Error).message); // of an archive the rest is read
        }
      }
    }
    return contents;
  }

  /** Ends the worker. */
  close(): void {
    this.worker?.terminate();
    this.worker = undefined;
  }

  private ask(file: File, follow: Follow): Promise<Part[]> {
    const worker = (this.worker ??= new Worker(new URL('./read-worker.ts', import.meta.url), { type: 'module', name: 'read' }));
    const { signal } = this;
    let stop: (() => void) | undefined;
    return new Promise<Part[]>((resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop);
      worker.onmessage = ({ data }: MessageEvent<Told>) => {
        if ('parts' in data) resolve(data.parts);
        else if ('error' in data) reject(new Error(data.error));
        else if ('sentence' in data) this.tell(data.sentence);
        else follow(data.done, data.total, 'file');
      };
      worker.onerror = (event) => {
        event.preventDefault();
        this.close(); // the next file gets another
        reject(new Error(`${file.name} could not be read (${event.message || 'its reader did not start'}). Split it into smaller files.`));
      };
      worker.postMessage(file);
    }).finally(() => {
      signal.removeEventListener('abort', stop!);
      if (signal.aborted) this.close();
    });
  }
}
