/**
 * The same model behind one worker or several: no call ever blocks the page.
 *
 * ```js
 * import { M2EmbedWorker } from 'm2embed/worker';
 * const model = await M2EmbedWorker.load('/models/m2-bert-small/', { workers: 2 });
 * ```
 *
 * Each worker holds the weights once; several share out the texts of a call. A
 * GPU is driven by one worker alone: the others are not started.
 */

import { similarity } from './embedder.js';
import { filesOf } from './load.js';
import type { Call, Embedded, Reply, Standing } from './protocol.js';
import { hasFileSystem, resolveAddress } from './source.js';
import { M2EmbedError, type EmbedOptions, type EmbedProgress, type Embedder, type Embedding, type Input, type LoadOptions, type LoadProgress, type ModelFiles, type ModelInfo, type Source, type Tokenization } from './types.js';

export * from './types.js';
export { cosine } from './embedder.js';

/** Without what cannot be sent to a worker. `navigator.gpu` is there in a page's workers; Node's have none. */
export interface WorkerLoadOptions extends Omit<LoadOptions, 'fetch' | 'gpu'> {
  /** How many workers share out the texts of a call (default 1). */
  workers?: number;
  /** Makes a worker from the address of its script; for bundlers that want to see the call. */
  createWorker?: () => Worker;
}

export const M2EmbedWorker = {
  async load(source: string | URL | ModelFiles, options: WorkerLoadOptions = {}): Promise<Embedder> {
    const { workers = 1, createWorker, onProgress, signal, ...rest } = options;
    if (!Number.isInteger(workers) || workers < 1) throw new M2EmbedError('bad_argument', `workers ${workers}: want 1 or more`);
    signal?.throwIfAborted();
    const files = filesOf(source);
    const sent: ModelFiles = { config: await sendable(files.config), tokenizer: await sendable(files.tokenizer), weights: await sendable(files.weights) };
    const module = rest.module === undefined || rest.module instanceof WebAssembly.Module ? rest.module : await sendable(rest.module);
    const first = await Line.open(createWorker);
    const lines = [first];
    try {
      const start = (line: Line, told?: (p: LoadProgress) => void): Promise<Standing> =>
        line.call<Standing>({ call: 'load', source: sent, options: { ...rest, ...(module !== undefined && { module }) } }, signal, told as never);
      const others = async (): Promise<Standing[]> => {
        const more = await Promise.all(Array.from({ length: workers - 1 }, () => Line.open(createWorker)));
        lines.push(...more);
        return Promise.all(more.map((line) => start(line)));
      };
      // Only where the first has no GPU is there work for the others.
      const wasm = (rest.backend ?? 'wasm') === 'wasm';
      const [mine, early] = await Promise.all([start(first, onProgress), wasm ? others() : []]);
      const late = !wasm && mine.info.backend === 'wasm' ? await others() : [];
      return new WorkerEmbedder(lines, [mine, ...early, ...late]);
    } catch (error) {
      lines.forEach((line) => line.end());
      throw error;
    }
  },
} as const;

/** A source in a form that can be sent to a worker. */
async function sendable(source: Source): Promise<Source> {
  if (typeof source === 'string') return resolveAddress(source);
  if (source instanceof URL) return source.href;
  if (typeof Request !== 'undefined' && source instanceof Request) return source.url;
  if (typeof Response !== 'undefined' && source instanceof Response) return source.blob();
  if (typeof ReadableStream !== 'undefined' && source instanceof ReadableStream) return new Response(source).blob();
  return source;
}

class WorkerEmbedder implements Embedder {
  private readonly standings: Standing[];
  private disposed = false;
  private readonly lines: Line[];

  constructor(lines: Line[], loaded: Standing[]) {
    this.lines = lines;
    this.standings = loaded;
    lines.forEach((line, i) => (line.onStanding = (standing) => (this.standings[i] = standing)));
  }

  get info(): ModelInfo {
    return this.standings[0]!.info;
  }

  get memory(): number {
    return this.standings.reduce((sum, { memory }) => sum + memory, 0);
  }

  get gpuMemory(): number {
    return this.standings.reduce((sum, { gpuMemory }) => sum + gpuMemory, 0);
  }

  embed(text: string | Int32Array, options?: EmbedOptions): Promise<Float32Array>;
  embed(texts: readonly Input[], options?: EmbedOptions): Promise<Float32Array[]>;
  async embed(input: string | Int32Array | readonly Input[], options?: EmbedOptions): Promise<Float32Array | Float32Array[]> {
    const single = typeof input === 'string' || input instanceof Int32Array;
    const found = await this.embedDetailed(single ? [input] : input, options);
    return single ? found[0]!.vector : found.map((e) => e.vector);
  }

  async embedDetailed(texts: readonly Input[], options: EmbedOptions = {}): Promise<Embedding[]> {
    this.check();
    if (!Array.isArray(texts)) throw new M2EmbedError('bad_argument', `want a text or a list of texts, not ${typeof texts}`);
    const { signal, onProgress, ...rest } = options;
    signal?.throwIfAborted();
    const jobs = share(texts, this.lines.length, (rest.padding ?? this.info.padding) === 'longest');
    const weights = jobs.map((job) => job.texts.reduce((n, text) => n + text.length + 16, 0));
    const all = weights.reduce((n, w) => n + w, 0);
    const shares = jobs.map(() => 0);
    const found: Embedding[] = new Array<Embedding>(texts.length);
    // One failing job ends the others.
    const stop = new AbortController();
    const follow = (): void => stop.abort(signal!.reason);
    signal?.addEventListener('abort', follow, { once: true });
    let next = 0;
    const drain = async (line: Line, i: number): Promise<void> => {
      for (let j = next++; j < jobs.length; j = next++) {
        const job = jobs[j]!;
        const told = onProgress && ((p: EmbedProgress): void => {
          shares[j] = weights[j]! * (p.total > 0 ? p.done / p.total : 0);
          onProgress({ done: shares.reduce((n, s) => n + s, 0) / all, total: 1 });
        });
        const reply = await line.call<Embedded>({ call: 'embed', texts: job.texts, options: rest, progress: told !== undefined }, stop.signal, told as never);
        reply.embeddings.forEach((e, k) => (found[job.first + k] = e));
        const { info, memory, gpuMemory } = reply;
        this.standings[i] = { info, memory, gpuMemory };
      }
    };
    try {
      await Promise.all(this.lines.map(drain));
    } catch (error) {
      stop.abort(error);
      throw error;
    } finally {
      signal?.removeEventListener('abort', follow);
    }
    return found;
  }

  async tokenize(text: string): Promise<Tokenization> {
    this.check();
    if (typeof text !== 'string') throw new M2EmbedError('bad_argument', `tokenize: want a text, not ${typeof text}`);
    return this.lines[0]!.call<Tokenization>({ call: 'tokenize', text });
  }

  similarity(a: string | Float32Array, b: string | Float32Array, options?: EmbedOptions): Promise<number> {
    return similarity(this, a, b, options);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    this.lines.forEach((line) => line.end());
  }

  private check(): void {
    if (this.disposed) throw new M2EmbedError('bad_handle', 'the model was disposed');
  }
}

/** Cuts texts into runs of neighbours, a few for each worker so that none waits long for another. */
function share(texts: readonly Input[], workers: number, together: boolean): { first: number; texts: Input[] }[] {
  const size = together || workers === 1 ? texts.length : Math.ceil(texts.length / (4 * workers));
  const jobs: { first: number; texts: Input[] }[] = [];
  for (let first = 0; first < texts.length; first += size) jobs.push({ first, texts: texts.slice(first, first + size) });
  return jobs;
}

type Outgoing = Call extends infer C ? (C extends { id: number } ? Omit<C, 'id'> : never) : never;

interface Waiting {
  resolve(result: never): void;
  reject(error: unknown): void;
  progress: ((p: LoadProgress | EmbedProgress) => void) | undefined;
}

/** The line to one worker. */
class Line {
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private readonly post: (call: Call) => void;
  readonly end: () => void;
  private dead: M2EmbedError | undefined;
  /** Hears how the worker's model stands after a call that failed. */
  onStanding: ((standing: Standing) => void) | undefined;
  private ready!: () => void;
  private readonly started = new Promise<void>((resolve) => (this.ready = resolve));

  private constructor(connect: (receive: (reply: Reply) => void, fail: (why: string) => void) => { post(call: Call): void; end(): void }) {
    const { post, end } = connect(
      (reply) => this.receive(reply),
      (why) => this.fail(new M2EmbedError('instance_lost', `the worker stopped: ${why}`)),
    );
    this.post = post;
    this.end = () => {
      this.fail(new M2EmbedError('bad_handle', 'the model was disposed'));
      end();
    };
  }

  static async open(createWorker: (() => Worker) | undefined): Promise<Line> {
    if (createWorker || typeof Worker !== 'undefined') {
      const worker = createWorker ? createWorker() : new Worker(new URL('./worker-host.js', import.meta.url), { type: 'module', name: 'm2embed' });
      return new Line((receive, fail) => {
        worker.onmessage = (event: MessageEvent<Reply>) => receive(event.data);
        worker.onerror = (event) => {
          event.preventDefault();
          fail(event.message);
        };
        worker.onmessageerror = () => fail('a message could not be read');
        return { post: (call) => worker.postMessage(call), end: () => worker.terminate() };
      });
    }
    if (!hasFileSystem) throw new M2EmbedError('bad_argument', 'this runtime has no workers');
    const name = 'node:worker_threads';
    const threads = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as typeof import('node:worker_threads');
    const worker = new threads.Worker(new URL('./worker-host.js', import.meta.url));
    return new Line((receive, fail) => {
      worker.on('message', receive);
      worker.on('error', (error) => fail(error.message));
      worker.on('exit', (status) => fail(`exit status ${status}`));
      return { post: (call) => worker.postMessage(call), end: () => void worker.terminate() };
    });
  }

  async call<T>(message: Outgoing, signal?: AbortSignal, progress?: (p: LoadProgress | EmbedProgress) => void): Promise<T> {
    if (this.dead) throw this.dead;
    signal?.throwIfAborted();
    const id = ++this.lastId;
    let abort: (() => void) | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        this.waiting.set(id, { resolve: resolve as (result: never) => void, reject, progress });
        abort = () => {
          reject(signal!.reason);
          this.send({ id, call: 'abort' });
        };
        signal?.addEventListener('abort', abort, { once: true });
        void this.started.then(() => {
          try {
            if (this.waiting.has(id)) this.send({ ...message, id } as Call);
          } catch (error) {
            reject(new M2EmbedError('bad_argument', `cannot be sent to a worker: ${(error as Error).message}`, { cause: error }));
          }
        });
      });
    } finally {
      this.waiting.delete(id);
      if (abort) signal?.removeEventListener('abort', abort);
    }
  }

  private send(call: Call): void {
    if (!this.dead) this.post(call);
  }

  private receive(reply: Reply): void {
    if (reply.id === 0) return this.ready();
    if ('failure' in reply && reply.standing) this.onStanding?.(reply.standing);
    const waiting = this.waiting.get(reply.id);
    if (!waiting) return; // aborted meanwhile
    if ('progress' in reply) waiting.progress?.(reply.progress);
    else if ('result' in reply) waiting.resolve(reply.result as never);
    else {
      const { code, name, message } = reply.failure;
      waiting.reject(code ? new M2EmbedError(code, message) : new DOMException(message, name));
    }
  }

  private fail(error: M2EmbedError): void {
    this.dead ??= error;
    this.ready();
    for (const { reject } of this.waiting.values()) reject(this.dead);
    this.waiting.clear();
  }
}
