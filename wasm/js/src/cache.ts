/**
 * Fetched weights, kept in the Cache API of a page or worker. Entries are
 * written while the download runs, chunk by chunk, and appear only when it is
 * complete.
 */

const DEFAULT_NAME = 'm2embed';

export interface Store {
  /** The kept bytes, if there are any. */
  match(): Promise<Response | undefined>;
  /** Opens an entry to be written. */
  writer(total: number): Writer;
  delete(): Promise<void>;
}

export interface Writer {
  write(chunk: Uint8Array): Promise<void>;
  /** Ends the entry; false if it could not be kept (no space, say). */
  close(): Promise<boolean>;
  abort(): void;
}

/** The entry for an address and, where given, a sha256; undefined where there is no Cache API. */
export async function openStore(option: boolean | string | undefined, url: string | undefined, sha256: string | undefined): Promise<Store | undefined> {
  const inPage = typeof document !== 'undefined' || typeof (globalThis as { WorkerGlobalScope?: unknown }).WorkerGlobalScope !== 'undefined';
  const wanted = option ?? (inPage && typeof caches !== 'undefined' && !('Deno' in globalThis) && !('WebSocketPair' in globalThis));
  if (!wanted || url === undefined || !/^https?:/.test(url) || typeof caches === 'undefined') return undefined;
  let cache: Cache;
  try {
    cache = await caches.open(typeof option === 'string' ? option : DEFAULT_NAME);
  } catch {
    return undefined; // refused, in a private window say
  }
  const key = new Request(sha256 === undefined ? url : `${url}${url.includes('?') ? '&' : '?'}sha256=${sha256}`);
  return {
    match: async () => (await cache.match(key)) ?? undefined,
    delete: async () => void (await cache.delete(key)),
    writer: (total) => openWriter(cache, key, total),
  };
}

function openWriter(cache: Cache, key: Request, total: number): Writer {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const headers: Record<string, string> = { 'content-type': 'application/octet-stream' };
  if (total > 0) headers['content-length'] = String(total);
  let failed = false;
  const stored = cache.put(key, new Response(readable, { headers })).then(
    () => true,
    () => {
      failed = true;
      return false;
    },
  );
  // A refused entry must not hold up the download.
  const quietly = (work: Promise<unknown>): Promise<unknown> => Promise.race([work, stored]).catch(() => (failed = true));
  return {
    async write(chunk) {
      if (!failed) await quietly(writer.write(chunk));
    },
    async close() {
      if (failed) return false;
      await quietly(writer.close());
      return stored;
    },
    abort: () => void writer.abort().catch(() => {}),
  };
}
