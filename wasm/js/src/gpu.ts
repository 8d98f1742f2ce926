/**
 * The GPU half of the webgpu back end: runs the passes that the module hands
 * out, by plans that the module makes. Only fetched where a GPU is asked for.
 */

import type { Instance, Pass } from './abi.js';
import type { Accelerator } from './embedder.js';
import { M2EmbedError, type ErrorCode, type GPUObject, type LoadOptions } from './types.js';
import { Executor, GPUError, type GPUFailure, type LoadedPlan, type Plan } from './webgpu/executor.js';
import { kernels } from './webgpu/kernels.js';

/** Positions of one pass: enough to fill a GPU, few enough for its memory. */
const POSITIONS = 8192;

/** Plans that are kept, and how much their buffers may take together. */
const PLANS = 32;
const PLAN_BYTES = 256 << 20;

const CODES: Record<GPUFailure, ErrorCode> = {
  unsupported: 'gpu_unsupported',
  'device-lost': 'gpu_lost',
  'out-of-memory': 'gpu_out_of_memory',
  invalid: 'gpu_failed',
};

export class Gpu implements Accelerator {
  /** Plans by shape, the one used last at the end. */
  private readonly plans = new Map<string, LoadedPlan>();

  /** Holds on to the GPU object: Dawn in Node crashes once it is collected. */
  private constructor(
    readonly object: GPUObject,
    private readonly executor: Executor,
    private readonly half: boolean,
  ) {}

  /** Opens a device of its own. Backend `auto` wants real hardware. */
  static async open(object: GPUObject, o: LoadOptions): Promise<Gpu> {
    const half = o.precision === 'f16';
    try {
      const executor = await Executor.open(object as GPU, { source: (name) => kernels[name], hardware: o.backend === 'auto' });
      return new Gpu(object, executor, half);
    } catch (error) {
      throw typed(error);
    }
  }

  get adapter(): string {
    return this.executor.adapterName;
  }

  get memory(): number {
    let bytes = this.executor.residentBytes;
    for (const plan of this.plans.values()) bytes += plan.bytes;
    return bytes;
  }

  async embed(instance: Instance, run: number, dimension: number, signal: AbortSignal, onProgress: (done: number) => void, onUpload?: (bytes: number) => void): Promise<void> {
    let most = POSITIONS;
    for (;;) {
      const pass = instance.pass(run, most);
      if (!pass) return;
      const before = instance.progress(run);
      const share = (pass.texts * pass.length) / Math.max(1, pass.total);
      try {
        const plan = await this.plan(instance, run, pass, signal, onUpload);
        const values = await this.executor.run(plan, pass.ids, pass.mask, { signal, onProgress: (fraction) => onProgress(before + share * fraction) });
        instance.vectors(run, values, pass, dimension);
        most = POSITIONS;
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        // Less at once may fit.
        if (!isFull(error) || (pass.texts === 1 && this.plans.size === 0)) throw typed(error);
        if (this.plans.size > 0) this.forget(0, 0);
        else most = (pass.texts >> 1) * pass.length;
      }
      onProgress(instance.progress(run));
    }
  }

  close(): void {
    this.executor.destroy();
    this.plans.clear();
  }

  /** The plan of a pass's shape, kept or made. */
  private async plan(instance: Instance, run: number, pass: Pass, signal: AbortSignal, onUpload?: (bytes: number) => void): Promise<LoadedPlan> {
    const key = [pass.texts, pass.length, pass.pooling, pass.normalize, pass.states].join();
    let loaded = this.plans.get(key);
    if (loaded) {
      this.plans.delete(key);
    } else {
      this.forget(PLANS - 1, PLAN_BYTES);
      const { handle, plan } = instance.plan(run, this.executor.limits, this.half);
      if (this.executor.exceedsShared(plan as Plan)) {
        this.forget(0, 0); // the spectra's budget is the device's: other lengths give up theirs
        this.executor.dropShared(plan as Plan);
      }
      const pack = (buffer: number): Uint8Array => {
        const bytes = instance.weight(handle, buffer);
        onUpload?.(bytes.length);
        return bytes;
      };
      try {
        loaded = await this.executor.load(plan as Plan, pack, signal);
      } finally {
        if (!instance.isLost) instance.freePlan(handle);
      }
    }
    this.plans.set(key, loaded);
    return loaded;
  }

  /** Frees plans, those not used for longest first, until so many and so many bytes are left. */
  private forget(count: number, bytes: number): void {
    let held = 0;
    for (const plan of this.plans.values()) held += plan.bytes;
    for (const [key, plan] of this.plans) {
      if (this.plans.size <= count && held <= bytes) return;
      held -= plan.bytes;
      this.plans.delete(key);
      this.executor.unload(plan);
    }
  }
}

/** Whether an error says that there is no room for so much at once. */
function isFull(error: unknown): boolean {
  return (error instanceof GPUError && error.kind === 'out-of-memory') || (error instanceof M2EmbedError && error.code === 'gpu_out_of_memory');
}

/** A failure of the GPU with the code that callers see. */
function typed(error: unknown): unknown {
  if (error instanceof M2EmbedError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new M2EmbedError(error instanceof GPUError ? CODES[error.kind] : 'gpu_failed', message, { cause: error });
}
