/**
 * A class `Embeddings` of LangChain.js over a loaded model:
 *
 * ```js
 * const embeddings = new M2EmbedEmbeddings({ model: await M2Embed.load(small) });
 * ```
 */

import { Embeddings, type EmbeddingsParams } from '@langchain/core/embeddings';
import type { EmbedOptions, Embedder } from './types.js';

/** The model, options for its calls, and LangChain's own (`maxConcurrency`, `maxRetries`, …). */
export interface M2EmbedEmbeddingsParams extends EmbeddingsParams {
  model: Embedder;
  options?: EmbedOptions;
}

/** Embeds documents and queries with a model of m2embed, which the caller disposes of. */
export class M2EmbedEmbeddings extends Embeddings {
  private readonly model: Embedder;
  private readonly options: EmbedOptions;

  constructor({ model, options = {}, ...rest }: M2EmbedEmbeddingsParams) {
    // What fails on this machine fails again: nothing is tried anew, unless the caller says so.
    super({ onFailedAttempt: (error: unknown) => { throw error; }, ...rest });
    this.model = model;
    this.options = options;
  }

  /** The vectors (B, D) of documents. */
  override async embedDocuments(documents: string[]): Promise<number[][]> {
    const vectors = await this.caller.call(() => this.model.embed(documents, this.options));
    return vectors.map((vector) => Array.from(vector));
  }

  /** The vector (D) of a query, with the model's prompt for queries where it has one. */
  override async embedQuery(document: string): Promise<number[]> {
    return Array.from(await this.caller.call(() => this.model.embed(document, { task: 'query', ...this.options })));
  }
}
