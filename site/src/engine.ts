/**
 * The model in use. It lives in workers of the package m2embed: one answers
 * what the visitor waits for, others embed documents in the background.
 */

import { M2EmbedWorker, type Embedder, type LoadProgress, type ModelFiles, type WorkerLoadOptions } from 'm2embed/worker';

/** A model that can be loaded. */
export interface ModelChoice {
  id: string;
  name: string;
  /** Bytes of all files, 0 if unknown. */
  bytes: number;
  files(): Promise<string | ModelFiles>;
}

export type State =
  | { phase: 'loading'; progress?: LoadProgress }
  | { phase: 'ready'; model: Embedder; firstVector: number }
  | { phase: 'failed'; error: unknown };

/** A model that lies beside the page. */
const beside = ({ name, folder, bytes }: typeof __MODEL__): ModelChoice => ({
  id: folder.replace(/^models\//, ''),
  name,
  bytes,
  files: async () => new URL(`./${folder}/`, document.baseURI).href,
});

/** The model that comes with the page. */
export const builtIn = beside(__MODEL__);

/** A larger one, which is fetched when it is chosen. */
export const larger = beside(__LARGER__);

/** Weights up to this size are also loaded by background workers. */
const SMALL = 120e6;
const CACHE = 'm2embed';

class Engine extends EventTarget {
  choice: ModelChoice = builtIn;
  state: State = { phase: 'loading' };
  /** How many workers embed documents in the background; one processor is left to the page. */
  readonly workers = Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1));
  private loading: Promise<Embedder> | undefined;
  private abort: AbortController | undefined;
  private helpers: Promise<Embedder> | undefined;

  /** Loads another model; texts already embedded keep their vectors. */
  use(choice: ModelChoice): Promise<Embedder> {
    this.release();
    this.choice = choice;
    const abort = (this.abort = new AbortController());
    this.set({ phase: 'loading' });
    const loading = (async () => {
      const started = performance.now();
      const model = await load(choice, {
        signal: abort.signal,
        onProgress: (progress) => !abort.signal.aborted && this.set({ phase: 'loading', progress: { ...progress } }),
      });
      try {
        await model.embed('ready?', { signal: abort.signal });
      } catch (error) {
        void model.dispose();
        throw error;
      }
      if (abort.signal.aborted) {
        void model.dispose();
        throw abort.signal.reason;
      }
      this.set({ phase: 'ready', model, firstVector: performance.now() - started });
      return model;
    })();
    this.loading = loading;
    loading.catch((error: unknown) => {
      if (!abort.signal.aborted) this.set({ phase: 'failed', error });
    });
    return loading;
  }

  /** The model, once it is ready. */
  model(): Promise<Embedder> {
    return this.loading ?? this.use(this.choice);
  }

  /** The same model in workers of its own, so that long work leaves the page's questions alone. */
  async background(): Promise<Embedder> {
    const model = await this.model();
    if (model.info.weightBytes > SMALL) return model;
    this.helpers ??= load(this.choice, { workers: this.workers });
    const helpers = this.helpers;
    return helpers.catch(() => {
      this.helpers = undefined;
      return model;
    });
  }

  /**
   * The same model on the GPU, in a worker of its own; whoever asks disposes of it.
   * @throws M2EmbedError with a `gpu_` code where the GPU cannot be used
   */
  onGpu(options: Pick<WorkerLoadOptions, 'signal' | 'onProgress'>): Promise<Embedder> {
    return load(this.choice, { ...options, backend: 'webgpu' });
  }

  /** Frees the background workers. */
  rest(): void {
    void this.helpers?.then((helpers) => helpers.dispose(), () => {});
    this.helpers = undefined;
  }

  /** Starts the model again when an error means that its instance is gone. */
  recover(error: unknown): void {
    const code = (error as { code?: string }).code;
    if (code === 'instance_lost') void this.use(this.choice).catch(() => {});
  }

  private release(): void {
    this.abort?.abort(new DOMException('another model was chosen', 'AbortError'));
    this.rest();
    if (this.state.phase === 'ready') void this.state.model.dispose();
  }

  private set(state: State): void {
    this.state = state;
    this.dispatchEvent(new Event('change'));
  }
}

/** Loads a model into workers; the page keeps the weights of the built-in one. */
async function load(choice: ModelChoice, options: WorkerLoadOptions): Promise<Embedder> {
  return M2EmbedWorker.load(await choice.files(), { cache: choice === builtIn ? CACHE : false, ...options });
}

export const engine = new Engine();

/** Removes weights of earlier versions of the page from the cache. */
export async function forgetOldWeights(): Promise<void> {
  if (typeof caches === 'undefined') return;
  const cache = await caches.open(CACHE);
  for (const request of await cache.keys()) if (!request.url.includes(`/${__MODEL__.folder}/`)) await cache.delete(request);
}
