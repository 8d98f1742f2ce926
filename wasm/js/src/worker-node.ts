/** m2embed/worker in Node: the same over worker threads. */

import { Worker } from 'node:worker_threads';
import { Line } from './line.js';
import { loadPool, type WorkerLoadOptions } from './pool.js';
import type { Embedder, ModelFiles } from './types.js';

export * from './types.js';
export { cosine } from './embedder.js';
export type { WorkerLoadOptions } from './pool.js';

// Kept apart from new URL(…), in which bundlers for servers would see a file of a page.
const here = import.meta.url;

/** Loads models into worker threads. */
export const M2EmbedWorker = {
  /** Loads a model from a folder or three sources into one worker or several. */
  async load(source: string | URL | ModelFiles, options: WorkerLoadOptions = {}): Promise<Embedder> {
    return loadPool(source, options, spawn, () => new URL('./m2embed.wasm', here));
  },
} as const;

/** Starts a worker. */
export function spawn(): Line {
  return Line.toThread(new Worker(new URL('./worker-host-node.js', here)));
}
