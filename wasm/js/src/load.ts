/** Loads a model: module, config, tokenizer, and the weights streamed straight into linear memory. */

import { Instance } from './abi.js';
import { place, type GpuSource } from './backend.js';
import type { Opened } from './download.js';
import { ModelEmbedder, type Placement } from './embedder.js';
import { checkSums, ModelFile } from './file.js';
import { safetensorsSize } from './header.js';
import { address, checkSource, isFile } from './source.js';
import { ahead, join } from './stream.js';
import { M2EmbedError, type LoadOptions, type ModelFiles } from './types.js';

/** The files of a model in a folder: an address with or without a slash at the end. */
export function filesOf(source: string | URL | ModelFiles): ModelFiles {
  if (typeof source !== 'string' && !(source instanceof URL)) {
    for (const name of ['config', 'tokenizer', 'weights'] as const) checkSource(name, (source as ModelFiles | undefined)?.[name]);
    return source;
  }
  const text = String(source);
  // In the path of a file a question mark is a character like any other.
  const [, folder = text, query = ''] = (isFile(text) && !text.startsWith('file:')) ? [] : (/^([^?#]*)(\?[^#]*)?/.exec(text) ?? []);
  const file = (name: string): string => `${folder.replace(/\/*$/, '/')}${name}${query}`;
  return { config: file('config.json'), tokenizer: file('tokenizer.json'), weights: file('model.safetensors') };
}

/** What was loaded, for others to load from. */
export type Share = (files: { config: Uint8Array; tokenizer: Uint8Array; weights: Blob }) => void;

/** Loads a model into a fresh instance, and onto a GPU by the code of `gpu` where that is asked for; `share` hears of the files of one without a GPU. */
export async function load(source: string | URL | ModelFiles, module: WebAssembly.Module | Promise<WebAssembly.Module>, o: LoadOptions, gpu: GpuSource, share?: Share): Promise<ModelEmbedder> {
  Promise.resolve(module).catch(() => {}); // waited for below
  o.signal?.throwIfAborted();
  checkSums(o.sha256);
  const placing = place(o, gpu);
  try {
    const loaded = loadFiles(filesOf(source), module, o, placing, share);
    // A GPU that is missing ends the load before anything large was fetched.
    const [{ instance, model, keep }, placement] = await Promise.all([loaded, placing]);
    const embedder = new ModelEmbedder(instance, model, keep, placement);
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

/** How many bytes of the weights may wait for the module. */
const AHEAD = 16 << 20;

/** Whether an error is of damaged files, or of files that do not belong together. */
function isDamage(error: unknown): boolean {
  return error instanceof M2EmbedError && ['bad_config', 'bad_tokenizer', 'bad_weights', 'integrity'].includes(error.code);
}

/** An error with the file that it is about, and what to do. */
function explained(error: unknown, files: readonly ModelFile[]): unknown {
  if (!(error instanceof M2EmbedError)) return error;
  const file = files.find(({ name }) => error.code === `bad_${name}`);
  let text = error.message;
  if (file) {
    if (!text.includes(file.what)) text = `${file.name} ${file.what}: ${text}`;
    if (file.name === 'weights') text += '; if the file is cut or damaged, get it again, else it belongs to another config.json';
  } else if (error.code === 'network' && (/ answered 404/.test(text) || (error.cause as { code?: string } | undefined)?.code === 'ENOENT')) {
    text += '; a model is a folder of config.json, tokenizer.json and model.safetensors';
  }
  return text === error.message ? error : new M2EmbedError(error.code, text, { cause: error.cause });
}

async function loadFiles(files: ModelFiles, module: WebAssembly.Module | Promise<WebAssembly.Module>, o: LoadOptions, placing: Promise<Placement>, share?: Share): Promise<{ instance: Instance; model: number; keep: (() => Promise<unknown>) | undefined }> {
  const config = new ModelFile('config', files.config, o);
  const tokenizer = new ModelFile('tokenizer', files.tokenizer, o);
  const weights = new ModelFile('weights', files.weights, o);
  const all = [config, tokenizer, weights];
  let instance: Instance | undefined;
  // Starts while the files are on their way.
  const made = Promise.resolve(module).then((compiled) => Instance.create(compiled, o.memoryLimit));
  made.catch(() => {}); // waited for below
  // Ends once nothing of an attempt goes on any more.
  let settled: Promise<unknown> = Promise.resolve();

  const attempt = async (anew: boolean): Promise<number> => {
    // On their way at once, though there is no place for them yet.
    const opening = placing.then(() => weights.open(anew)).then((opened) => (address(files.weights) === undefined ? opened : ahead(opened, AHEAD)));
    const configured = config.read(anew);
    // Where both are missing, the first one is named, whichever answer comes first.
    const small = [configured, tokenizer.read(anew).catch((error) => configured.then(() => Promise.reject(error)))] as const;
    settled = Promise.allSettled([opening, ...small]);
    let model: number | undefined;
    try {
      let c: Uint8Array;
      let t: Uint8Array;
      [instance, c, t] = await Promise.all([made, ...small, placing]);
      model = instance.createModel(c, t);
      const opened = await opening;
      const { at, total } = await stream(instance, model, opened, weights, o).finally(() => opened.close());
      instance.open(model, o.filterBudget ?? 0);
      // The weights lie there as they came until the first run.
      if (share && !(await placing).gpu) share({ config: c, tokenizer: t, weights: new Blob([instance.bytes(at, total) as BlobPart]) });
      return model;
    } catch (error) {
      opening.then((opened) => opened.close()).catch(() => {});
      if (model !== undefined && !instance!.isLost) instance!.freeModel(model);
      throw error;
    }
  };

  try {
    let model: number;
    try {
      model = await attempt(false);
    } catch (error) {
      if (!isDamage(error)) throw error;
      await settled;
      if (o.signal?.aborted || !all.some((file) => file.cached) || !all.every((file) => file.lasts)) throw error;
      await Promise.all(all.map((file) => file.forget()));
      model = await attempt(true);
    }
    return { instance: instance!, model, keep: all.some((file) => file.isNew) ? () => Promise.all(all.map((file) => file.keep())) : undefined };
  } catch (error) {
    void settled.then(() => all.forEach((file) => file.drop()));
    throw explained(error, all);
  }
}

/** Writes chunks at their place in linear memory as they arrive. */
async function stream(instance: Instance, model: number, from: Opened, file: ModelFile, o: LoadOptions): Promise<{ at: number; total: number }> {
  const sum = file.sum();
  let total = from.total;
  let at = total > 0 ? instance.reserve(model, total) : 0;
  let loaded = 0;
  await file.write(from);
  const put = (chunk: Uint8Array): void => {
    if (loaded + chunk.length > total) throw new M2EmbedError('bad_weights', `${file.what}: more than the ${total} bytes that its size or header says`);
    instance.bytes(at + loaded, chunk.length).set(chunk);
    loaded += chunk.length;
    instance.received(model, loaded);
  };
  const place = (chunk: Uint8Array): void => {
    put(chunk);
    file.report(loaded, total);
  };
  // Without a size: a safetensors header tells it, any other file has to end first.
  let waiting: Uint8Array[] = [];
  let waited = 0;
  let headed = true;
  for await (const chunk of from.chunks) {
    o.signal?.throwIfAborted();
    sum?.update(chunk);
    await file.writeChunk(chunk);
    if (total > 0) {
      place(chunk);
      continue;
    }
    waiting.push(chunk);
    waited += chunk.length;
    if (!headed) {
      file.report(waited, from.hint);
      continue;
    }
    const start = join(waiting);
    waiting = [start];
    const size = safetensorsSize(start);
    headed = size !== undefined;
    if (size) {
      total = size;
      at = instance.reserve(model, total);
      place(start);
      waiting = [];
    }
  }
  if (total === 0) {
    total = waited;
    at = instance.reserve(model, total);
    for (const chunk of waiting) put(chunk);
    file.report(loaded, total);
  }
  if (loaded < total) throw new M2EmbedError('bad_weights', `${file.what}: ends after ${loaded} of ${total} bytes`);
  file.verify(sum);
  return { at, total };
}
