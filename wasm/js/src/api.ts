/** What the entries of this package share: one load, given where a runtime has the module and how it starts workers. */

import type { GpuSource } from './backend.js';
import { compile } from './compile.js';
import { Line } from './line.js';
import { load } from './load.js';
import { loadPool, type Spawn } from './pool.js';
import type { HubFiles, HubOptions } from './hub.js';
import { hasFileSystem } from './source.js';
import { M2EmbedError, type Embedder, type LoadOptions, type ModelFiles, type Source } from './types.js';

/** Options of `M2Embed.load`. */
export interface Options extends LoadOptions, Pick<HubOptions, 'revision' | 'hub' | 'token' | 'onWarning'> {
  /** How many workers share out the texts of a call; default none: the model runs in this thread. */
  workers?: number;
  /** Makes a worker from the script `m2embed/worker-host`, where `workers` alone does not find it. */
  createWorker?: () => Worker;
}

/** Loads models. */
export interface Loader {
  /**
   * Loads a model from the address of a folder (`config.json`, `tokenizer.json`,
   * `model.safetensors`), from three sources, from a model's package, or from a
   * repository `owner/model` of a hub, unless the file system has a folder of that
   * name.
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
      const { workers, createWorker, revision, hub, token, onWarning, ...rest } = options;
      const fromHub = { ...(revision !== undefined && { revision }), ...(hub !== undefined && { hub }), ...(token !== undefined && { token }) };
      if (await isRepository(source, Object.keys(fromHub))) source = await fetchFiles(source as string, { onWarning: (message) => console.warn(message), ...fromHub, ...(onWarning && { onWarning }) }, rest);
      // Files of a hub bring the sums that they are checked by, and where they are kept.
      const { sha256, cache } = (source ?? {}) as Partial<HubFiles>;
      if (sha256 && rest.sha256 === undefined) rest.sha256 = sha256;
      if (cache !== undefined && rest.cache === undefined) rest.cache = cache;
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

/** Whether a source names a repository of a hub; `options` are those of a hub that were given. */
async function isRepository(source: string | URL | ModelFiles, options: string[]): Promise<boolean> {
  const named = typeof source === 'string' && /^\w[\w.-]*\/\w[\w.-]*$/.test(source);
  if (options.length > 0) {
    if (!named) throw new M2EmbedError('bad_argument', `${options[0]}: only for a repository of a hub, named as owner/model`);
    return true;
  }
  if (!named || !hasFileSystem) return named;
  // Named by a variable so that bundlers for pages leave it alone.
  const name = 'node:fs/promises';
  const fs = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as typeof import('node:fs/promises');
  return fs.stat(source).then(
    () => false,
    () => true,
  );
}

async function fetchFiles(repository: string, options: HubOptions, { cache, signal, fetch }: LoadOptions): Promise<HubFiles> {
  let code: typeof import('./hub.js');
  try {
    code = await import('./hub.js');
  } catch (cause) {
    // A service worker, say, must not import anything later.
    throw new M2EmbedError('bad_argument', `the code for a hub could not be loaded (${(cause as Error).message}): pass what hubFiles of "m2embed/hub" returns`, { cause });
  }
  return code.hubFiles(repository, { ...options, ...(cache !== undefined && { cache }), ...(signal && { signal }), ...(fetch && { fetch }) });
}
