/** Chooses where a model runs, by the option `backend`. */

import { isGpuFailure, type Accelerator, type Placement } from './embedder.js';
import type { Gpu } from './gpu.js';
import { M2EmbedError, type GPUObject, type LoadOptions } from './types.js';

const BACKENDS = ['auto', 'wasm', 'webgpu'];
const PRECISIONS = ['f32', 'f16'];

/** Gets the code that drives a GPU: pages fetch it only where they need it. */
export type GpuSource = () => Promise<typeof Gpu>;

/** Opens what the options ask for, while the files are on their way. */
export async function place(o: LoadOptions, gpu: GpuSource): Promise<Placement> {
  const backend = o.backend ?? 'wasm';
  if (!BACKENDS.includes(backend)) throw new M2EmbedError('bad_argument', `backend ${JSON.stringify(backend)}: want auto, wasm or webgpu`);
  if (!PRECISIONS.includes(o.precision ?? 'f32')) throw new M2EmbedError('bad_argument', `precision ${JSON.stringify(o.precision)}: want f32 or f16`);
  if (backend === 'wasm') return {};
  const mayFallBack = backend === 'auto';
  try {
    return { gpu: await open(o, gpu), mayFallBack };
  } catch (error) {
    if (mayFallBack && isGpuFailure(error)) return { fallback: (error as Error).message };
    throw error;
  }
}

async function open(o: LoadOptions, source: GpuSource): Promise<Accelerator> {
  const gpu = o.gpu ?? (globalThis.navigator as { gpu?: GPUObject } | undefined)?.gpu;
  if (!gpu) throw new M2EmbedError('gpu_unsupported', 'this runtime has no WebGPU');
  let code: typeof Gpu;
  try {
    code = await source();
  } catch (cause) {
    // A service worker, say, must not import anything later.
    throw new M2EmbedError('gpu_unsupported', `the code for the GPU could not be loaded: ${(cause as Error).message}`, { cause });
  }
  return code.open(gpu, o);
}
