/**
 * Downloads. One that is cut is taken up again by Range.
 *
 * An answer from another origin (type "cors") shows few headers. Its
 * Content-Length may count compressed bytes, as Content-Encoding is hidden, so
 * it is only a hint; its ETag and Content-Range are mostly hidden too. And any
 * header of ours but Range makes the browser ask the server for leave first,
 * which a plain file server refuses.
 */

import { read, skip, type Reading } from './stream.js';
import { M2EmbedError } from './types.js';

export interface FetchOptions {
  signal?: AbortSignal | undefined;
  fetch?: typeof globalThis.fetch | undefined;
  retries?: number | undefined;
}

/** What can be fetched. */
export type Address = string | URL | Request;

/** One source, opened. */
export interface Opened extends Reading {
  /** Size in bytes, or 0 while unknown. */
  total: number;
  /** Size in bytes as far as it can be guessed, for progress; or 0. */
  hint: number;
  /** Of the server's answer. */
  headers?: Headers;
}

/** Opens a download, with the answer to its first request where that is there already. */
export async function download(source: Address, what: string, o: FetchOptions, answer?: Response): Promise<Opened> {
  const first = answer ?? (await request(source, what, {}, o));
  checkStatus(first, what);
  const cors = first.type === 'cors';
  const { total, hint } = sizeOf(first);
  const tag = validator(first);
  const resumable = hint > 0 && !(typeof Request !== 'undefined' && source instanceof Request && source.method !== 'GET');
  let reading = read(body(first), o.signal);

  async function* chunks(): AsyncGenerator<Uint8Array> {
    let loaded = 0;
    let ranged = true;
    for (let tries = 0; ; ) {
      let cause: unknown;
      try {
        for await (const chunk of reading.chunks) {
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
      reading.close();
      for (;;) {
        if (!resumable || tries >= (o.retries ?? 4)) {
          throw new M2EmbedError('network', `fetch ${what}: cut after ${loaded} of ${hint || 'unknown'} bytes`, { cause });
        }
        tries++;
        await pause(100 * 2 ** tries, o.signal);
        let response: Response;
        try {
          const headers: Record<string, string> = ranged ? { Range: `bytes=${loaded}-` } : {};
          if (ranged && tag !== null && !cors) headers['If-Range'] = tag;
          response = await request(source, what, { headers }, o);
          if (response.status >= 500) throw new Error(`status ${response.status}`);
        } catch (error) {
          if (o.signal?.aborted) throw error;
          cause = error;
          // A server that does not let Range pass looks like one that is away.
          if (cors) ranged = !ranged;
          continue;
        }
        const rest = restOf(response, loaded);
        if (rest) {
          reading = read(rest, o.signal);
          break;
        }
        discard(response);
        if (!response.ok) checkStatus(response, what);
        // A range of what was compressed at first counts other bytes.
        if (cors && ranged) ranged = false;
        else throw new M2EmbedError('network', `fetch ${what}: cut after ${loaded} of ${hint} bytes, and the server has another file now`);
      }
    }
  }

  /** The bytes from `loaded` on, if this answer has them and is of the same file. */
  function restOf(response: Response, loaded: number): ReadableStream<Uint8Array> | undefined {
    const now = validator(response);
    const said = sizeOf(response).hint;
    if (response.status === 206) {
      const range = response.headers.get('content-range');
      const fits = range === null && cors ? said === hint - loaded : Number(/^bytes (\d+)-/.exec(range ?? '')?.[1] ?? -1) === loaded;
      // Where If-Range could not be sent, the answer has to tell.
      return fits && (!cors || now === null || now === tag) ? body(response) : undefined;
    }
    // The server knows no Range: the same file again, without what is here.
    return response.ok && now === tag && said === hint ? skip(body(response), loaded) : undefined;
  }

  return { total, hint, headers: first.headers, chunks: chunks(), close: () => reading.close() };
}

export async function request(source: Address, what: string, init: { headers?: Record<string, string>; cache?: RequestCache }, o: FetchOptions): Promise<Response> {
  o.signal?.throwIfAborted();
  const fetch = o.fetch ?? globalThis.fetch;
  const given = typeof Request !== 'undefined' && source instanceof Request;
  try {
    const headers = new Headers(given ? source.headers : undefined);
    for (const [name, value] of Object.entries(init.headers ?? {})) headers.set(name, value);
    return await fetch(given ? source.clone() : source, { ...(o.signal && { signal: o.signal }), ...init, headers });
  } catch (cause) {
    if (o.signal?.aborted) throw o.signal.reason;
    // A script of a Blob has no address that others are relative to; and pages are not told why.
    const ask = !given && !isAddress(String(source)) ? '; give a whole address, https://…' : typeof document === 'undefined' ? '' : "; check the address, that the server allows this origin (CORS), and connect-src of the page's Content-Security-Policy";
    throw new M2EmbedError('network', `fetch ${what}: ${(cause as Error).message}${ask}`, { cause });
  }
}

function isAddress(address: string): boolean {
  try {
    return !!new URL(address, (globalThis as { location?: { href?: string } }).location?.href);
  } catch {
    return false;
  }
}

/** Refuses an answer that has no file; `hint` is the next step, if there is one. */
export function checkStatus(response: Response, what: string, hint?: string): void {
  if (response.ok) return;
  discard(response);
  const status = `${response.status} ${response.statusText}`.trimEnd();
  throw new M2EmbedError('network', `fetch ${what}: the server answered ${status}${hint === undefined ? '' : `: ${hint}`}`);
}

/** Gives up an answer whose body is not wanted. */
export function discard(response: Response): void {
  if (!response.bodyUsed) void response.body?.cancel().catch(() => {});
}

/** The size of a body; 0 if it isn't said or speaks of compressed bytes. */
export function sizeOf(response: Response): { total: number; hint: number } {
  const hint = response.headers.get('content-encoding') ? 0 : Number(response.headers.get('content-length') ?? 0) || 0;
  return { total: response.type === 'cors' ? 0 : hint, hint };
}

/** What tells one version of a file from another, if the server says. */
export function validator({ headers }: { headers: Headers }): string | null {
  return headers.get('etag') ?? headers.get('last-modified');
}

export function body(response: Response): ReadableStream<Uint8Array> {
  return response.body ?? new Blob([]).stream();
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
