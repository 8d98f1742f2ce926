/**
 * An embedding model of the Vercel AI SDK over a loaded model:
 *
 * ```js
 * const { embeddings } = await embedMany({ model: embeddingModel(await M2Embed.load(small)), values });
 * const { embedding } = await embed({ model, value, providerOptions: { m2embed: { task: 'query' } } });
 * ```
 */

import type { EmbedOptions, Embedder } from './types.js';

/** The AI SDK's EmbeddingModelV3, by its shape, so that its types are needed by nobody else. */
export interface EmbeddingModel {
  readonly specificationVersion: 'v3';
  readonly provider: string;
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number | undefined;
  readonly supportsParallelCalls: boolean;
  doEmbed(call: { values: string[]; abortSignal?: AbortSignal | undefined; providerOptions?: Record<string, Record<string, unknown>> | undefined }): Promise<{ embeddings: number[][]; usage: { tokens: number }; warnings: [] }>;
}

/** The embedding model over a loaded one, which the caller disposes of. */
export function embeddingModel(model: Embedder, options: EmbedOptions & { modelId?: string } = {}): EmbeddingModel {
  const { modelId = 'm2-bert', ...rest } = options;
  return {
    specificationVersion: 'v3',
    provider: 'm2embed',
    modelId,
    maxEmbeddingsPerCall: undefined,
    // A model does one call after the other anyway.
    supportsParallelCalls: false,
    async doEmbed({ values, abortSignal, providerOptions }) {
      const own: EmbedOptions = providerOptions?.['m2embed'] ?? {};
      const found = await model.embedDetailed(values, { ...rest, ...own, ...(abortSignal && { signal: abortSignal }) });
      return {
        embeddings: found.map((e) => Array.from(e.vector)),
        usage: { tokens: found.reduce((n, e) => n + e.tokens, 0) },
        warnings: [],
      };
    },
  };
}
