// Compiled against the built package by types.test.mjs; never run.
import { M2Embed, M2EmbedError, cosine, type Embedder, type EmbedOptions, type LoadOptions, type LoadProgress } from 'm2embed';
import { M2Embed as Edge } from 'm2embed/edge';
import { pipeline } from 'm2embed/pipeline';
import { M2EmbedWorker, type WorkerLoadOptions } from 'm2embed/worker';

export async function use(x: string | string[], ids: readonly number[], module: WebAssembly.Module, bytes: Uint8Array): Promise<void> {
  const options: LoadOptions = { onProgress: (p: LoadProgress) => void p.stage, cache: 'mine', backend: 'auto', sha256: { weights: '' } };
  const model: Embedder = await M2Embed.load('/model/', options);
  const either: Float32Array | Float32Array[] = await model.embed(x);
  const one: Float32Array = await model.embed('a text');
  const several: Float32Array[] = await model.embed(['a text', ids, Int32Array.of(1)], { normalize: true });
  const how: EmbedOptions = { padding: 'none', truncation: 'refuse', pooling: 'cls', task: 'query' };
  const prompts: Record<string, string> = model.info.prompts;
  const { vector, tokens, truncated } = (await model.embedDetailed(several.length > 0 ? ['a'] : [], how))[0]!;
  const score: number = (await model.similarity('a', vector)) + cosine(one, vector);
  // @ts-expect-error a number is no text
  await model.embed(7);

  const workers: WorkerLoadOptions = { workers: 2, createWorker: () => new Worker('worker-host.js') };
  const threads: Embedder = await M2EmbedWorker.load({ config: bytes, tokenizer: new URL('https://example.org/t'), weights: new Blob() }, workers);
  await threads.embed(x);
  const edge: Embedder = await Edge.load(module, { config: bytes, tokenizer: bytes, weights: bytes });
  await edge.dispose();
  const extract = await pipeline('feature-extraction', '/model/');
  const rows: number[] | number[][] = (await extract(x, { pooling: 'mean' })).tolist();
  try {
    void [either, tokens, truncated, score, rows, prompts];
  } catch (error) {
    if (error instanceof M2EmbedError && error.code === 'gpu_lost') throw error;
  }
}
