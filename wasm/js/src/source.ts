/** Bytes from anywhere as one stream of chunks: addresses, files, blobs, responses, memory. */

import { body, checkStatus, download, sizeOf, type Address, type FetchOptions, type Opened } from './download.js';
import { join, one, read, type Reading } from './stream.js';
import { M2EmbedError, type Source } from './types.js';

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

/** Whether an address speaks of a file rather than of something to be fetched. */
export function isFile(address: string): boolean {
  if (address.startsWith('file:')) return true;
  return hasFileSystem && !/^[a-z][a-z0-9+.-]+:/i.test(address);
}

export async function open(source: Source, o: FetchOptions): Promise<Opened> {
  if (source instanceof Uint8Array) return sized(source.length, { chunks: one(source), close: () => {} });
  if (source instanceof ArrayBuffer) return open(new Uint8Array(source), o);
  if (isA('Blob', source)) return sized(source.size, given(source, source.stream(), o));
  if (isA('Response', source)) {
    checkStatus(source, describe(source));
    return { ...sizeOf(source), ...given(source, body(source), o) };
  }
  if (isA('ReadableStream', source)) return sized(0, given(source, source, o));
  if (typeof source === 'string' || source instanceof URL) return isFile(String(source)) ? openFile(source, o.signal) : download(source, describe(source), o);
  return download(source as Address, describe(source), o);
}

/** Whether a value is an instance of a class of the platform, which may not have it. */
function isA<N extends 'Blob' | 'Response' | 'Request' | 'ReadableStream'>(name: N, value: unknown): value is InstanceType<(typeof globalThis)[N]> {
  return typeof globalThis[name] !== 'undefined' && value instanceof globalThis[name];
}

/** Refuses what is no source; `name` says of which file. */
export function checkSource(name: string, source: unknown): void {
  const known = typeof source === 'string' || [URL, ArrayBuffer, Uint8Array].some((c) => source instanceof c) || isA('Blob', source) || isA('Response', source) || isA('Request', source) || isA('ReadableStream', source);
  if (known) return;
  const shown = source === undefined || source === null ? String(source) : Object.prototype.toString.call(source).slice(8, -1);
  throw new M2EmbedError('bad_argument', `${name}: cannot read from ${shown}: want an address, a file, a Blob, a Response, a stream or bytes`);
}

function sized(total: number, reading: Reading): Opened {
  return { total, hint: total, ...reading };
}

/** A stream that the caller made: where it fails, the error says so. */
function given(source: Source, stream: ReadableStream<Uint8Array>, o: FetchOptions): Reading {
  const failed = (cause: unknown): M2EmbedError => new M2EmbedError('network', `read ${describe(source)}: ${(cause as Error)?.message ?? String(cause)}`, { cause });
  let reading: Reading;
  try {
    reading = read(stream, o.signal);
  } catch (cause) {
    throw failed(cause);
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const all = reading.chunks[Symbol.asyncIterator]();
    for (;;) {
      const { done, value } = await all.next().catch((cause: unknown) => {
        throw o.signal?.aborted ? o.signal.reason : failed(cause);
      });
      if (done) return;
      if (!(value instanceof Uint8Array)) throw new M2EmbedError('bad_argument', `read ${describe(source)}: a stream of ${typeof value}, want one of Uint8Array`);
      yield value;
    }
  }
  return { chunks: chunks(), close: reading.close };
}

/** All bytes of a source at once: for the small files. */
export async function readAll({ total, chunks, close }: Opened, onProgress?: (loaded: number, total: number) => void): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let loaded = 0;
  try {
    for await (const chunk of chunks) {
      parts.push(chunk);
      loaded += chunk.length;
      onProgress?.(loaded, total);
    }
  } finally {
    await close();
  }
  return join(parts);
}

async function openFile(path: string | URL, signal: AbortSignal | undefined): Promise<Opened> {
  // Named by a variable so that bundlers for pages leave it alone.
  const name = 'node:fs/promises';
  const fs = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as typeof import('node:fs/promises');
  const attempt = <T>(work: Promise<T>): Promise<T> =>
    work.catch((cause: unknown) => {
      throw new M2EmbedError('network', `read ${String(path)}: ${(cause as Error).message}`, { cause });
    });
  const file = await attempt(fs.open(typeof path === 'string' && path.startsWith('file:') ? new URL(path) : path));
  const close = (): Promise<void> => file.close();
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      signal?.throwIfAborted();
      const buffer = new Uint8Array(1 << 20);
      const { bytesRead } = await attempt(file.read(buffer, 0, buffer.length, null));
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  }
  try {
    const stat = await attempt(file.stat());
    if (stat.isDirectory()) throw new M2EmbedError('network', `read ${String(path)}: it is a folder`);
    return sized(stat.size, { chunks: chunks(), close });
  } catch (error) {
    await close();
    throw error;
  }
}
