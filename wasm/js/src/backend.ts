/**
 * Other back ends than the module's own. One that runs models on the GPU is
 * registered once and then chosen by the option `backend`.
 */

import { M2EmbedError, type Backend, type Embedder, type LoadOptions, type ModelFiles } from './types.js';

/** Loads a model onto a back end; rejects where it cannot run. */
export type BackendLoader = (files: ModelFiles, options: LoadOptions) => Promise<Embedder>;

let gpu: BackendLoader | undefined;

/** Makes `backend: 'webgpu'` and `'auto'` use a loader; undefined takes it away. */
export function registerBackend(_name: 'webgpu', loader: BackendLoader | undefined): void {
  gpu = loader;
}

/**
 * The model on the wanted back end, or undefined for the wasm one. `auto` falls
 * back to wasm where the GPU cannot be used; `info.backend` tells what became
 * of it.
 */
export async function loadElsewhere(backend: Backend, files: ModelFiles, options: LoadOptions): Promise<Embedder | undefined> {
  if (!['auto', 'wasm', 'webgpu'].includes(backend)) throw new M2EmbedError('bad_argument', `backend ${JSON.stringify(backend)}: want auto, wasm or webgpu`);
  if (backend === 'webgpu' && !gpu) throw new M2EmbedError('bad_argument', 'backend webgpu: none is registered (registerBackend)');
  if (backend === 'wasm' || !gpu) return undefined;
  try {
    return await gpu(files, options);
  } catch (error) {
    if (backend === 'webgpu' || options.signal?.aborted) throw error;
    return undefined;
  }
}
