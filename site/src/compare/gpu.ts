/** The GPU worker behind promises. */

import type { GpuCall, GpuReply } from './gpu-worker.js';

export interface GpuRun {
  vector: Float32Array;
  ms: number;
  prepare: number;
  memory: number;
}

/** Why WebGPU cannot be asked for at all, or undefined. */
export function whyNoGpu(): string | undefined {
  if (!isSecureContext) return 'this page was not opened over https, and browsers hide WebGPU then';
  if (!('gpu' in navigator)) return 'this browser has no WebGPU; Chrome and Edge since 113, Safari since 26 and Firefox since 141 have it, depending on the system';
  return undefined;
}

export class Gpu {
  private readonly worker = new Worker(new URL('./gpu-worker.ts', import.meta.url), { type: 'module', name: 'gpu' });
  private constructor() {}

  /** Opens the device and hands it the model. */
  static async open(planner: string, config: Uint8Array, weights: Blob, signal: AbortSignal): Promise<{ gpu: Gpu; adapter: string }> {
    const gpu = new Gpu();
    try {
      const reply = await gpu.call({ call: 'open', planner, config, weights }, signal);
      if (!('opened' in reply)) throw new Error('the GPU worker gave no answer');
      return { gpu, adapter: reply.opened.adapter };
    } catch (error) {
      gpu.close();
      throw error;
    }
  }

  async run(ids: Uint32Array, signal: AbortSignal, onProgress?: (share: number) => void): Promise<GpuRun> {
    const reply = await this.call({ call: 'run', ids }, signal, onProgress);
    if (!('vector' in reply)) throw new Error('the GPU worker gave no vector');
    return reply;
  }

  close(): void {
    this.worker.terminate();
  }

  private call(call: GpuCall, signal: AbortSignal, onProgress?: (share: number) => void): Promise<Exclude<GpuReply, { progress: number } | { failure: unknown }>> {
    const { worker } = this;
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        worker.terminate();
        reject(signal.reason);
      };
      if (signal.aborted) return stop();
      signal.addEventListener('abort', stop, { once: true });
      worker.onmessage = ({ data }: MessageEvent<GpuReply>) => {
        if ('progress' in data) return onProgress?.(data.progress);
        signal.removeEventListener('abort', stop);
        if ('failure' in data) reject(Object.assign(new Error(data.failure.message), data.failure.kind === undefined ? {} : { kind: data.failure.kind }));
        else resolve(data);
      };
      worker.onerror = (event) => {
        event.preventDefault();
        signal.removeEventListener('abort', stop);
        reject(new Error(`The GPU worker stopped: ${event.message}`));
      };
      worker.postMessage(call);
    });
  }
}
