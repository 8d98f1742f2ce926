/**
 * The call shape of transformers.js' feature-extraction pipeline:
 *
 * ```js
 * import { pipeline } from 'm2embed';   // was: '@huggingface/transformers'
 * const extract = await pipeline('feature-extraction', '/models/m2-bert-small/');
 * const out = await extract(['Hello', 'World'], { normalize: true });
 * out.dims;      // [2, D]
 * out.tolist();  // number[][]
 * ```
 */

import { compile } from './compile.js';
import { load } from './load.js';
import { moduleAddress } from './module.js';
import { M2EmbedError, type Embedder, type LoadOptions, type LoadProgress, type ModelFiles } from './types.js';

export interface FeatureExtractionOptions {
  /** `none`, the states of single tokens, is not offered: left out, the model's own pooling is used. */
  pooling?: 'mean' | 'cls' | 'model';
  normalize?: boolean;
  truncation?: boolean;
  max_length?: number;
  signal?: AbortSignal;
}

export interface PipelineOptions extends Omit<LoadOptions, 'onProgress'> {
  progress_callback?: (progress: { status: 'progress' | 'ready'; file: string; loaded: number; total: number; progress: number }) => void;
}

/** Vectors (B, D) as one array. */
export class FeatureTensor {
  readonly type = 'float32';

  constructor(
    readonly data: Float32Array,
    readonly dims: [number, number],
  ) {}

  get size(): number {
    return this.data.length;
  }

  tolist(): number[][] {
    const [rows, columns] = this.dims;
    return Array.from({ length: rows }, (_, i) => Array.from(this.data.subarray(i * columns, (i + 1) * columns)));
  }

  dispose(): void {}
}

/** transformers.js pools the hidden states as they are. */
const POOLING = { mean: 'mean_hidden', cls: 'cls_hidden', model: 'model' } as const;

export interface FeatureExtractionPipeline {
  (texts: string | string[], options?: FeatureExtractionOptions): Promise<FeatureTensor>;
  readonly model: Embedder;
  dispose(): Promise<void>;
}

export async function pipeline(task: 'feature-extraction', source: string | URL | ModelFiles, options: PipelineOptions = {}): Promise<FeatureExtractionPipeline> {
  if (task !== 'feature-extraction') throw new M2EmbedError('bad_argument', `task ${JSON.stringify(task)}: only "feature-extraction" is offered`);
  const { progress_callback: told, ...rest } = options;
  const onProgress = (p: LoadProgress): void =>
    told?.({ status: p.stage === 'ready' ? 'ready' : 'progress', file: p.stage, loaded: p.loaded, total: p.total, progress: p.total > 0 ? (100 * p.loaded) / p.total : 0 });
  const all: LoadOptions = { ...rest, onProgress };
  const module = compile(all.module ?? moduleAddress(), all);
  const model = await load(source, module, all, async () => (await import('./gpu.js')).Gpu);

  const extract = async (texts: string | string[], o: FeatureExtractionOptions = {}): Promise<FeatureTensor> => {
    if ((o.pooling as string | undefined) === 'none') throw new M2EmbedError('bad_argument', 'pooling "none": only whole-text vectors are offered');
    const list = typeof texts === 'string' ? [texts] : texts;
    const vectors = await model.embed(list, {
      normalize: o.normalize ?? false,
      ...(o.pooling !== undefined && { pooling: POOLING[o.pooling] }),
      ...(o.max_length !== undefined && { maxLength: o.max_length }),
      ...(o.truncation === false && { truncate: 'error' as const }),
      ...(o.signal !== undefined && { signal: o.signal }),
    });
    const d = model.info.hiddenSize;
    const data = new Float32Array(vectors.length * d);
    vectors.forEach((vector, i) => data.set(vector, i * d));
    return new FeatureTensor(data, [vectors.length, d]);
  };
  return Object.assign(extract, { model, dispose: () => model.dispose() });
}
