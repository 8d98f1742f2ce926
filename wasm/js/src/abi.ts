/**
 * The twin of wasm/abi.go: one instance of the module behind typed calls. The
 * protocol is told there; this file only moves bytes and turns codes into
 * errors.
 */

import { ExitError, Wasi } from './wasi.js';
import { M2EmbedError, type EmbedOptions, type Embedding, type ErrorCode, type Input, type Tokenization } from './types.js';

const VERSION = 2;

const CODES: readonly ErrorCode[] = [
  'internal', // 0 is no error
  'bad_argument',
  'bad_config',
  'bad_tokenizer',
  'bad_weights',
  'too_long',
  'out_of_memory',
  'bad_handle',
  'not_ready',
  'internal',
  'gpu_out_of_memory',
];

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  abi_version(): number;
  memory_limit(bytes: number): number;
  prefer_unrolled(on: number): number;
  alloc(bytes: number): number;
  free(address: number): number;
  error_code(): number;
  error_input(): number;
  error_address(): number;
  error_length(): number;
  result_address(): number;
  result_length(): number;
  model_create(config: number, configLength: number, tokenizer: number, tokenizerLength: number): number;
  model_reserve(model: number, bytes: number): number;
  model_received(model: number, bytes: number): number;
  model_open(model: number, filters: number): number;
  model_info(model: number): number;
  model_free(model: number): number;
  tokenize(model: number, text: number, length: number): number;
  run_start(model: number, inputs: number, length: number, options: number): number;
  run_step(run: number): number;
  run_progress(run: number): number;
  run_positions(run: number): number;
  run_finish(run: number): number;
  run_free(run: number): number;
  embed(model: number, inputs: number, length: number, options: number): number;
  run_pass(run: number, most: number): number;
  run_vectors(run: number, vectors: number, length: number): number;
  plan_create(run: number, limits: number, half: number): number;
  plan_weight(plan: number, buffer: number): number;
  plan_free(plan: number): number;
}

/** A GPU's limits, by WebGPU's names. */
export interface Limits {
  maxStorageBufferBindingSize: number;
  maxBufferSize: number;
  maxComputeWorkgroupsPerDimension: number;
}

/** Texts of one length that a GPU runs together; see wasm/abi.go. */
export interface Pass {
  /** B */
  texts: number;
  /** L, pads included */
  length: number;
  pooling: number;
  normalize: boolean;
  /** Positions of the whole run. */
  total: number;
  /** (B, L) token ids. */
  ids: Uint32Array;
  /** (B, L) 1 for a token, 0 for a pad. */
  mask: Uint32Array;
}

/** What `model_info` tells; see ModelInfo. */
export interface RawInfo {
  hiddenSize: number;
  layers: number;
  maxLength: number;
  vocabularySize: number;
  padding: string;
  pooling: string;
  normalize: boolean;
  weightBytes: number;
  kernels: string;
  space: string;
  version: string;
}

/** An instance of the module. Calls are synchronous and may throw M2EmbedError. */
export class Instance {
  private readonly exports: Exports;
  private readonly wasi: Wasi;
  private lost: M2EmbedError | undefined;

  private constructor(exports: Exports, wasi: Wasi) {
    this.exports = exports;
    this.wasi = wasi;
  }

  static async create(module: WebAssembly.Module, memoryLimit?: number): Promise<Instance> {
    const wasi = new Wasi();
    let instance: WebAssembly.Instance;
    try {
      instance = await WebAssembly.instantiate(module, wasi.imports);
    } catch (cause) {
      const why = (cause as Error).message;
      throw cause instanceof WebAssembly.LinkError || cause instanceof TypeError
        ? new M2EmbedError('bad_argument', `the WebAssembly module is not m2embed: ${why}`, { cause })
        : new M2EmbedError('out_of_memory', `no memory for an instance of the module: ${why}`, { cause });
    }
    return Instance.start(instance, wasi, memoryLimit);
  }

  /** The same at once, for places where start-up must not wait. */
  static createSync(module: WebAssembly.Module, memoryLimit?: number): Instance {
    const wasi = new Wasi();
    return Instance.start(new WebAssembly.Instance(module, wasi.imports), wasi, memoryLimit);
  }

  private static start(instance: WebAssembly.Instance, wasi: Wasi, memoryLimit: number | undefined): Instance {
    const exports = instance.exports as unknown as Exports;
    if (typeof exports._initialize !== 'function' || typeof exports.abi_version !== 'function') {
      throw new M2EmbedError('bad_argument', 'the WebAssembly module is not m2embed');
    }
    wasi.attach(exports.memory);
    const created = new Instance(exports, wasi);
    created.guard(() => exports._initialize());
    const version = created.guard(() => exports.abi_version());
    if (version !== VERSION) {
      throw new M2EmbedError('bad_argument', `the WebAssembly module speaks version ${version} of the protocol, this package version ${VERSION}: take both from one release`);
    }
    if (memoryLimit !== undefined) created.check(created.guard(() => exports.memory_limit(Math.min(Math.max(0, Math.floor(memoryLimit)), 0xffff0000))));
    return created;
  }

  /** Bytes of linear memory. */
  get memory(): number {
    return this.exports.memory.buffer.byteLength;
  }

  /** Linear memory from an address on; good until the next call. */
  bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, at >>> 0, length);
  }

  /** Whether the module has trapped, so that nothing on this instance works any more. */
  get isLost(): boolean {
    return this.lost !== undefined;
  }

  createModel(config: Uint8Array, tokenizer: Uint8Array): number {
    return this.withBytes(config, (c) => this.withBytes(tokenizer, (t) => this.call((e) => e.model_create(c, config.length, t, tokenizer.length))));
  }

  /** Makes room for the weights file and returns its address. */
  reserve(model: number, size: number): number {
    if (!(size >= 0 && size < 0xffff0000)) throw new M2EmbedError('out_of_memory', `a weights file of ${size} bytes, but linear memory ends at 4 GiB`);
    const at = this.guard(() => this.exports.model_reserve(model, size)) >>> 0;
    if (at === 0) this.check(this.exports.error_code());
    return at;
  }

  received(model: number, bytes: number): void {
    this.call((e) => e.model_received(model, bytes));
  }

  open(model: number, filterBudget: number): void {
    // An i32 of the module: -1 for none, at most 2 GiB.
    const bytes = Math.max(-1, Math.min(Math.trunc(filterBudget), 2 ** 31 - 1));
    this.call((e) => e.model_open(model, bytes));
  }

  info(model: number): RawInfo {
    this.call((e) => e.model_info(model));
    return JSON.parse(decode(this.result())) as RawInfo;
  }

  freeModel(model: number): void {
    this.call((e) => e.model_free(model));
  }

  tokenize(model: number, text: string): Tokenization {
    const bytes = encode(text);
    this.withBytes(bytes, (at) => this.call((e) => e.tokenize(model, at, bytes.length)));
    return readTokens(this.result(), text);
  }

  start(model: number, inputs: readonly Input[], options: EmbedOptions): number {
    const packed = packInputs(inputs);
    const record = packOptions(options);
    return this.withBytes(packed, (at) => this.withBytes(record, (o) => this.call((e) => e.run_start(model, at, packed.length, o))));
  }

  /** Does a part of the work; true once nothing is left. */
  step(run: number): boolean {
    return this.call((e) => e.run_step(run)) === 1;
  }

  /** Share of the work done, 0 … 1. */
  progress(run: number): number {
    return this.guard(() => this.exports.run_progress(run));
  }

  finish(run: number): Embedding[] {
    this.call((e) => e.run_finish(run));
    return readResults(this.result());
  }

  freeRun(run: number): void {
    this.call((e) => e.run_free(run));
  }

  /** The next texts of a run for the GPU: at most so many positions, but at least one text. */
  pass(run: number, most: number): Pass | undefined {
    if (this.call((e) => e.run_pass(run, most)) === 0) return undefined;
    // A copy: linear memory moves on.
    const words = new Uint32Array(this.result().slice().buffer);
    const [texts = 0, length = 0, pooling = 0, normalize, total = 0] = words;
    const n = texts * length;
    return { texts, length, pooling, normalize: normalize === 1, total, ids: words.slice(5, 5 + n), mask: words.slice(5 + n, 5 + 2 * n) };
  }

  /** Takes the vectors (B, D) of the pass; values beyond them are left out. */
  vectors(run: number, values: Float32Array, texts: number, d: number): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, Math.min(values.byteLength, 4 * texts * d));
    this.withBytes(bytes, (at) => this.call((e) => e.run_vectors(run, at, bytes.length)));
  }

  /** Plans the pass that was handed out last; the plan is webgpu/executor.ts' Plan. */
  plan(run: number, limits: Limits, half: boolean): { handle: number; plan: unknown } {
    const { maxStorageBufferBindingSize: binding, maxBufferSize: buffer, maxComputeWorkgroupsPerDimension: groups } = limits;
    const record = Uint32Array.of(...[binding, buffer, groups].map((n) => Math.min(n, 0xffff_ffff)));
    const handle = this.withBytes(new Uint8Array(record.buffer), (at) => this.call((e) => e.plan_create(run, at, half ? 1 : 0)));
    return { handle, plan: JSON.parse(decode(this.result())) };
  }

  /** The bytes of a plan's weight buffer, good until the next call. */
  weight(plan: number, buffer: number): Uint8Array {
    this.call((e) => e.plan_weight(plan, buffer));
    return this.result();
  }

  freePlan(plan: number): void {
    this.call((e) => e.plan_free(plan));
  }

  private withBytes<T>(bytes: Uint8Array, use: (at: number) => T): T {
    const at = this.guard(() => this.exports.alloc(bytes.length)) >>> 0;
    if (at === 0) this.check(this.exports.error_code());
    this.bytes(at, bytes.length).set(bytes);
    try {
      return use(at);
    } finally {
      if (!this.lost) this.exports.free(at);
    }
  }

  private result(): Uint8Array {
    return this.bytes(this.exports.result_address(), this.exports.result_length() >>> 0);
  }

  private call(f: (exports: Exports) => number): number {
    return this.check(this.guard(() => f(this.exports)));
  }

  private check(status: number): number {
    if (status >= 0) return status;
    const text = decode(this.bytes(this.exports.error_address(), this.exports.error_length() >>> 0));
    const input = this.exports.error_input();
    throw new M2EmbedError(CODES[-status] ?? 'internal', text, { input: input >= 0 ? input : undefined });
  }

  /** Runs a call; a trap loses the instance. */
  private guard<T>(f: () => T): T {
    if (this.lost) throw this.lost;
    try {
      return f();
    } catch (cause) {
      const said = (cause instanceof ExitError ? cause.message : this.wasi.takeOutput()).trim().split('\n')[0] ?? '';
      const memory = /out of memory|cannot allocate/i.test(said) || cause instanceof RangeError;
      const why = said !== '' ? said : cause instanceof Error ? cause.message : String(cause);
      this.lost = new M2EmbedError(
        'instance_lost',
        `${memory ? 'memory ran out' : 'the module stopped'} and this model is gone, load it again: ${why}`,
        { cause },
      );
      throw this.lost;
    }
  }
}

function encode(text: string): Uint8Array {
  // A lone surrogate becomes U+FFFD, as everywhere in the web platform.
  return new TextEncoder().encode(text);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.slice());
}

/** The inputs record of wasm/abi.go. */
export function packInputs(inputs: readonly Input[]): Uint8Array {
  const parts = inputs.map((input, i) => {
    if (typeof input === 'string') return { kind: 0, bytes: encode(input) };
    const ids = typeof input === 'object' && input !== null ? Array.from(input as ArrayLike<number>) : [NaN];
    if (!ids.every((id) => Number.isInteger(id) && Math.abs(id) < 2 ** 31)) {
      throw new M2EmbedError('bad_argument', `input ${i}: want a text or a list of token ids`);
    }
    const bytes = new Uint8Array(4 * ids.length);
    const view = new DataView(bytes.buffer);
    ids.forEach((id, k) => view.setInt32(4 * k, id, true));
    return { kind: 1, bytes };
  });
  const total = parts.reduce((n, part) => n + 8 + padded(part.bytes.length), 4);
  const packed = new Uint8Array(total);
  const view = new DataView(packed.buffer);
  view.setUint32(0, parts.length, true);
  let at = 4;
  for (const { kind, bytes } of parts) {
    view.setUint32(at, kind, true);
    view.setUint32(at + 4, bytes.length, true);
    packed.set(bytes, at + 8);
    at += 8 + padded(bytes.length);
  }
  return packed;
}

function padded(n: number): number {
  return (n + 3) & ~3;
}

/** The options record of wasm/abi.go. */
export function packOptions(o: EmbedOptions): Uint8Array {
  const record = new Int32Array(5);
  record[0] = o.normalize === undefined ? -1 : o.normalize ? 1 : 0;
  record[1] = packPadding(o.padding);
  // 0 is the module's word for the model's own limit.
  if (o.maxLength === 0) throw new M2EmbedError('bad_argument', 'maxLength 0: want a number of tokens, or leave it out for the limit of the model');
  record[2] = whole('maxLength', o.maxLength ?? 0);
  record[3] = choice('truncate', o.truncate ?? 'end', ['end', 'end_drop_sep', 'error']);
  record[4] = choice('pooling', o.pooling ?? 'model', ['model', 'cls', 'mean', 'cls_hidden', 'mean_hidden']) - 1;
  return new Uint8Array(record.buffer);
}

function packPadding(padding: EmbedOptions['padding']): number {
  if (padding === undefined) return -1;
  if (typeof padding === 'number') {
    if (padding <= 0) throw new M2EmbedError('bad_argument', `padding ${padding}: want 'none', 'longest', 'max_length' or a number of positions`);
    return whole('padding', padding);
  }
  return [0, -2, -3][choice('padding', padding, ['none', 'longest', 'max_length'])]!;
}

function whole(name: string, n: number): number {
  if (!Number.isInteger(n) || n < 0 || n >= 2 ** 31) throw new M2EmbedError('bad_argument', `${name} ${n}: want a whole number`);
  return n;
}

function choice(name: string, value: string, choices: readonly string[]): number {
  const i = choices.indexOf(value);
  if (i < 0) throw new M2EmbedError('bad_argument', `${name} ${JSON.stringify(value)}: want one of ${choices.join(', ')}`);
  return i;
}

function readResults(bytes: Uint8Array): Embedding[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(0, true);
  const d = view.getUint32(4, true);
  const vectors = 8 + 12 * count;
  return Array.from({ length: count }, (_, i) => ({
    // A copy: linear memory moves on.
    vector: new Float32Array(bytes.slice(vectors + 4 * d * i, vectors + 4 * d * (i + 1)).buffer),
    tokens: view.getUint32(8 + 12 * i, true),
    length: view.getUint32(12 + 12 * i, true),
    truncated: view.getUint32(16 + 12 * i, true) !== 0,
  }));
}

function readTokens(result: Uint8Array, text: string): Tokenization {
  const bytes = result.slice();
  const view = new DataView(bytes.buffer);
  const n = view.getUint32(0, true);
  const ids = new Int32Array(n);
  const offsets = new Int32Array(2 * n);
  for (let i = 0; i < n; i++) ids[i] = view.getInt32(4 + 4 * i, true);
  for (let i = 0; i < 2 * n; i++) offsets[i] = view.getUint32(4 + 4 * n + 4 * i, true);
  const tokens: string[] = [];
  const decoder = new TextDecoder();
  let at = 4 + 12 * n;
  for (let i = 0; i < n; i++) {
    const length = view.getUint32(at, true);
    tokens.push(decoder.decode(bytes.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  toCodeUnits(offsets, text);
  return { ids, tokens, offsets };
}

/** Turns byte offsets in the UTF-8 form of a text into offsets in the string. */
function toCodeUnits(offsets: Int32Array, text: string): void {
  const order = Array.from(offsets.keys()).sort((a, b) => offsets[a]! - offsets[b]!);
  let unit = 0;
  let byte = 0;
  for (const i of order) {
    const want = offsets[i]!;
    while (byte < want && unit < text.length) {
      const code = text.codePointAt(unit)!;
      byte += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      unit += code < 0x10000 ? 1 : 2;
    }
    offsets[i] = unit;
  }
}
