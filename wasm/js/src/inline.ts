/**
 * m2embed with the module in the script, for bundlers that emit no files and for
 * pages that read none. The text comes from the package m2embed-inline, which
 * has to be installed beside this one.
 */

import { text } from 'm2embed-inline';
import { loader, type Loader } from './api.js';
import { M2EmbedError } from './types.js';

export * from './types.js';
export type { Loader, Options } from './api.js';
export { cosine } from './embedder.js';
export * from './quantize.js';

let bytes: Promise<Uint8Array> | undefined;

/** The bytes of the module, unpacked once: base64 of gzip. */
async function unpack(): Promise<Uint8Array> {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Uint8Array(await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer());
}

/** Loads models with the module that this script carries. */
export const M2Embed: Loader = loader({
  module: () => (bytes ??= unpack()),
  spawn: () => {
    throw new M2EmbedError('bad_argument', 'workers: this entry carries no script for them; pass createWorker, for which m2embed/worker-host is the script');
  },
});
