/** m2embed in Bun, whose bundler puts the module into the program, `--compile` too. */

import { loader, type Loader } from './api.js';
import address from './m2embed.wasm' with { type: 'file' };

export * from './types.js';
export type { Loader, Options } from './api.js';
export { cosine } from './embedder.js';
export * from './quantize.js';

const path = address as string;
// Inside of a compiled program only Bun itself reads files.
const inside = /\$bunfs|~BUN/.test(path);

/** Loads models into this thread, or into `workers`. */
export const M2Embed: Loader = loader({
  module: () => (inside ? (globalThis as unknown as { Bun: { file(path: string): Blob } }).Bun.file(path) : path),
  spawn: async () => (await import('./worker.js')).spawn,
});
