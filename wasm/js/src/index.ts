/**
 * m2embed: long-context text embeddings in any JavaScript runtime.
 *
 * ```js
 * import { M2Embed } from 'm2embed';
 * const model = await M2Embed.load('/models/m2-bert-small/');
 * const vector = await model.embed('Hello, world');
 * ```
 */

import { loader, type Loader } from './api.js';
import { moduleAddress } from './module.js';

export * from './types.js';
export type { Loader, Options } from './api.js';
export { cosine } from './embedder.js';
export * from './quantize.js';

/** Loads models into this thread, or, with `workers`, where they never block a page. */
export const M2Embed: Loader = loader({
  module: moduleAddress,
  spawn: async () => (await import('./worker.js')).spawn,
});
