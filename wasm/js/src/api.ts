/** What the entries of this package share: one load, given where a runtime has the module and how it starts workers. */

import type { GpuSource } from './backend.js';
import { compile } from './compile.js';
import { Line } from './line.js';
import { load } from './load.js';
import { loadPool, type Spawn } from './pool.js';
import { M2EmbedError, type Embedder, type Integrity, type LoadOptions, type ModelFiles, type Source } from './types.js';

/** Options of `M2Embed.load`. */
export interface Options extends LoadOptions {
  /** How many workers share out the texts of a call; default none: the model runs in this thread. */
  workers?: number;
  /** Makes a worker from the script `m2embed/worker-host`, where `workers` alone does not find it. */
  createWorker?: () => Worker;
}

/** Loads models. */
export interface Loader {
  /**
   * Loads a model from the address of a folder (`config.json`, `tokenizer.json`,
   * `model.safetensors`), from three sources, or from a model's package.
   */
  load(source: string | URL | ModelFiles, options?: Options): Promise<Embedder>;
}

/** Where an entry has its module, and how it starts a worker. */
export interface Home {
  module(): Source | WebAssembly.Module | Promise<Source | WebAssembly.Module>;
  spawn(): Spawn | Promise<Spawn>;
}

const gpuSource: GpuSource = async () => (await import('./gpu.js')).Gpu;

/** The one load of a runtime. */
export function loader(home: Home): Loader {
  return {
    async load(source, options = {}) {
      const { workers, createWorker, ...rest } = options;
      // Files of a hub bring the sums that they are checked by.
      const sums = (source as { sha256?: Integrity }).sha256;
      if (sums && rest.sha256 === undefined) rest.sha256 = sums;
      if (workers === undefined && createWorker === undefined) {
        const compiled = (async () => compile(rest.module ?? (await home.module()), rest))();
        return load(source, compiled, rest, gpuSource);
      }
      const { fetch, gpu, ...sent } = rest;
      if (fetch !== undefined || gpu !== undefined) throw new M2EmbedError('bad_argument', `${fetch ? 'fetch' : 'gpu'}: cannot be sent to workers; leave out workers or this`);
      const spawn = createWorker ? (): Line => Line.toWorker(createWorker()) : await home.spawn();
      return loadPool(source, { ...sent, ...(workers !== undefined && { workers }) }, spawn, () => home.module());
    },
  };
}
