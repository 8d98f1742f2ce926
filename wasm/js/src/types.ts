/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The public interface of m2embed: every entry (page, worker, edge, Node,
 * Deno, Bun) gives an {@link Embedder} with the same behaviour and, over the
 * wasm back end, the same bits.
 *
 * Letters in shapes: B texts, L tokens, D hidden size.
 */

/**
 * Where the forward pass runs.
 *
 * - `wasm`: in the module, with the same bits everywhere.
 * - `webgpu`: on the GPU. Where it cannot be used, or is lost later, calls fail
 *   with one of the `gpu_` codes.
 * - `auto`: on the GPU where there is one in hardware, else in the module. When
 *   the GPU fails later, the model goes on in the module for good, with the text
 *   in work; `info.backend` and `info.fallback` tell.
 *
 * Tokens, truncation, padding and pooling are decided in the module in all
 * cases. Vectors of the GPU differ from the module's by rounding.
 */
export type Backend = 'auto' | 'wasm' | 'webgpu';

/** What `navigator.gpu` is, or what `create([])` of the npm package `webgpu` returns. */
export interface GPUObject {
  requestAdapter(options?: object): Promise<unknown>;
}

/**
 * How far a text is padded before it is run. Pads are part of the model: they
 * change the vector. `longest` pads to the longest text of the call, so there
 * a vector depends on its batch; with all others it never does.
 */
export type Padding = 'none' | 'longest' | 'max_length' | number;

/**
 * How hidden states (L, D) become one vector (D): of the first token or the
 * mean of all (pads left out), through the model's tanh pooler or, `_hidden`,
 * as they are. `none` keeps those of all tokens, special tokens included and pads
 * left out: (L, D), one after the other in `vector`.
 */
export type Pooling = 'model' | 'cls' | 'mean' | 'cls_hidden' | 'mean_hidden' | 'none';

/**
 * What to do with a text that has more tokens than the limit: cut its end and keep
 * the closing [SEP], cut it with [SEP] as the original does, or refuse it.
 */
export type Truncation = 'keep-sep' | 'drop-sep' | 'refuse';

/** Bytes of one file, or where to get them. */
export type Source = string | URL | Request | Response | Blob | ArrayBuffer | Uint8Array | ReadableStream<Uint8Array>;

/** The three files of a model. */
export interface ModelFiles {
  /** `config.json`. */
  config: Source;
  /** `tokenizer.json`, or a `vocab.txt`. */
  tokenizer: Source;
  /** A safetensors file or a PyTorch checkpoint. */
  weights: Source;
}

/** Hex sha256 sums to check the files against; a wrong sum fails the load. */
export interface Integrity {
  config?: string;
  tokenizer?: string;
  weights?: string;
}

/** How far a load has come. */
export interface LoadProgress {
  /** What is being fetched or made ready now. */
  stage: 'module' | 'config' | 'tokenizer' | 'weights' | 'gpu' | 'ready';
  /** Bytes of this stage so far; of the module only where it isn't compiled while it arrives. */
  loaded: number;
  /** Bytes of this stage in all; 0 while unknown. */
  total: number;
  /** Whether the bytes come from the cache rather than the network. */
  cached: boolean;
}

export interface LoadOptions {
  /**
   * The `m2embed.wasm` module: bytes, an address, or already compiled (the
   * only form that edge runtimes allow). Default: the file beside this package.
   */
  module?: Source | WebAssembly.Module;
  onProgress?: (progress: LoadProgress) => void;
  signal?: AbortSignal;
  /**
   * Where the fetched files are kept: `true` or a name for the Cache API of a
   * page, or a folder of that name on disk (below M2EMBED_CACHE, else
   * `~/.cache/m2embed`) in Node, Deno and Bun; `false` for nowhere. Default: kept in
   * pages, and everywhere if they are of a hub. The README tells when what is kept
   * is used.
   */
  cache?: boolean | string;
  sha256?: Integrity;
  /** Used for every request; default `globalThis.fetch`. */
  fetch?: typeof globalThis.fetch;
  /** How often a download that is cut is taken up again (default 4). */
  retries?: number;
  /** Default `wasm`. */
  backend?: Backend;
  /** The GPU to use; default `navigator.gpu`. Node has none of its own. */
  gpu?: GPUObject;
  /**
   * How the GPU holds matrices: `f32` (default), or `f16`, which halves their
   * memory; sums are 32-bit in both. The module keeps what the weights file has.
   */
  precision?: 'f32' | 'f16';
  /** Limit of linear memory in bytes (default and most: 4 GiB). */
  memoryLimit?: number;
  /**
   * Bytes that filter spectra kept between runs may take (default 96 MiB; -1:
   * none). 320 MB hold those of the 80M shape at 2,048 tokens, which saves a
   * tenth of the time there.
   */
  filterBudget?: number;
}

export interface EmbedOptions {
  /** Scale each vector to unit length. Default: what the model's config says. */
  normalize?: boolean;
  /** Default: what the model's config says. */
  padding?: Padding;
  /** Most tokens of a text, special tokens included. Default: the model's limit. */
  maxLength?: number;
  /** Default `keep-sep`. */
  truncation?: Truncation;
  /** Default `model`: as the model was trained. */
  pooling?: Pooling;
  /**
   * What texts are for: `query` for what is searched with, `document` (the default)
   * for what is searched in, or the name of another of `info.prompts`. The model's
   * prompt of that name is put before each text, and runs, is cut and is pooled with
   * it. A model without it takes `query` and `document` as they are; token ids are
   * always taken so.
   */
  task?: 'query' | 'document' | (string & {});
  /** Cuts vectors to their first values, before they are scaled to unit length; one of `info.dimensions`. */
  dimensions?: number;
  signal?: AbortSignal;
  onProgress?: (progress: EmbedProgress) => void;
}

/** How far an embedding has come; `done / total` is a share of the work. */
export interface EmbedProgress {
  done: number;
  total: number;
}

/** One text's vector and what was run for it. */
export interface Embedding {
  /** (D), `dimensions` values where that is given; with pooling `none` a row of as many for each token, each row normalised by itself. */
  vector: Float32Array;
  /** Of the input's spans, in their order. */
  spans?: SpanEmbedding[];
  /** Tokens of the text, special tokens and prompt included, before it was cut. */
  tokens: number;
  /** Positions that were run, pads included. */
  length: number;
  /** Whether the text had more tokens than the limit and was cut. */
  truncated: boolean;
}

/** A piece of an input, from start up to but not including end: UTF-16 code units of a text, positions of ids. */
export interface Span {
  start: number;
  end: number;
}

/** One span's vector. */
export interface SpanEmbedding {
  /** Of unit length, as long as the text's own; null where the span has no tokens: white space, or cut off. */
  vector: Float32Array | null;
  /** Tokens whose hidden states are in it. */
  tokens: number;
}

/** A text as the model sees it. */
export interface Tokenization {
  /** (L) token ids, special tokens included. */
  ids: Int32Array;
  /** (L) the tokens as the vocabulary writes them. */
  tokens: string[];
  /** (2L) start and end of each token in the text, in UTF-16 code units; special tokens have 0, 0. */
  offsets: Int32Array;
}

/**
 * A text, or its token ids (special tokens included); as an object it may have
 * spans.
 *
 * Spans get vectors of their own out of the same forward pass: the mean of the
 * last hidden states of their tokens, scaled to unit length, whatever the pooling.
 * They may overlap and come in any order; a token belongs to the span that it
 * begins in, special tokens to none. Bits depend neither on other spans nor on
 * other texts.
 */
export type Input = string | Int32Array | readonly number[] | SpannedText | SpannedIds;

export interface SpannedText {
  text: string;
  spans?: readonly Span[];
}

export interface SpannedIds {
  ids: Int32Array | readonly number[];
  spans?: readonly Span[];
}

export interface PassageOptions {
  /** Tokens that a passage aims at (default 192). */
  target?: number;
  /** Most tokens of a passage (default one and a half times target). */
  max?: number;
  /** Tokens of the passage before that a passage may repeat at its beginning, in whole sentences (default 0, at most half of target). */
  overlap?: number;
  /** `markdown` finds headings: they begin passages, and passages below know them. Default `text`. */
  format?: 'text' | 'markdown';
  signal?: AbortSignal;
}

/** A piece of a text, cut so that paragraphs, then sentences stay whole. It is a span, too. */
export interface Passage extends Span {
  /** Tokens that begin in it. */
  tokens: number;
  /** Titles of the sections that it stands in, outermost first. */
  headings: string[];
  /** The titles above it, joined by " > "; those that stand in the passage itself are left out. */
  context: string;
  /** The passage behind its context: what to embed where the passage is embedded by itself. */
  text: string;
}

export interface ModelInfo {
  /** D, the size of a vector. */
  hiddenSize: number;
  layers: number;
  /** The most positions that the model can run. */
  maxLength: number;
  vocabularySize: number;
  /** The model's own padding, pooling and normalisation. */
  padding: Padding;
  pooling: string;
  normalize: boolean;
  /** Lengths to which vectors may be cut, beside D. */
  dimensions: number[];
  /** Texts to put before others, by `task`; most models have none. */
  prompts: Record<string, string>;
  /** Size of the weights in memory, in bytes. */
  weightBytes: number;
  /** The back end in use. */
  backend: 'wasm' | 'webgpu';
  /** The GPU in use. */
  adapter?: string;
  /** Why `auto` runs in the module. */
  fallback?: string;
  /** The kernel set of the wasm back end, "wasm-simd" or "go". */
  kernels: string;
  /** Names the vector space: vectors may be compared where it is equal. */
  space: string;
  /** Version of the module. */
  version: string;
}

/** A loaded model. */
export interface Embedder {
  /** What is loaded and where it runs; another object after a fall-back. */
  readonly info: ModelInfo;
  /** Bytes of linear memory that the model's instance holds now. */
  readonly memory: number;
  /** Bytes that the model holds on the GPU now: weights, filters, buffers of its plans. */
  readonly gpuMemory: number;

  /** The vector (D) of a text. */
  embed(text: string | Int32Array, options?: EmbedOptions): Promise<Float32Array>;
  /** The vectors (B, D) of texts. */
  embed(texts: readonly Input[], options?: EmbedOptions): Promise<Float32Array[]>;
  /** Either, as a text or several are given. */
  embed(input: string | Int32Array | readonly Input[], options?: EmbedOptions): Promise<Float32Array | Float32Array[]>;

  /** Like embed, and says for each text what was run. */
  embedDetailed(texts: readonly Input[], options?: EmbedOptions): Promise<Embedding[]>;

  tokenize(text: string, options?: { signal?: AbortSignal }): Promise<Tokenization>;

  /** The text of token ids, tidied up around punctuation; what normalisation took away does not come back. */
  decode(ids: Int32Array | readonly number[], options?: { specialTokens?: boolean }): Promise<string>;

  /** Cuts a text into passages to search in, as the command line does. */
  passages(text: string, options?: PassageOptions): Promise<Passage[]>;

  /** Cosine similarity of two texts or vectors. */
  similarity(a: string | Float32Array, b: string | Float32Array, options?: EmbedOptions): Promise<number>;

  /** Frees the model, and the memory of its instance. Calls after it are refused. */
  dispose(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What went wrong, for programs. The message is for people. */
export type ErrorCode =
  | 'bad_argument'
  | 'bad_config'
  | 'bad_tokenizer'
  | 'bad_weights'
  | 'too_long'
  | 'out_of_memory'
  | 'bad_handle'
  | 'not_ready'
  | 'instance_lost'
  /** No WebGPU, no adapter, or (auto) none in hardware. */
  | 'gpu_unsupported'
  /** The device went away: load the model again. */
  | 'gpu_lost'
  /** An allocation failed, or the device's limits do not hold a text of that length. */
  | 'gpu_out_of_memory'
  /** The device refused a shader or a command. */
  | 'gpu_failed'
  | 'network'
  | 'integrity'
  | 'internal';

/** Every error of this package, but for aborts: those reject with the signal's reason. */
export class M2EmbedError extends Error {
  override readonly name = 'M2EmbedError';
  readonly code: ErrorCode;
  /** The number of the input that is to blame, from 0, where it is one input. */
  readonly input?: number;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions & { input?: number | undefined }) {
    super(message, options);
    this.code = code;
    if (options?.input !== undefined) this.input = options.input;
  }
}
