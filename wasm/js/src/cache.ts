/**
 * Fetched files, kept in the Cache API of a page or worker, one entry for each
 * address. An entry appears, in the place of an earlier one, only once it is
 * closed. Node, Deno and Bun keep them on disk, where that is asked for.
 */

import { openDisk } from './disk.js';
import { hasFileSystem } from './source.js';

const DEFAULT_NAME = 'm2embed';
/** How many bytes may wait to be written, so that small models need not wait for the disk. */
const WAITING = 32 << 20;

/** Whether files are kept on disk here. */
export const onDisk = hasFileSystem && typeof document === 'undefined' && !('WebSocketPair' in globalThis);

export interface Store {
  /** What is kept, if anything is. */
  match(): Promise<Response | undefined>;
  /** Opens an entry to be written; total is 0 while unknown. */
  writer(total: number, answer: Headers | undefined): Writer;
  delete(): Promise<void>;
}

export interface Writer {
  write(chunk: Uint8Array): Promise<void>;
  /** Ends the entry. It may not have been kept, for want of space say. */
  close(): Promise<void>;
  abort(): void;
}

/** The entry for an address; undefined where nothing is kept. */
export async function openStore(option: boolean | string | undefined, url: string | undefined): Promise<Store | undefined> {
  if (url === undefined || !/^https?:/.test(url)) return undefined;
  if (onDisk) return option ? openDisk(typeof option === 'string' ? option : 'files', url) : undefined;
  const inPage = typeof document !== 'undefined' || typeof (globalThis as { WorkerGlobalScope?: unknown }).WorkerGlobalScope !== 'undefined';
  const wanted = option ?? (inPage && !('WebSocketPair' in globalThis));
  if (!wanted) return undefined;
  let cache: Cache;
  try {
    cache = await caches.open(typeof option === 'string' ? option : DEFAULT_NAME);
  } catch {
    return undefined; // refused, in a private window say
  }
  return {
    match: () => cache.match(url).catch(() => undefined),
    delete: async () => void (await cache.delete(url)),
    writer: (total, answer) => openWriter(cache, url, total, answer),
  };
}

function openWriter(cache: Cache, url: string, total: number, answer: Headers | undefined): Writer {
  const headers = new Headers({ 'content-type': 'application/octet-stream' });
  if (total > 0) headers.set('content-length', String(total));
  for (const name of ['etag', 'last-modified']) {
    const value = answer?.get(name);
    if (value) headers.set(name, value);
  }
  let failed = false;
  // Small files are written once they are closed: until then who waits for a first vector has the cores.
  let held: Uint8Array[] | undefined = [];
  let bytes = 0;
  let writer: WritableStreamDefaultWriter<Uint8Array>;
  let stored: Promise<unknown>;
  const push = (chunk: Uint8Array): void => void writer.write(chunk).catch(() => (failed = true));
  const begin = (): void => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({}, new ByteLengthQueuingStrategy({ highWaterMark: WAITING }));
    writer = writable.getWriter();
    stored = cache.put(url, new Response(readable, { headers })).catch(() => (failed = true));
    held!.forEach(push);
    held = undefined;
  };
  // A refused entry must not hold up the download.
  const quietly = (work: Promise<unknown>): Promise<unknown> => Promise.race([work, stored]).catch(() => (failed = true));
  return {
    async write(chunk) {
      if (failed) return;
      bytes += chunk.length;
      if (held) held.push(chunk);
      else push(chunk);
      if (held && bytes > WAITING) begin();
      if (!held && writer.desiredSize! <= 0) await quietly(writer.ready);
    },
    async close() {
      if (failed) return;
      if (held) begin();
      await quietly(writer.close());
      await stored;
    },
    abort: () => {
      failed = true;
      if (held) held = [];
      else void writer.abort().catch(() => {});
    },
  };
}
