/** A loaded model behind the Embedder interface: one model in one instance, and on a GPU where there is one. */

import type { Instance } from './abi.js';
import { M2EmbedError, type EmbedOptions, type Embedder, type Embedding, type Input, type ModelInfo, type Padding, type Passage, type PassageOptions, type Tokenization } from './types.js';

/** How long to compute before others get a turn, in ms. */
const TURN = 12;

/** How long the files that were fetched wait for the first vector, before they are written to the cache, in ms. */
const FIRST = 1000;

/** What runs the passes of a run in the module's place. */
export interface Accelerator {
  /** Its name, for people. */
  readonly adapter: string;
  /** Bytes that it holds for the model. */
  readonly memory: number;
  /** Runs all passes that are left; d is the size of a vector, and onProgress hears the share of the run. */
  embed(instance: Instance, run: number, d: number, signal: AbortSignal, onProgress: (done: number) => void, onUpload?: (bytes: number) => void): Promise<void>;
  close(): void;
}

/** Where a model runs. */
export interface Placement {
  gpu?: Accelerator;
  /** Go on in the module when the GPU fails. */
  mayFallBack?: boolean;
  /** Why the GPU that was asked for is not used. */
  fallback?: string;
}

export class ModelEmbedder implements Embedder {
  info: ModelInfo;
  /** Undefined once the model is disposed, so that its memory can go. */
  private instance: Instance | undefined;
  private readonly model: number;
  private gpu: Accelerator | undefined;
  private readonly mayFallBack: boolean;
  private disposed = false;
  /** Ends the GPU's work on the run that it has. */
  private endRun: ((reason: unknown) => void) | undefined;
  /** Runs go one after the other: a second one at a time would only need more memory. */
  private queue: Promise<unknown> = Promise.resolve();

  private keeping: Promise<unknown> | undefined;
  private keepLater: ReturnType<typeof setTimeout> | undefined;

  /** `keep` puts the files that were fetched into the cache. */
  constructor(instance: Instance, model: number, private readonly keep: (() => Promise<unknown>) | undefined, { gpu, mayFallBack = false, fallback }: Placement = {}) {
    this.instance = instance;
    this.model = model;
    this.gpu = gpu;
    this.mayFallBack = mayFallBack;
    if (keep) this.keepLater = setTimeout(() => void this.kept(), FIRST);
    const raw = instance.info(model);
    this.info = {
      ...raw,
      padding: readPadding(raw.padding),
      backend: gpu ? 'webgpu' : 'wasm',
      ...(gpu && { adapter: gpu.adapter }),
      ...(fallback !== undefined && { fallback }),
    };
  }

  get memory(): number {
    return this.instance?.memory ?? 0;
  }

  get gpuMemory(): number {
    return this.gpu?.memory ?? 0;
  }

  /** Settles once the files are in the cache. */
  kept(): Promise<unknown> {
    clearTimeout(this.keepLater);
    return (this.keeping ??= Promise.resolve(this.keep?.()).catch(() => {}));
  }

  /** Uploads the weights and makes a first vector, so that what the GPU cannot do shows now. */
  async warm(signal: AbortSignal | undefined, onUpload: (bytes: number) => void): Promise<void> {
    await this.run(this.use(), [''], { ...(signal && { signal }) }, onUpload);
  }

  embed(text: string | Int32Array, options?: EmbedOptions): Promise<Float32Array>;
  embed(texts: readonly Input[], options?: EmbedOptions): Promise<Float32Array[]>;
  embed(input: string | Int32Array | readonly Input[], options?: EmbedOptions): Promise<Float32Array | Float32Array[]>;
  async embed(input: string | Int32Array | readonly Input[], options?: EmbedOptions): Promise<Float32Array | Float32Array[]> {
    return embed(this, input, options);
  }

  async embedDetailed(texts: readonly Input[], options: EmbedOptions = {}): Promise<Embedding[]> {
    this.use();
    checkTexts(texts);
    options.signal?.throwIfAborted();
    if (texts.length === 0) return [];
    const before = this.queue;
    const work = before.then(() => {
      options.signal?.throwIfAborted();
      return this.run(this.use(), texts, options);
    });
    this.queue = work.catch(() => {});
    // Who waits for others, and aborts, need not wait for them.
    return unless(options.signal, work);
  }

  async tokenize(text: string, { signal }: { signal?: AbortSignal } = {}): Promise<Tokenization> {
    checkText('tokenize', text);
    return this.read((instance) => instance.tokenize(this.model, text), (instance, run) => instance.finishTokens(run, text), signal);
  }

  async passages(text: string, options: PassageOptions = {}): Promise<Passage[]> {
    checkText('passages', text);
    return this.read((instance) => instance.passages(this.model, text, options), (instance, run) => instance.finishPassages(run, text), options.signal);
  }

  async decode(ids: Int32Array | readonly number[], { specialTokens = false }: { specialTokens?: boolean } = {}): Promise<string> {
    return this.use().decode(this.model, ids, specialTokens);
  }

  similarity(a: string | Float32Array, b: string | Float32Array, options?: EmbedOptions): Promise<number> {
    return similarity(this, a, b, options);
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.endRun?.(gone());
    await this.queue.catch(() => {});
    await this.kept();
    this.gpu?.close();
    this.gpu = undefined;
    this.instance = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  private use(): Instance {
    if (this.disposed || !this.instance) throw gone();
    return this.instance;
  }

  private async run(instance: Instance, texts: readonly Input[], options: EmbedOptions, onUpload?: (bytes: number) => void): Promise<Embedding[]> {
    const { signal, onProgress } = options;
    const run = instance.start(this.model, texts, options);
    const report = (done: number): void => onProgress?.({ done, total: 1 });
    try {
      await this.prepare(instance, run, signal);
      if (this.gpu) await this.runOnGpu(this.gpu, instance, run, signal, report, onUpload);
      let turn = now();
      for (let done = false; !done; ) {
        done = instance.step(run);
        report(instance.progress(run));
        signal?.throwIfAborted(); // by who heard the report
        if (!done) turn = await this.pause(turn, signal);
      }
      return instance.finish(run);
    } finally {
      if (!instance.isLost) instance.freeRun(run);
      void this.kept();
    }
  }

  /** What a run over a text ends with. */
  private async read<T>(start: (instance: Instance) => number, finish: (instance: Instance, run: number) => Generator<void, T>, signal: AbortSignal | undefined): Promise<T> {
    const instance = this.use();
    signal?.throwIfAborted();
    const run = start(instance);
    try {
      let turn = await this.prepare(instance, run, signal);
      const parts = finish(instance, run);
      let part = parts.next();
      for (; !part.done; part = parts.next()) turn = await this.pause(turn, signal);
      return part.value;
    } finally {
      if (!instance.isLost) instance.freeRun(run);
    }
  }

  /** Tokenizes the texts of a run, and returns when the turn began. */
  private async prepare(instance: Instance, run: number, signal: AbortSignal | undefined): Promise<number> {
    let turn = now();
    while (!instance.prepare(run)) turn = await this.pause(turn, signal);
    return turn;
  }

  /** Gives others a turn once it is time, and returns when this turn began. */
  private async pause(turn: number, signal: AbortSignal | undefined): Promise<number> {
    if (now() - turn < TURN) return turn;
    await yieldTurn();
    signal?.throwIfAborted();
    this.use();
    return now();
  }

  /** Runs what is left on the GPU. Where that fails and may, the steps of the module take over. */
  private async runOnGpu(gpu: Accelerator, instance: Instance, run: number, signal: AbortSignal | undefined, report: (done: number) => void, onUpload?: (bytes: number) => void): Promise<void> {
    const stop = new AbortController();
    const follow = (): void => stop.abort(signal?.reason);
    signal?.addEventListener('abort', follow, { once: true });
    this.endRun = (reason) => stop.abort(reason);
    try {
      await gpu.embed(instance, run, this.info.hiddenSize, stop.signal, report, onUpload);
    } catch (error) {
      if (stop.signal.aborted || instance.isLost || !this.mayFallBack || !isGpuFailure(error)) throw error;
      const { adapter: _, ...info } = this.info;
      this.info = { ...info, backend: 'wasm', fallback: (error as Error).message };
      this.gpu = undefined;
      gpu.close();
    } finally {
      this.endRun = undefined;
      signal?.removeEventListener('abort', follow);
    }
  }
}

export function gone(): M2EmbedError {
  return new M2EmbedError('bad_handle', 'the model was disposed');
}

/** Whether an error is the GPU's, so that the module could do the same work. */
export function isGpuFailure(error: unknown): boolean {
  return error instanceof M2EmbedError && error.code.startsWith('gpu_');
}

/** The call shape of embed: a vector of a text, or vectors of texts. */
export async function embed(model: Pick<Embedder, 'embedDetailed'>, input: string | Int32Array | readonly Input[], options?: EmbedOptions): Promise<Float32Array | Float32Array[]> {
  const single = typeof input === 'string' || input instanceof Int32Array;
  const found = await model.embedDetailed(single ? [input] : input, options);
  return single ? found[0]!.vector : found.map((e) => e.vector);
}

export function checkTexts(texts: unknown): void {
  if (!Array.isArray(texts)) throw new M2EmbedError('bad_argument', `want a text or a list of texts, not ${typeof texts}`);
}

export function checkText(call: string, text: unknown): void {
  if (typeof text !== 'string') throw new M2EmbedError('bad_argument', `${call}: want a text, not ${typeof text}`);
}

/** The result of work, unless the signal aborts before it is there. */
async function unless<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (!signal) return work;
  let abort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort!);
  }
}

/** Cosine similarity of two texts or vectors. */
export async function similarity(model: Embedder, a: string | Float32Array, b: string | Float32Array, options?: EmbedOptions): Promise<number> {
  const texts = [a, b].filter((x): x is string => typeof x === 'string');
  const vectors = await model.embed(texts, options);
  const [u, v] = [a, b].map((x) => (typeof x === 'string' ? vectors.shift()! : x)) as [Float32Array, Float32Array];
  return cosine(u, v);
}

/** Cosine of two vectors, summed in float64. */
export function cosine(u: Float32Array, v: Float32Array): number {
  if (u.length !== v.length) throw new M2EmbedError('bad_argument', `vectors of ${u.length} and ${v.length} values`);
  let product = 0;
  let uu = 0;
  let vv = 0;
  for (let i = 0; i < u.length; i++) {
    product += u[i]! * v[i]!;
    uu += u[i]! * u[i]!;
    vv += v[i]! * v[i]!;
  }
  return product / Math.max(Math.sqrt(uu * vv), 1e-24);
}

function readPadding(text: string): Padding {
  return /^\d+$/.test(text) ? Number(text) : (text as Padding);
}

function now(): number {
  // In workerd the clock stands still, so there a run never yields: nothing
  // else could use the turn.
  return performance.now();
}

const channel = typeof MessageChannel === 'undefined' ? undefined : MessageChannel;

/** Lets events, paints and other tasks happen; unlike a timer, without a minimum wait. */
function yieldTurn(): Promise<void> {
  const scheduler = (globalThis as { scheduler?: { yield?: () => Promise<void> } }).scheduler;
  if (scheduler?.yield) return scheduler.yield();
  const immediate = (globalThis as { setImmediate?: (f: () => void) => void }).setImmediate;
  return new Promise((resolve) => {
    if (immediate) return immediate(resolve);
    if (!channel) return void setTimeout(resolve);
    const { port1, port2 } = new channel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
