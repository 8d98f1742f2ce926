/**
 * Bytes from anywhere as one stream of chunks: addresses, files, blobs,
 * responses, memory. A download that is cut is taken up again by Range.
 */

import { M2EmbedError, type Source } from './types.js';

export interface FetchOptions {
  signal?: AbortSignal | undefined;
  fetch?: typeof globalThis.fetch | undefined;
  retries?: number | undefined;
}

/** One source, opened. */
export interface Opened {
  /** Size in bytes, or 0 while unknown. */
  total: number;
  chunks: AsyncIterable<Uint8Array>;
}

/** Says where a source's bytes come from, for messages. */
export function describe(source: Source): string {
  if (typeof source === 'string') return source;
  if (source instanceof URL) return source.href;
  const url = (source as { url?: unknown }).url;
  return typeof url === 'string' && url !== '' ? url : 'the given bytes';
}

/** The address of a source that has to be fetched, or undefined. */
export function address(source: Source): string | undefined {
  if (source instanceof URL) return source.protocol === 'file:' ? undefined : source.href;
  if (typeof source === 'string') return isFile(source) ? undefined : resolve(source);
  if (typeof Request !== 'undefined' && source instanceof Request) return source.url;
  return undefined;
}

/** An address made absolute, as a worker has another base; paths of files stay. */
export function resolveAddress(address: string): string {
  return isFile(address) ? address : resolve(address);
}

function resolve(address: string): string {
  const base = (globalThis as { location?: { href?: string } }).location?.href;
  try {
    return new URL(address, base).href;
  } catch {
    return address;
  }
}

/** Whether the runtime has a file system that plain paths speak of. */
export const hasFileSystem = typeof (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node === 'string';

function isFile(address: string): boolean {
  if (address.startsWith('file:')) return true;
  return hasFileSystem && !/^[a-z][a-z0-9+.-]+:/i.test(address);
}

export async function open(source: Source, o: FetchOptions): Promise<Opened> {
  if (source instanceof Uint8Array) return { total: source.length, chunks: one(source) };
  if (source instanceof ArrayBuffer) return { total: source.byteLength, chunks: one(new Uint8Array(source)) };
  if (typeof Blob !== 'undefined' && source instanceof Blob) return { total: source.size, chunks: read(source.stream(), o.signal) };
  if (typeof Response !== 'undefined' && source instanceof Response) {
    checkStatus(source, describe(source));
    return { total: lengthOf(source), chunks: read(body(source), o.signal) };
  }
  if (typeof ReadableStream !== 'undefined' && source instanceof ReadableStream) return { total: 0, chunks: read(source, o.signal) };
  if (typeof source === 'string' ? isFile(source) : source instanceof URL && source.protocol === 'file:') return openFile(source as string | URL, o.signal);
  if (typeof source === 'string' || source instanceof URL || (typeof Request !== 'undefined' && source instanceof Request)) return download(source, o);
  throw new M2EmbedError('bad_argument', `cannot read from ${Object.prototype.toString.call(source)}: want an address, a file, a Blob, a Response, a stream or bytes`);
}

/** All bytes of a source at once: for the small files. */
export async function readAll(source: Source, o: FetchOptions, onProgress?: (loaded: number, total: number) => void): Promise<Uint8Array> {
  const { total, chunks } = await open(source, o);
  const parts: Uint8Array[] = [];
  let loaded = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    loaded += chunk.length;
    onProgress?.(loaded, total);
  }
  return join(parts, loaded);
}

export function join(parts: readonly Uint8Array[], total: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* read(stream: ReadableStream<Uint8Array>, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  const abort = (): void => void reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener('abort', abort, { once: true });
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    void reader.cancel().catch(() => {});
  }
}

async function openFile(path: string | URL, signal: AbortSignal | undefined): Promise<Opened> {
  // Named by a variable so that bundlers for pages leave it alone.
  const name = 'node:fs/promises';
  const fs = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as typeof import('node:fs/promises');
  let file: import('node:fs/promises').FileHandle;
  try {
    file = await fs.open(typeof path === 'string' && path.startsWith('file:') ? new URL(path) : path);
  } catch (cause) {
    throw new M2EmbedError('network', `read ${String(path)}: ${(cause as Error).message}`, { cause });
  }
  const { size } = await file.stat();
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        signal?.throwIfAborted();
        const buffer = new Uint8Array(1 << 20);
        const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }
  return { total: size, chunks: chunks() };
}

async function download(source: string | URL | Request, o: FetchOptions): Promise<Opened> {
  const what = describe(source);
  const first = await request(source, {}, o);
  checkStatus(first, what);
  const total = lengthOf(first);
  const tag = first.headers.get('etag') ?? first.headers.get('last-modified');
  // A body that the server compressed has other bytes than a Range counts.
  const resumable = total > 0 && (typeof source === 'string' || source instanceof URL || source.method === 'GET');

  async function* chunks(): AsyncGenerator<Uint8Array> {
    let response = first;
    let loaded = 0;
    for (let tries = 0; ; ) {
      let cause: unknown;
      try {
        for await (const chunk of read(body(response), o.signal)) {
          tries = 0;
          loaded += chunk.length;
          yield chunk;
        }
        if (total === 0 || loaded === total) return;
        if (loaded > total) throw new M2EmbedError('network', `fetch ${what}: ${loaded} bytes, but ${total} were announced`);
      } catch (error) {
        if (o.signal?.aborted || error instanceof M2EmbedError) throw error;
        cause = error;
      }
      for (;;) {
        if (!resumable || tries >= (o.retries ?? 4)) {
          throw new M2EmbedError('network', `fetch ${what}: cut after ${loaded} of ${total || 'unknown'} bytes`, { cause });
        }
        tries++;
        await pause(100 * 2 ** tries, o.signal);
        try {
          const headers: Record<string, string> = { Range: `bytes=${loaded}-` };
          if (tag !== null) headers['If-Range'] = tag;
          response = await request(source, headers, o);
          if (response.status >= 500) throw new Error(`status ${response.status}`);
        } catch (error) {
          if (o.signal?.aborted) throw error;
          cause = error;
          continue;
        }
        break;
      }
      if (response.status === 206 && startOf(response) === loaded) continue;
      if (response.ok && response.status !== 206 && (response.headers.get('etag') ?? response.headers.get('last-modified')) === tag && lengthOf(response) === total) {
        // The server knows no Range: the same file again, without what is here.
        response = new Response(skip(body(response), loaded));
        continue;
      }
      if (!response.ok) checkStatus(response, what);
      throw new M2EmbedError('network', `fetch ${what}: cut after ${loaded} of ${total} bytes, and the server has another file now`);
    }
  }
  return { total, chunks: chunks() };
}

async function request(source: string | URL | Request, headers: Record<string, string>, o: FetchOptions): Promise<Response> {
  o.signal?.throwIfAborted();
  const fetch = o.fetch ?? globalThis.fetch;
  const init: RequestInit = o.signal ? { signal: o.signal } : {};
  try {
    const all = new Headers(source instanceof Request ? source.headers : undefined);
    for (const [name, value] of Object.entries(headers)) all.set(name, value);
    return await fetch(source instanceof Request ? source.clone() : source, { ...init, headers: all });
  } catch (cause) {
    if (o.signal?.aborted) throw o.signal.reason;
    throw new M2EmbedError('network', `fetch ${describe(source)}: ${(cause as Error).message}`, { cause });
  }
}

function checkStatus(response: Response, what: string): void {
  if (!response.ok) throw new M2EmbedError('network', `fetch ${what}: the server answered ${response.status} ${response.statusText}`.trimEnd());
}

/** The size of a body, 0 if it isn't said or speaks of compressed bytes. */
function lengthOf(response: Response): number {
  if (response.headers.get('content-encoding')) return 0;
  return Number(response.headers.get('content-length') ?? 0) || 0;
}

function startOf(response: Response): number {
  return Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? -1);
}

function body(response: Response): ReadableStream<Uint8Array> {
  return response.body ?? new Blob([]).stream();
}

function skip(stream: ReadableStream<Uint8Array>, count: number): ReadableStream<Uint8Array> {
  let left = count;
  return stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        if (left < chunk.length) controller.enqueue(chunk.subarray(left));
        left = Math.max(0, left - chunk.length);
      },
    }),
  );
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
