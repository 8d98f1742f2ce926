/**
 * m2embed in edge runtimes (Cloudflare Workers and their like), which hand
 * WebAssembly over compiled and refuse to compile bytes:
 *
 * ```js
 * import module from 'm2embed/m2embed.wasm';
 * import { M2Embed } from 'm2embed/edge';
 * const model = await M2Embed.load(module, { config, tokenizer, weights });
 * ```
 *
 * With all files at hand as bytes this may stand at global scope, so that it
 * counts as start-up and not as a request's time.
 */

import { load } from './load.js';
import type { Embedder, LoadOptions, ModelFiles } from './types.js';

export * from './types.js';
export { cosine } from './embedder.js';

export const M2Embed = {
  async load(module: WebAssembly.Module, source: string | URL | ModelFiles, options: Omit<LoadOptions, 'module'> = {}): Promise<Embedder> {
    return load(source, module, options, async () => (await import('./gpu.js')).Gpu);
  },
} as const;
