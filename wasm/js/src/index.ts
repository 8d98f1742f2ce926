/**
 * m2embed: long-context text embeddings in any JavaScript runtime.
 *
 * ```js
 * import { M2Embed } from 'm2embed';
 * const model = await M2Embed.load('/models/m2-bert-small/');
 * const vector = await model.embed('Hello, world');
 * ```
 */

import type { GpuSource } from './backend.js';
import { compile } from './compile.js';
import { load } from './load.js';
import { moduleAddress } from './module.js';
import type { Embedder, LoadOptions, ModelFiles } from './types.js';

export * from './types.js';
export { cosine } from './embedder.js';
export { pipeline } from './pipeline.js';

const gpu: GpuSource = async () => (await import('./gpu.js')).Gpu;

/** Loads models into this thread; see `m2embed/worker` for one that never blocks a page. */
export const M2Embed = {
  /**
   * Loads a model from a folder (`config.json`, `tokenizer.json`,
   * `model.safetensors`) or from three sources.
   */
  async load(source: string | URL | ModelFiles, options: LoadOptions = {}): Promise<Embedder> {
    const module = compile(options.module ?? moduleAddress(), options);
    return load(source, module, options, gpu);
  },
} as const;
