/** The GPU side of the comparison: the model in use once more, on the GPU. */

import type { Embedder, LoadProgress } from 'm2embed/worker';
import { engine } from '../engine.js';

export interface Gpu {
  model: Embedder;
  /** Milliseconds that the weights took to the GPU, until the first length has them in its account. */
  upload: number;
}

/** Why WebGPU cannot be asked for at all, or undefined. */
export function whyNoGpu(): string | undefined {
  if (!isSecureContext) return 'this page was not opened over https, and browsers hide WebGPU then';
  if (!('gpu' in navigator)) return 'this browser has no WebGPU; Chrome and Edge since 113, Safari since 26 and Firefox since 141 have it, depending on the system';
  return undefined;
}

/** Opens the GPU and hands it the model. */
export async function openGpu(signal: AbortSignal, onUpload: (bytes: number) => void): Promise<Gpu> {
  let arrived = performance.now();
  const onProgress = ({ stage, loaded }: LoadProgress): void => {
    if (stage === 'weights') arrived = performance.now();
    if (stage === 'gpu') onUpload(loaded);
  };
  const model = await engine.onGpu({ signal, onProgress });
  return { model, upload: performance.now() - arrived };
}

/** Why the GPU could not be opened. */
export function whyNotOpened(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string };
  if (code === 'gpu_unsupported' && /no adapter/.test(message ?? '')) return 'the browser has WebGPU but offers no graphics adapter; the driver may be blocked, or the GPU switched off in the settings';
  return message ?? String(error);
}
