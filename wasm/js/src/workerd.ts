/** m2embed in Cloudflare Workers, where the module is imported compiled. */

import { loader, type Loader } from './api.js';
import module from './m2embed.wasm';
import { M2EmbedError } from './types.js';

export * from './types.js';
export type { Loader, Options } from './api.js';
export { cosine } from './embedder.js';
export * from './quantize.js';

/** Loads models; there are no workers in a Worker. */
export const M2Embed: Loader = loader({
  module: () => module as WebAssembly.Module,
  spawn: () => {
    throw new M2EmbedError('bad_argument', 'workers: this runtime starts none');
  },
});
