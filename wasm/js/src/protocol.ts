/** Messages between a worker-backed model and its workers. */

import type { EmbedOptions, EmbedProgress, Embedding, ErrorCode, Input, LoadOptions, LoadProgress, ModelFiles, ModelInfo, Tokenization } from './types.js';

/** Options without what cannot cross a thread border. */
export type LoadMessageOptions = Omit<LoadOptions, 'onProgress' | 'signal' | 'fetch' | 'gpu'>;
export type EmbedMessageOptions = Omit<EmbedOptions, 'onProgress' | 'signal'>;

export type Call =
  | { id: number; call: 'load'; source: string | ModelFiles; options: LoadMessageOptions }
  | { id: number; call: 'embed'; texts: Input[]; options: EmbedMessageOptions; progress: boolean }
  | { id: number; call: 'tokenize'; text: string }
  /** Aborts the call with this id. */
  | { id: number; call: 'abort' };

/** How a worker's model stands after a call. */
export interface Standing {
  info: ModelInfo;
  memory: number;
  gpuMemory: number;
}

export interface Embedded extends Standing {
  embeddings: Embedding[];
}

export interface Failure {
  code?: ErrorCode;
  name: string;
  message: string;
}

export type Reply =
  | { id: number; progress: LoadProgress | EmbedProgress }
  | { id: number; result: Standing | Embedded | Tokenization }
  | { id: number; failure: Failure; standing?: Standing };
