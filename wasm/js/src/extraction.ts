/**
 * The call shape of transformers.js' feature-extraction pipeline:
 *
 * ```js
 * import { pipeline } from 'm2embed/pipeline'; // was: '@huggingface/transformers'
 * const extract = await pipeline('feature-extraction', '/models/m2-bert-small/');
 * const out = await extract(['Hello', 'World'], { normalize: true });
 * out.dims;      // [2, D]
 * out.tolist();  // number[][]
 * ```
 */

import type { Loader, Options } from './api.js';
import { toBinary } from './quantize.js';
import { FeatureTensor } from './tensor.js';
import { M2EmbedError, type Embedder, type LoadProgress, type ModelFiles } from './types.js';

export { FeatureTensor, type Slice } from './tensor.js';

export interface FeatureExtractionOptions {
  /**
   * Left out, the model's own pooling is used. `none` gives the states of all
   * tokens, (B, L, D), zeros behind the end of a text.
   */
  pooling?: 'none' | 'mean' | 'cls' | 'first_token' | 'model';
  normalize?: boolean;
  truncation?: boolean;
  max_length?: number;
  /** Signs instead of values, in bits. */
  quantize?: boolean;
  /** Of signs: bytes as they are, or (`binary`) less 128. */
  precision?: 'binary' | 'ubinary';
  /** What the texts are for, `query` or `document` (default): puts the model's own prompt before them, as `task` of `embed` does. */
  task?: string;
  signal?: AbortSignal;
}

/** What a load tells, one file after the other, in the words of transformers.js. */
export interface ProgressInfo {
  status: 'initiate' | 'download' | 'progress' | 'done' | 'ready';
  /** The model. */
  name: string;
  /** The file; `task` once it is ready. */
  file: string;
  loaded: number;
  total: number;
  /** Per cent. */
  progress: number;
}

export interface PipelineOptions extends Omit<Options, 'onProgress' | 'backend' | 'precision'> {
  /** Default `wasm`; `gpu` is another word for `webgpu`, `cpu` for `wasm`. */
  device?: 'auto' | 'wasm' | 'cpu' | 'webgpu' | 'gpu';
  /** How a GPU holds matrices; the module runs what the weights file has. */
  dtype?: 'auto' | 'fp32' | 'fp16';
  progress_callback?: (progress: ProgressInfo) => void;
}

/** transformers.js pools the hidden states as they are. */
const POOLING = { none: 'none', mean: 'mean_hidden', cls: 'cls_hidden', first_token: 'cls_hidden', model: 'model' } as const;
const DEVICES = { auto: 'auto', wasm: 'wasm', cpu: 'wasm', webgpu: 'webgpu', gpu: 'webgpu' } as const;
const PRECISIONS = { auto: 'f32', fp32: 'f32', fp16: 'f16' } as const;
const LOADING = ['module', 'signal', 'cache', 'sha256', 'fetch', 'retries', 'gpu', 'memoryLimit', 'filterBudget', 'workers', 'createWorker', 'revision', 'hub', 'token', 'onWarning', 'device', 'dtype', 'progress_callback'];
const EXTRACTING = ['pooling', 'normalize', 'truncation', 'max_length', 'quantize', 'precision', 'task', 'signal'];

export interface FeatureExtractionPipeline {
  (texts: string | string[], options: FeatureExtractionOptions & { quantize: true }): Promise<FeatureTensor<Uint8Array> | FeatureTensor<Int8Array>>;
  (texts: string | string[], options?: FeatureExtractionOptions): Promise<FeatureTensor>;
  readonly model: Embedder;
  dispose(): Promise<void>;
}

/** The function `pipeline`. */
export type Pipeline = (task: 'feature-extraction', source: string | URL | ModelFiles, options?: PipelineOptions) => Promise<FeatureExtractionPipeline>;

/** The function `pipeline` over an entry's way to load. */
export function pipelineOf(loader: Loader): Pipeline {
  return async (task, source, options = {}) => {
    if (task !== 'feature-extraction') throw new M2EmbedError('bad_argument', `task ${JSON.stringify(task)}: only "feature-extraction" is offered`);
    known('pipeline', options, LOADING);
    const { progress_callback: told, device = 'wasm', dtype = 'auto', ...rest } = options;
    const all: Options = { ...rest, backend: mapped('device', device, DEVICES), precision: mapped('dtype', dtype, PRECISIONS) };
    if (told) all.onProgress = events(String(typeof source === 'string' || source instanceof URL ? source : 'model'), told);
    const model = await loader.load(source, all);
    return Object.assign((texts: string | string[], o: FeatureExtractionOptions = {}) => extract(model, texts, o), { model, dispose: () => model.dispose() }) as FeatureExtractionPipeline;
  };
}

async function extract(model: Embedder, texts: string | string[], o: FeatureExtractionOptions): Promise<FeatureTensor | FeatureTensor<Uint8Array> | FeatureTensor<Int8Array>> {
  known('extract', o, EXTRACTING);
  const precision = mapped('precision', o.precision ?? 'binary', { binary: 'binary', ubinary: 'ubinary' });
  const vectors = await model.embed(typeof texts === 'string' ? [texts] : texts, {
    normalize: o.normalize ?? false,
    ...(o.pooling !== undefined && { pooling: mapped('pooling', o.pooling, POOLING) }),
    ...(o.max_length !== undefined && { maxLength: o.max_length }),
    ...(o.truncation === false && { truncation: 'refuse' as const }),
    ...(o.task !== undefined && { task: o.task }),
    ...(o.signal !== undefined && { signal: o.signal }),
  });
  const d = model.info.hiddenSize;
  const longest = vectors.reduce((n, { length }) => Math.max(n, length / d), 1);
  const dims = o.pooling === 'none' ? [vectors.length, longest] : [vectors.length];
  if (o.quantize) {
    const width = Math.ceil(d / 8);
    const data = new Uint8Array(vectors.length * longest * width);
    vectors.forEach((rows, i) => {
      for (let row = 0; row * d < rows.length; row++) data.set(toBinary(rows.subarray(row * d, (row + 1) * d)), (i * longest + row) * width);
    });
    return precision === 'ubinary' ? new FeatureTensor(data, [...dims, width]) : new FeatureTensor(Int8Array.from(data, (x) => x - 128), [...dims, width]);
  }
  const data = new Float32Array(vectors.length * longest * d);
  vectors.forEach((rows, i) => data.set(rows, i * longest * d));
  return new FeatureTensor(data, [...dims, d]);
}

const FILES: Partial<Record<LoadProgress['stage'], string>> = { module: 'm2embed.wasm', config: 'config.json', tokenizer: 'tokenizer.json', weights: 'model.safetensors' };

/** Turns reports of a load into the events of transformers.js. */
function events(name: string, told: (progress: ProgressInfo) => void): (p: LoadProgress) => void {
  const open = new Map<string, number>();
  const tell = (status: ProgressInfo['status'], file: string, loaded: number, total: number): void =>
    told({ status, name, file, loaded, total, progress: status === 'done' || status === 'ready' ? 100 : total > 0 ? (100 * loaded) / total : 0 });
  const close = (file: string, bytes: number): void => {
    open.set(file, -1);
    tell('done', file, bytes, bytes);
  };
  return ({ stage, loaded, total }) => {
    if (stage === 'ready') {
      for (const [file, bytes] of open) if (bytes >= 0) close(file, bytes);
      return tell('ready', 'feature-extraction', 1, 1);
    }
    const file = FILES[stage];
    if (file === undefined || open.get(file) === -1) return;
    if (!open.has(file)) for (const status of ['initiate', 'download'] as const) tell(status, file, 0, total);
    open.set(file, loaded);
    tell('progress', file, loaded, total);
    if (total > 0 && loaded >= total) close(file, loaded);
  };
}

/** Refuses options that would have no effect. */
function known(what: string, options: object, names: readonly string[]): void {
  const other = Object.entries(options).find(([name, value]) => value !== undefined && !names.includes(name));
  if (other) throw new M2EmbedError('bad_argument', `${what}: option ${JSON.stringify(other[0])} is not offered; want ${names.join(', ')}`);
}

function mapped<K extends string, V>(name: string, value: K, values: Record<K, V>): V {
  if (!Object.hasOwn(values, value)) throw new M2EmbedError('bad_argument', `${name} ${JSON.stringify(value)}: want ${Object.keys(values).join(', ')}`);
  return values[value];
}
