/** Computes the map away from the page: directions of most variance, UMAP, groups and their words. */

import { groups } from './groups.js';
import { principal } from './principal.js';
import { random } from './random.js';
import { typicalWords } from './words.js';

export type MapTask =
  | { task: 'principal'; vectors: Float32Array; dimension: number; texts: string[] }
  | { task: 'umap'; vectors: Float32Array; dimension: number };

export type MapReply =
  | { progress: number }
  /** points (n, 2); group of each passage and the words of each group with 'principal' only. */
  | { points: Float32Array; group?: Uint8Array; words?: string[][] }
  | { error: string };

const post = (reply: MapReply): void => self.postMessage(reply);

self.onmessage = ({ data }: MessageEvent<MapTask>) => {
  (data.task === 'principal' ? plain(data.vectors, data.dimension, data.texts) : umap(data.vectors, data.dimension)).catch((error: unknown) => post({ error: (error as Error).message }));
};

async function plain(vectors: Float32Array, dimension: number, texts: string[]): Promise<void> {
  const n = vectors.length / dimension;
  const points = principal(vectors, n, dimension, 2);
  const group = groups(vectors, n, dimension);
  post({ points, group, words: typicalWords(texts, group) });
}

/** Axes that UMAP's neighbour search works on: the rest is noise and costs time. */
const AXES = 32;

async function umap(vectors: Float32Array, dimension: number): Promise<void> {
  const { UMAP } = await import('umap-js');
  const n = vectors.length / dimension;
  const axes = Math.min(AXES, dimension, Math.max(2, n - 1));
  const reduced = principal(vectors, n, dimension, axes);
  const rows = Array.from({ length: n }, (_, i) => [...reduced.subarray(i * axes, (i + 1) * axes)]);
  const fit = new UMAP({ nComponents: 2, nNeighbors: Math.max(2, Math.min(15, n - 1)), minDist: 0.12, random: random(7) });
  const epochs = fit.initializeFit(rows);
  for (let epoch = 0; epoch < epochs; epoch++) {
    fit.step();
    if (epoch % 10 === 0) post({ progress: epoch / epochs });
  }
  post({ points: Float32Array.from(fit.getEmbedding().flat()) });
}
