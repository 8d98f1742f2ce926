/**
 * The same model behind one worker or several: no call ever blocks the page.
 *
 * ```js
 * import { M2EmbedWorker } from 'm2embed/worker';
 * const model = await M2EmbedWorker.load('/models/m2-bert-small/', { workers: 2 });
 * ```
 *
 * Each worker holds the weights once; several share out the texts of a call. A
 * GPU is driven by one worker alone: the others are not started.
 */

import { Line } from './line.js';
import { moduleAddress, prebundled } from './module.js';
import { loadPool, type WorkerLoadOptions } from './pool.js';
import { M2EmbedError, type Embedder, type ModelFiles } from './types.js';

export * from './types.js';
export { cosine } from './embedder.js';
export type { WorkerLoadOptions } from './pool.js';

/** Loads models into workers of the web's kind: pages, Deno, Bun. */
export const M2EmbedWorker = {
  /** Loads a model from a folder or three sources into one worker or several. */
  async load(source: string | URL | ModelFiles, options: WorkerLoadOptions = {}): Promise<Embedder> {
    return loadPool(source, options, spawn, moduleAddress);
  },
} as const;

/** Starts a worker. */
export function spawn(): Line {
  if (typeof Worker === 'undefined') throw new M2EmbedError('bad_argument', 'this runtime has no workers; in Node import "m2embed/worker" by its name');
  const moved = prebundled('worker-host.js');
  if (moved !== undefined) return Line.toWorker(new Worker(moved, { type: 'module', name: 'm2embed' }));
  try {
    // Bundlers look for this very expression.
    return Line.toWorker(new Worker(new URL('./worker-host.js', import.meta.url), { type: 'module', name: 'm2embed' }));
  } catch (cause) {
    return Line.toWorker(imported(cause));
  }
}

/** A worker whose script comes from another origin, as from a CDN: a page may not start it by its address, but one of the page's own may import it. */
function imported(cause: unknown): Worker {
  const [, folder] = /^(https?:.*\/)worker\.js(?:\?.*)?$/.exec(import.meta.url as string | undefined ?? '') ?? [];
  try {
    if (folder === undefined) throw cause;
    const script = new Blob([`import ${JSON.stringify(`${folder}worker-host.js`)};`], { type: 'text/javascript' });
    return new Worker(URL.createObjectURL(script), { type: 'module', name: 'm2embed' });
  } catch {
    throw new M2EmbedError('bad_argument', `the worker did not start: ${(cause as Error).message}; pass createWorker, for which m2embed/worker-host is the script`, { cause });
  }
}
