/** A model in one worker or several: starts them, shares out texts, and gets by without those that die. */

import { partsOf } from './abi.js';
import { checkText, checkTexts, embed, gone, similarity } from './embedder.js';
import { checkStatus } from './download.js';
import { checkSums } from './file.js';
import { Line, type Outgoing } from './line.js';
import { filesOf } from './load.js';
import type { Embedded, Loaded, Sent, SentFiles } from './protocol.js';
import { address, checkSource, describe, resolveAddress } from './source.js';
import { M2EmbedError, type EmbedOptions, type EmbedProgress, type Embedder, type Embedding, type Input, type LoadOptions, type LoadProgress, type ModelFiles, type ModelInfo, type Passage, type PassageOptions, type Source, type Tokenization } from './types.js';

/** Starts a worker of this runtime's kind. */
export type Spawn = () => Line;

/** Without what cannot be sent to a worker. `navigator.gpu` is there in a page's workers; Node's have none. */
export interface WorkerLoadOptions extends Omit<LoadOptions, 'fetch' | 'gpu'> {
  /** How many workers share out the texts of a call (default 1). */
  workers?: number;
  /** Makes a worker from the address of its script; for bundlers that want to see the call. */
  createWorker?: () => Worker;
}

/** Loads a model into workers, which `spawn` starts, with the module of the options or that of `own`. */
export async function loadPool(source: string | URL | ModelFiles, options: WorkerLoadOptions, spawn: Spawn, own: () => Source | WebAssembly.Module | Promise<Source | WebAssembly.Module>): Promise<Embedder> {
  const { workers = 1, createWorker, onProgress, signal, module: given, ...rest } = options;
  if (!Number.isInteger(workers) || workers < 1) throw new M2EmbedError('bad_argument', `workers ${workers}: want 1 or more`);
  signal?.throwIfAborted();
  checkSums(rest.sha256);
  const files = filesOf(source);
  const [config, tokenizer, weights] = await Promise.all([sendable(files.config), sendable(files.tokenizer), sendable(files.weights)]);
  const module = given ?? (await own());
  if (!(module instanceof WebAssembly.Module)) checkSource('module', module);
  const sentModule = module instanceof WebAssembly.Module ? module : await sendable(module);
  const lines: Line[] = [];
  let failed = false;
  const start = async (source: SentFiles, o: WorkerLoadOptions, share: boolean, told?: (p: LoadProgress) => void): Promise<Loaded> => {
    const line = createWorker ? Line.toWorker(createWorker()) : spawn();
    lines.push(line);
    if (failed) line.end();
    const { files, ...standing } = await line.call<Loaded>({ call: 'load', source, options: { ...o, module: sentModule }, share }, signal, told as never);
    line.standing = standing;
    return { files, ...standing };
  };
  const others = (source: SentFiles, o: WorkerLoadOptions): Promise<Loaded[]> => Promise.all(Array.from({ length: workers - 1 }, () => start(source, o, false)));
  try {
    // What has to be fetched is fetched by the first, and the others get it from there.
    const fetched = workers > 1 && Object.values(files).some((file) => address(file) !== undefined);
    // Only where the first has no GPU is there work for the others.
    const atOnce = !fetched && (rest.backend ?? 'wasm') === 'wasm';
    const sent: SentFiles = { config, tokenizer, weights };
    const [{ info, files: found }] = await Promise.all([start(sent, rest, fetched, onProgress), atOnce ? others(sent, rest) : []]);
    if (!atOnce && info.backend === 'wasm') {
      const { sha256: _, ...checked } = rest;
      await (found?.weights instanceof Blob ? others(found, checked) : others(sent, rest));
    }
    return new WorkerEmbedder(lines);
  } catch (error) {
    failed = true;
    lines.forEach((line) => line.end());
    throw error;
  }
}

/** A source in a form that can be sent to a worker. */
async function sendable(source: Source): Promise<Sent> {
  if (typeof source === 'string') return resolveAddress(source);
  if (source instanceof URL) return source.href;
  if (typeof Request !== 'undefined' && source instanceof Request) {
    const { url, method, headers, credentials } = source;
    if (method !== 'GET') throw new M2EmbedError('bad_argument', `a ${method} request of ${url} cannot be sent to a worker: want GET`);
    return { url, headers: [...headers], credentials };
  }
  if (typeof Response !== 'undefined' && source instanceof Response) checkStatus(source, describe(source));
  else if (!(typeof ReadableStream !== 'undefined' && source instanceof ReadableStream)) return source as Sent;
  try {
    return await (source instanceof ReadableStream ? new Response(source) : (source as Response)).blob();
  } catch (cause) {
    throw new M2EmbedError('network', `read ${describe(source)}: ${(cause as Error)?.message ?? String(cause)}`, { cause });
  }
}

class WorkerEmbedder implements Embedder {
  private disposed = false;
  /** Those whose workers live. */
  private lines: Line[];
  private last: ModelInfo;
  private lost: M2EmbedError | undefined;

  constructor(lines: Line[]) {
    this.lines = lines;
    this.last = lines[0]!.standing!.info;
    for (const line of lines) {
      if (line.dead) this.drop(line);
      else line.onDeath = () => this.drop(line);
    }
  }

  get info(): ModelInfo {
    return this.lines[0]?.standing?.info ?? this.last;
  }

  get memory(): number {
    return this.lines.reduce((sum, { standing }) => sum + standing!.memory, 0);
  }

  get gpuMemory(): number {
    return this.lines.reduce((sum, { standing }) => sum + standing!.gpuMemory, 0);
  }

  embed(text: string | Int32Array, options?: EmbedOptions): Promise<Float32Array>;
  embed(texts: readonly Input[], options?: EmbedOptions): Promise<Float32Array[]>;
  embed(input: string | Int32Array | readonly Input[], options?: EmbedOptions): Promise<Float32Array | Float32Array[]>;
  async embed(input: string | Int32Array | readonly Input[], options?: EmbedOptions): Promise<Float32Array | Float32Array[]> {
    return embed(this, input, options);
  }

  async embedDetailed(texts: readonly Input[], options: EmbedOptions = {}): Promise<Embedding[]> {
    const lines = this.use();
    checkTexts(texts);
    const { signal, onProgress, ...rest } = options;
    signal?.throwIfAborted();
    const jobs = share(texts, lines.length, (rest.padding ?? this.info.padding) === 'longest');
    const weights = jobs.map((job) => job.texts.reduce((n, input) => n + sizeOf(input) + 16, 0));
    const all = weights.reduce((n, w) => n + w, 0);
    const shares = jobs.map(() => 0);
    const found: Embedding[] = new Array<Embedding>(texts.length);
    // One failing job ends the others.
    const stop = new AbortController();
    const follow = (): void => stop.abort(signal!.reason);
    signal?.addEventListener('abort', follow, { once: true });
    let next = 0;
    const drain = async (line: Line): Promise<void> => {
      for (let j = next++; j < jobs.length; j = next++) {
        const job = jobs[j]!;
        const told = onProgress && ((p: EmbedProgress): void => {
          // What a worker had done when it died is done again.
          shares[j] = Math.max(shares[j]!, weights[j]! * (p.total > 0 ? p.done / p.total : 0));
          onProgress({ done: shares.reduce((n, s) => n + s, 0) / all, total: 1 });
        });
        const call: Outgoing = { call: 'embed', texts: job.texts.map(sent), options: rest, progress: told !== undefined };
        const embeddings = await this.ask(line, async (line) => {
          const { embeddings, ...standing } = await line.call<Embedded>(call, stop.signal, told as never);
          line.standing = standing;
          return embeddings;
        }).catch((error: unknown) => {
          throw moved(error, job.first);
        });
        embeddings.forEach((e, k) => (found[job.first + k] = e));
        if (line.dead) return; // the others take what is left
      }
    };
    try {
      await Promise.all(lines.map(drain));
    } catch (error) {
      stop.abort(error);
      throw error;
    } finally {
      signal?.removeEventListener('abort', follow);
    }
    return found;
  }

  async tokenize(text: string, { signal }: { signal?: AbortSignal } = {}): Promise<Tokenization> {
    checkText('tokenize', text);
    return this.ask(this.use()[0]!, (line) => line.call<Tokenization>({ call: 'tokenize', text }, signal));
  }

  async passages(text: string, { signal, ...options }: PassageOptions = {}): Promise<Passage[]> {
    checkText('passages', text);
    return this.ask(this.use()[0]!, (line) => line.call<Passage[]>({ call: 'passages', text, options }, signal));
  }

  async decode(ids: Int32Array | readonly number[], options: { specialTokens?: boolean } = {}): Promise<string> {
    return this.ask(this.use()[0]!, (line) => line.call<string>({ call: 'decode', ids, options }));
  }

  similarity(a: string | Float32Array, b: string | Float32Array, options?: EmbedOptions): Promise<number> {
    return similarity(this, a, b, options);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    const lines = [...this.lines];
    lines.forEach((line) => line.refuse(gone()));
    // One of them has fetched, and may still have to keep it.
    await Promise.all(lines.map((line) => line.call({ call: 'keep' }).catch(() => {}).finally(() => line.end())));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** The lines that live. */
  private use(): Line[] {
    if (this.disposed) throw gone();
    if (this.lines.length === 0) throw this.lost!;
    return this.lines;
  }

  /**
   * Asks a worker. Where it dies, another does the work, once: work that ends
   * two workers is not tried on a third.
   */
  private async ask<T>(line: Line, work: (line: Line) => Promise<T>): Promise<T> {
    try {
      return await work(line);
    } catch (error) {
      // A worker whose module is lost lives, but is of no use. Its work would end another module as well.
      if (!line.dead && (error as M2EmbedError).code === 'instance_lost') line.fail(error as M2EmbedError);
      else if (line.dead === error && !this.disposed && this.lines.length > 0) return work(this.lines[0]!);
      throw error;
    }
  }

  private drop(line: Line): void {
    this.last = this.info;
    this.lost = line.dead;
    this.lines = this.lines.filter((other) => other !== line);
  }
}

/** Cuts texts into runs of neighbours, a few for each worker so that none waits long for another. */
function share(texts: readonly Input[], workers: number, together: boolean): { first: number; texts: Input[] }[] {
  const size = together || workers === 1 ? texts.length : Math.ceil(texts.length / (4 * workers));
  const jobs: { first: number; texts: Input[] }[] = [];
  for (let first = 0; first < texts.length; first += size) jobs.push({ first, texts: texts.slice(first, first + size) });
  return jobs;
}

/** About how long an input is. */
function sizeOf(input: Input): number {
  const { text, ids } = partsOf(input);
  return (text ?? ids)?.length ?? 0;
}

/** An input without what else its spans may carry. */
function sent(input: Input): Input {
  const { spans } = partsOf(input);
  return Array.isArray(spans) ? { ...(input as { text: string }), spans: spans.map((s) => (s ? { start: s.start, end: s.end } : s)) } : input;
}

/** Counts the input that an error blames from the first of the whole call instead of its job. */
function moved(error: unknown, first: number): unknown {
  if (!(error instanceof M2EmbedError) || error.input === undefined || first === 0) return error;
  const input = first + error.input;
  return new M2EmbedError(error.code, error.message.replace(/^input \d+: /, `input ${input}: `), { input });
}
