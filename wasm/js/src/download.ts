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

/** How long a download waits for a server that asks to be left alone, in ms. */
const PATIENCE = 30_000;

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
    /** How long the server wants to be left alone, in ms. */
    let asked = 0;
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
          const why = cause === undefined ? '' : ` (${(cause as Error)?.message ?? String(cause)})`;
          throw new M2EmbedError('network', `fetch ${what}: cut after ${loaded} of ${hint || 'unknown'} bytes${why}; load it again`, { cause });
        }
        tries++;
        await pause(Math.max(100 * 2 ** tries, asked), o.signal);
        asked = 0;
        let response: Response;
        try {
          const headers: Record<string, string> = ranged ? { Range: `bytes=${loaded}-` } : {};
          if (ranged && tag !== null && !cors) headers['If-Range'] = tag;
          response = await request(source, what, { headers }, o);
          if (response.status >= 500 || response.status === 429) {
            discard(response);
            asked = retryAfter(response);
            // Who is asked to wait for long had better decide by himself.
            if (asked > PATIENCE) checkStatus(response, what);
            throw new Error(`the server answered ${response.status}`);
          }
        } catch (error) {
          if (o.signal?.aborted || asked > PATIENCE) throw error;
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
        if (!response.ok && response.status !== 416) checkStatus(response, what);
        // Some servers answer with another range; and one of what was compressed at first counts other bytes.
        if (ranged) ranged = false;
        else throw new M2EmbedError('network', `fetch ${what}: cut after ${loaded} of ${hint} bytes, and the server has another file now; load it again`);
      }
    }
  }

  /** The bytes from `loaded` on, if this answer has them and is of the same file. */
  function restOf(response: Response, loaded: number): ReadableStream<Uint8Array> | undefined {
    const now = validator(response);
    const said = sizeOf(response).hint;
    if (response.status === 206) {
      const range = rangeOf(response);
      const fits = range ? range.start === loaded && (range.size === undefined || range.size === hint) : cors && said === hint - loaded;
      // If-Range is not always sent, nor always heeded.
      return fits && (now === null || now === tag) ? body(response) : undefined;
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

/** The next step after an answer without a file, where its status tells one. */
const STEPS: Record<number, string> = {
  401: 'give a Request with the headers that it wants, in place of the address',
  403: 'give a Request with the headers that it wants, in place of the address',
  429: 'too many requests: try again later',
};

/** Refuses an answer that has no file, or not all of it; `hint` is the next step, if there is one. */
export function checkStatus(response: Response, what: string, hint = STEPS[response.status]): void {
  const range = response.status === 206 ? rangeOf(response) : undefined;
  const isPart = range !== undefined && (range.start !== 0 || range.end + 1 !== range.size);
  if (response.ok && !isPart) return;
  discard(response);
  const status = `${response.status} ${response.statusText}`.trimEnd();
  const wait = retryAfter(response);
  const asks = wait > 0 ? `; it asks to wait for ${Math.ceil(wait / 1000)} s` : '';
  const why = isPart ? ': that is a part of the file, and all of it was asked for' : hint === undefined ? '' : `: ${hint}`;
  throw new M2EmbedError('network', `fetch ${what}: the server answered ${status}${why}${asks}`);
}

/** How long a server asks to be left alone, in ms, by seconds or a date; 0 where it does not. */
function retryAfter({ headers }: Response): number {
  const said = headers.get('retry-after') ?? '';
  const ms = /^\d+$/.test(said) ? 1000 * Number(said) : Date.parse(said) - Date.now();
  return ms > 0 ? ms : 0;
}

/** Which bytes of a file an answer has; the size may be left open. */
function rangeOf({ headers }: Response): { start: number; end: number; size: number | undefined } | undefined {
  const found = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers.get('content-range') ?? '');
  return found ? { start: Number(found[1]), end: Number(found[2]), size: found[3] === '*' ? undefined : Number(found[3]) } : undefined;
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
