/** m2embed in Node: the module is read from disk, workers are threads. */

import { loader, type Loader } from './api.js';

export * from './types.js';
export type { Loader, Options } from './api.js';
export { cosine } from './embedder.js';
export * from './quantize.js';

// Kept apart from new URL(…), in which bundlers for servers would see a file of a page.
const here = import.meta.url;

/** Loads models into this thread, or into `workers`. */
export const M2Embed: Loader = loader({
  module: () => new URL('./m2embed.wasm', here),
  spawn: async () => (await import('./worker-node.js')).spawn,
});
