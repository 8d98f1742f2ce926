/** Messages between a worker-backed model and its workers. */

import type { EmbedOptions, EmbedProgress, Embedding, ErrorCode, Input, LoadOptions, LoadProgress, ModelFiles, ModelInfo, Passage, PassageOptions, Source, Tokenization } from './types.js';

/** A GET request, as a Request cannot cross a thread border itself. */
export interface SentRequest {
  url: string;
  headers: [string, string][];
  credentials: RequestCredentials;
}

/** A source in a form that can cross it. */
export type Sent = Exclude<Source, URL | Request | Response | ReadableStream> | SentRequest;
export type SentFiles = Record<keyof ModelFiles, Sent>;

/** Options without what cannot cross it. */
export type LoadMessageOptions = Omit<LoadOptions, 'onProgress' | 'signal' | 'fetch' | 'gpu' | 'module'> & { module: Sent | WebAssembly.Module };
export type EmbedMessageOptions = Omit<EmbedOptions, 'onProgress' | 'signal'>;

export type Call =
  /** Loads the model; `share` asks for its files back, for other workers. */
  | { id: number; call: 'load'; source: SentFiles; options: LoadMessageOptions; share: boolean }
  | { id: number; call: 'embed'; texts: Input[]; options: EmbedMessageOptions; progress: boolean }
  | { id: number; call: 'tokenize'; text: string }
  | { id: number; call: 'passages'; text: string; options: Omit<PassageOptions, 'signal'> }
  | { id: number; call: 'decode'; ids: Int32Array | readonly number[]; options: { specialTokens?: boolean } }
  /** Waits until the fetched files are in the cache. */
  | { id: number; call: 'keep' }
  /** Aborts the call with this id. */
  | { id: number; call: 'abort' };

/** How a worker's model stands after a call. */
export interface Standing {
  info: ModelInfo;
  memory: number;
  gpuMemory: number;
}

export interface Loaded extends Standing {
  files?: SentFiles | undefined;
}

export interface Embedded extends Standing {
  embeddings: Embedding[];
}

export interface Failure {
  code?: ErrorCode;
  name: string;
  message: string;
  input?: number | undefined;
}

export type Reply =
  | { id: number; progress: LoadProgress | EmbedProgress }
  | { id: number; result: Loaded | Embedded | Tokenization | Passage[] | string }
  | { id: number; failure: Failure; standing?: Standing };
