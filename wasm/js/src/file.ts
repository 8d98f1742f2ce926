/**
 * One file of a model and what the cache keeps of it. The policy:
 *
 * - A file with a sha256 is used as it is kept; the sum tells whether it is good.
 * - Any other is used as it is kept if the server says that it did not change,
 *   cannot be reached, or gave no ETag and no Last-Modified to ask about.
 * - What was fetched is kept once the model has opened.
 * - Where a model of kept files does not open, they are deleted and fetched anew.
 */

import { openStore, type Store, type Writer } from './cache.js';
import { discard, download, request, validator, type Address, type Opened } from './download.js';
import { Sha256 } from './sha256.js';
import { address, describe, open, readAll } from './source.js';
import { isPage } from './stream.js';
import { M2EmbedError, type LoadOptions, type LoadProgress, type Source } from './types.js';

/** Refuses sums that would check nothing. */
export function checkSums(sums: LoadOptions['sha256']): void {
  for (const [name, sum] of Object.entries(sums ?? {})) {
    if (!['config', 'tokenizer', 'weights'].includes(name)) throw new M2EmbedError('bad_argument', `sha256: no file ${JSON.stringify(name)}, want config, tokenizer or weights`);
    if (sum !== undefined && !/^[0-9a-f]{64}$/i.test(sum as string)) throw new M2EmbedError('bad_argument', `sha256 of ${name}: ${JSON.stringify(sum)}, want 64 hex digits`);
  }
}

export class ModelFile {
  /** Whether the bytes come from the cache. */
  cached = false;
  readonly what: string;
  private readonly store: Promise<Store | undefined>;
  private readonly sha256: string | undefined;
  private writer: Writer | undefined;

  constructor(
    readonly name: 'config' | 'tokenizer' | 'weights',
    private readonly source: Source,
    private readonly o: LoadOptions,
  ) {
    this.what = describe(source);
    this.sha256 = o.sha256?.[name];
    const isGet = !(typeof Request !== 'undefined' && source instanceof Request) || source.method === 'GET';
    this.store = isGet ? openStore(o.cache, address(source)) : Promise.resolve(undefined);
  }

  /** Opens what is kept or else the source; `anew` leaves all caches aside. */
  async open(anew: boolean): Promise<Opened> {
    const store = await this.store;
    const kept = anew ? undefined : await store?.match();
    this.cached = false;
    if (!store) return open(this.source, this.o);
    const source = this.source as Address; // only addresses have a store
    if (!kept) return download(source, this.what, this.o, anew ? await request(source, this.what, { cache: 'reload' }, this.o) : undefined);
    const changed = await this.changed(kept);
    if (changed) discard(kept);
    if (changed) return download(source, this.what, this.o, changed);
    this.cached = true;
    const opened = await open(kept, this.o);
    return { ...opened, chunks: this.checked(opened.chunks) };
  }

  /** A cache that cannot be read counts as a damaged file. */
  private async *checked(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks;
    } catch (cause) {
      throw this.o.signal?.aborted ? cause : new M2EmbedError('integrity', `${this.name} ${this.what}: what is kept cannot be read`, { cause });
    }
  }

  /** The server's answer if it has another file now. */
  private async changed(kept: Response): Promise<Response | undefined> {
    const tag = validator(kept);
    if (this.sha256 !== undefined || tag === null) return undefined;
    const here = (globalThis as { location?: { origin?: string } }).location?.origin;
    const condition: Record<string, string> = kept.headers.has('etag') ? { 'If-None-Match': tag } : { 'If-Modified-Since': tag };
    // Another origin would have to allow the header, so the answer is looked at instead.
    const crosses = here !== undefined && new URL(address(this.source)!).origin !== here;
    const init = crosses ? { cache: 'no-cache' as const } : { headers: condition, cache: 'no-store' as const };
    let answer: Response;
    try {
      answer = await request(this.source as Address, this.what, init, this.o);
    } catch (error) {
      if (this.o.signal?.aborted) throw error;
      return undefined;
    }
    const strong = (tag: string | null): string | undefined => tag?.replace(/^W\//, '');
    if (answer.ok && strong(validator(answer)) !== strong(tag)) return answer;
    discard(answer);
    return undefined;
  }

  /** The whole file. */
  async read(anew: boolean): Promise<Uint8Array> {
    const opened = await this.open(anew);
    const bytes = await readAll(opened, (loaded, total) => this.report(loaded, total || opened.hint));
    if (isPage(bytes)) {
      const code = this.name === 'config' ? 'bad_config' : 'bad_tokenizer';
      throw new M2EmbedError(code, `${this.name} ${this.what}: the answer is a page of HTML; is the model's folder at this address?`);
    }
    const sum = this.sum();
    sum?.update(bytes);
    this.verify(sum);
    await this.write(opened);
    await this.writeChunk(bytes);
    return bytes;
  }

  report(loaded: number, total: number): void {
    const progress: LoadProgress = { stage: this.name, loaded, total: loaded > total ? 0 : total, cached: this.cached };
    this.o.onProgress?.(progress);
  }

  /** Counts the sum of the bytes, if there is one to compare with. */
  sum(): Sha256 | undefined {
    return this.sha256 === undefined ? undefined : new Sha256();
  }

  verify(sum: Sha256 | undefined): void {
    if (!sum) return;
    const got = sum.hex();
    const want = this.sha256!.toLowerCase();
    if (got !== want) throw new M2EmbedError('integrity', `${this.name} ${this.what}: sha256 is ${got}, want ${want}`);
  }

  /** Starts to write what is fetched into the cache. */
  async write({ total, headers }: Opened): Promise<void> {
    this.writer?.abort();
    this.writer = this.cached ? undefined : (await this.store)?.writer(total, headers);
  }

  async writeChunk(chunk: Uint8Array): Promise<void> {
    await this.writer?.write(chunk);
  }

  /** Whether there is something to keep. */
  get isNew(): boolean {
    return this.writer !== undefined;
  }

  /** Keeps what was written. */
  async keep(): Promise<void> {
    await this.writer?.close();
  }

  /** Keeps nothing of what was written. */
  drop(): void {
    this.writer?.abort();
  }

  /** Deletes what was kept, if that is what was read. */
  async forget(): Promise<void> {
    if (this.cached) await (await this.store)?.delete();
  }

  /** Whether the source can be read a second time. */
  get lasts(): boolean {
    const once = (name: 'Response' | 'ReadableStream'): boolean => typeof globalThis[name] !== 'undefined' && this.source instanceof globalThis[name];
    return !once('Response') && !once('ReadableStream');
  }
}
