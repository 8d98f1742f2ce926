/** Loads a model: module, config, tokenizer, and the weights streamed straight into linear memory. */

import { Instance } from './abi.js';
import { place } from './backend.js';
import { openStore, type Store, type Writer } from './cache.js';
import { safetensorsSize } from './header.js';
import { ModelEmbedder, type Placement } from './embedder.js';
import { Sha256, sha256 } from './sha256.js';
import { address, describe, join, open, readAll, type Opened } from './source.js';
import { M2EmbedError, type Embedder, type LoadOptions, type LoadProgress, type ModelFiles, type Source } from './types.js';

/** The files of a model in a folder: an address with or without a slash at the end. */
export function filesOf(source: string | URL | ModelFiles): ModelFiles {
  if (typeof source !== 'string' && !(source instanceof URL)) return source;
  const folder = String(source).replace(/\/*$/, '/');
  return { config: `${folder}config.json`, tokenizer: `${folder}tokenizer.json`, weights: `${folder}model.safetensors` };
}

/** Compiles the module unless it is compiled already. */
export async function compile(source: Source | WebAssembly.Module, o: LoadOptions): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  const progress = (loaded: number, total: number): void => o.onProgress?.({ stage: 'module', loaded, total, cached: false });
  const bytes = await readAll(source, o, progress);
  try {
    return await WebAssembly.compile(bytes as BufferSource);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new M2EmbedError('bad_argument', `compile ${describe(source)}: ${why} (edge runtimes take a compiled module only: import it from "m2embed/edge")`, { cause });
  }
}

/** Loads a model into a fresh instance, and onto a GPU where that is asked for. */
export async function load(source: string | URL | ModelFiles, module: WebAssembly.Module | Promise<WebAssembly.Module>, o: LoadOptions): Promise<Embedder> {
  Promise.resolve(module).catch(() => {}); // waited for below
  o.signal?.throwIfAborted();
  const placing = place(o);
  try {
    const loaded = loadFiles(filesOf(source), module, o, placing);
    // A GPU that is missing ends the load before anything large was fetched.
    const [{ instance, model }, placement] = await Promise.all([loaded, placing]);
    const embedder = new ModelEmbedder(instance, model, placement);
    if (placement.gpu) {
      let uploaded = 0;
      await embedder.warm(o.signal, (bytes) => o.onProgress?.({ stage: 'gpu', loaded: (uploaded += bytes), total: 0, cached: false }));
    }
    o.onProgress?.({ stage: 'ready', loaded: 1, total: 1, cached: false });
    return embedder;
  } catch (error) {
    placing.then(({ gpu }) => gpu?.close(), () => {});
    throw error;
  }
}

async function loadFiles(files: ModelFiles, module: WebAssembly.Module | Promise<WebAssembly.Module>, o: LoadOptions, placing: Promise<Placement>): Promise<{ instance: Instance; model: number }> {
  const report = (stage: LoadProgress['stage']) => (loaded: number, total: number): void => o.onProgress?.({ stage, loaded, total, cached: false });
  const [compiled, config, tokenizer] = await Promise.all([module, readAll(files.config, o, report('config')), readAll(files.tokenizer, o, report('tokenizer')), placing]);
  const instance = await Instance.create(compiled, o.memoryLimit);
  verify('config', config, o.sha256?.config);
  verify('tokenizer', tokenizer, o.sha256?.tokenizer);
  const model = instance.createModel(config, tokenizer);
  await loadWeights(instance, model, files.weights, o);
  instance.open(model, o.filterBudget ?? 0);
  return { instance, model };
}

function verify(what: string, bytes: Uint8Array, want: string | undefined): void {
  if (want !== undefined) compare(what, sha256(bytes), want);
}

function compare(what: string, got: string, want: string): void {
  if (got !== want.toLowerCase()) throw new M2EmbedError('integrity', `${what}: sha256 is ${got}, want ${want.toLowerCase()}`);
}

async function loadWeights(instance: Instance, model: number, source: Source, o: LoadOptions): Promise<void> {
  const store = await openStore(o.cache, address(source), o.sha256?.weights);
  const kept = await store?.match();
  if (store && kept) {
    try {
      await stream(instance, model, await open(kept, o), describe(source), true, o, undefined);
      return;
    } catch (error) {
      // What is kept is damaged: fetch it again. The reservation is reused.
      if (o.signal?.aborted || instance.isLost) throw error;
      await store.delete();
    }
  }
  await stream(instance, model, await open(source, o), describe(source), false, o, store);
}

/** Writes chunks at their place in linear memory as they arrive. */
async function stream(instance: Instance, model: number, from: Opened, what: string, cached: boolean, o: LoadOptions, store: Store | undefined): Promise<void> {
  const want = o.sha256?.weights;
  const sum = want === undefined ? undefined : new Sha256();
  let total = from.total;
  let at = total > 0 ? instance.reserve(model, total) : 0;
  let loaded = 0;
  let waiting: Uint8Array[] = [];
  const writer: Writer | undefined = store?.writer(total);
  const place = (chunk: Uint8Array): void => {
    if (loaded + chunk.length > total) throw new M2EmbedError('bad_weights', `${what}: more than the ${total} bytes that its size or header says`);
    instance.bytes(at + loaded, chunk.length).set(chunk);
    loaded += chunk.length;
    instance.received(model, loaded);
    o.onProgress?.({ stage: 'weights', loaded, total, cached });
  };
  try {
    for await (const chunk of from.chunks) {
      o.signal?.throwIfAborted();
      sum?.update(chunk);
      await writer?.write(chunk);
      if (total > 0) {
        place(chunk);
        continue;
      }
      // No size yet: a safetensors header tells it, any other file has to end first.
      waiting.push(chunk);
      const start = join(waiting, waiting.reduce((n, part) => n + part.length, 0));
      waiting = [start];
      const size = safetensorsSize(start);
      if (size) {
        total = size;
        at = instance.reserve(model, total);
        place(start);
        waiting = [];
      }
    }
    if (total === 0) {
      const all = join(waiting, waiting.reduce((n, part) => n + part.length, 0));
      total = all.length;
      at = instance.reserve(model, total);
      place(all);
    }
    if (loaded < total) throw new M2EmbedError('bad_weights', `${what}: ends after ${loaded} of ${total} bytes`);
    if (sum && want !== undefined) compare(`weights ${what}`, sum.hex(), want);
    await writer?.close();
  } catch (error) {
    writer?.abort();
    throw error;
  }
}
