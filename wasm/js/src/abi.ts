/**
 * The twin of wasm/abi.go: one instance of the module behind typed calls. The
 * protocol is told there; this file only moves bytes and turns codes into
 * errors.
 */

import { Place } from './places.js';
import { ExitError, Wasi } from './wasi.js';
import { M2EmbedError, type EmbedOptions, type Embedding, type ErrorCode, type Input, type Passage, type PassageOptions, type Span, type SpanEmbedding, type Tokenization } from './types.js';

const VERSION = 3;

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
  passages(model: number, text: number, length: number, options: number): number;
  decode(model: number, ids: number, length: number, special: number): number;
  run_start(model: number, inputs: number, length: number, options: number): number;
  run_task(run: number, name: number, length: number): number;
  run_prepare(run: number): number;
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
  /** Hidden states (B, L, D) are wanted behind the vectors, or alone with pooling none. */
  states: boolean;
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
  dimensions: number[];
  prompts: Record<string, string>;
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

  /** Starts a run to the tokens of a text. */
  tokenize(model: number, text: string): number {
    const bytes = encode(text);
    return this.withBytes(bytes, (at) => this.call((e) => e.tokenize(model, at, bytes.length)));
  }

  /** Starts a run to the passages of a text. */
  passages(model: number, text: string, o: PassageOptions): number {
    const bytes = encode(text);
    const record = packPassageOptions(o);
    return this.withBytes(bytes, (at) => this.withBytes(record, (options) => this.call((e) => e.passages(model, at, bytes.length, options))));
  }

  /** The tokens that a run ends with, read in parts. */
  *finishTokens(run: number, text: string): Generator<void, Tokenization> {
    this.call((e) => e.run_finish(run));
    return yield* readTokens(this.result().slice(), text);
  }

  /** The passages that a run ends with, read in parts. */
  *finishPassages(run: number, text: string): Generator<void, Passage[]> {
    this.call((e) => e.run_finish(run));
    return yield* readPassages(this.result().slice(), text);
  }

  decode(model: number, ids: Int32Array | readonly number[], special: boolean): string {
    const bytes = packIds(ids, () => new M2EmbedError('bad_argument', 'decode: want a list of token ids'));
    this.withBytes(bytes, (at) => this.call((e) => e.decode(model, at, bytes.length, special ? 1 : 0)));
    return decode(this.result());
  }

  start(model: number, inputs: readonly Input[], options: EmbedOptions): number {
    const packed = packInputs(inputs);
    const record = packOptions(options);
    const { task } = options;
    if (task !== undefined && typeof task !== 'string') throw new M2EmbedError('bad_argument', `task: want a name, not ${typeof task}`);
    const run = this.withBytes(packed, (at) => this.withBytes(record, (o) => this.call((e) => e.run_start(model, at, packed.length, o))));
    if (task === undefined) return run;
    try {
      const name = encode(task);
      this.withBytes(name, (at) => this.call((e) => e.run_task(run, at, name.length)));
      return run;
    } catch (error) {
      if (!this.lost) this.freeRun(run);
      throw error;
    }
  }

  /** Tokenizes a part; true once nothing is left. */
  prepare(run: number): boolean {
    return this.call((e) => e.run_prepare(run)) === 1;
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
    const [texts = 0, length = 0, pooling = 0, normalize, states, total = 0] = words;
    const n = texts * length;
    return { texts, length, pooling, normalize: normalize === 1, states: states === 1, total, ids: words.slice(6, 6 + n), mask: words.slice(6 + n, 6 + 2 * n) };
  }

  /** Takes the values of a pass, of vectors (D); what is beyond them is left out. */
  vectors(run: number, values: Float32Array, { texts, length, pooling, states }: Pass, d: number): void {
    const rows = (pooling === NONE ? 0 : texts) + (states ? texts * length : 0);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, Math.min(values.byteLength, 4 * rows * d));
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

/** The pooling none in a pass. */
const NONE = 4;

/** The inputs record of wasm/abi.go. */
export function packInputs(inputs: readonly Input[]): Uint8Array {
  const parts = inputs.map((input, i) => {
    const wrong = (why: string): M2EmbedError => new M2EmbedError('bad_argument', `input ${i}: ${why}`, { input: i });
    const { text, ids, spans = [] } = partsOf(input);
    if (!Array.isArray(spans)) throw wrong('spans: want a list');
    if (typeof text === 'string') return { kind: 0, bytes: encode(text), spans: packSpans(spans, text.length, 'code units', new Place(text), wrong) };
    const bytes = packIds(ids, () => wrong('want a text, a list of token ids, or an object with one of them and spans'));
    return { kind: 1, bytes, spans: packSpans(spans, bytes.length / 4, 'tokens', undefined, wrong) };
  });
  const total = parts.reduce((n, { bytes, spans }) => n + 12 + padded(bytes.length) + 4 * spans.length, 4);
  const packed = new Uint8Array(total);
  const view = new DataView(packed.buffer);
  view.setUint32(0, parts.length, true);
  let at = 4;
  for (const { kind, bytes, spans } of parts) {
    view.setUint32(at, kind, true);
    view.setUint32(at + 4, bytes.length, true);
    view.setUint32(at + 8, spans.length / 2, true);
    packed.set(bytes, at + 12);
    at += 12 + padded(bytes.length);
    for (const place of spans) {
      view.setUint32(at, place, true);
      at += 4;
    }
  }
  return packed;
}

/** An input's text or ids, and its spans. */
export function partsOf(input: Input): { text?: string; ids?: Int32Array | readonly number[]; spans?: readonly Span[] } {
  if (typeof input === 'string') return { text: input };
  if (typeof input !== 'object' || input === null) return {};
  return Array.isArray(input) || ArrayBuffer.isView(input) ? { ids: input as Int32Array } : (input as { text: string });
}

/** Starts and ends, one after the other. */
function packSpans(spans: readonly Span[], size: number, unit: string, place: Place | undefined, wrong: (why: string) => M2EmbedError): number[] {
  return spans.flatMap((span, k) => {
    const { start, end } = span ?? {};
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= size)) {
      throw wrong(`span ${k} is of ${unit} ${start} to ${end}, want an ascending range within 0 to ${size}`);
    }
    return place ? [place.byteAt(start), place.byteAt(end)] : [start, end];
  });
}

function packIds(list: ArrayLike<number> | undefined, wrong: () => M2EmbedError): Uint8Array {
  const ids = typeof list === 'object' && list !== null ? Array.from(list) : [NaN];
  if (!ids.every((id) => Number.isInteger(id) && Math.abs(id) < 2 ** 31)) throw wrong();
  const bytes = new Uint8Array(4 * ids.length);
  const view = new DataView(bytes.buffer);
  ids.forEach((id, k) => view.setInt32(4 * k, id, true));
  return bytes;
}

function packPassageOptions(o: PassageOptions): Uint8Array {
  const tokens = (name: 'target' | 'max' | 'overlap'): number => {
    if (o[name] === 0 && name !== 'overlap') throw new M2EmbedError('bad_argument', `${name} 0: want a number of tokens`);
    return whole(name, o[name] ?? 0);
  };
  return new Uint8Array(Uint32Array.of(tokens('target'), tokens('max'), tokens('overlap'), choice('format', o.format ?? 'text', ['text', 'markdown'])).buffer);
}

function padded(n: number): number {
  return (n + 3) & ~3;
}

/** The options record of wasm/abi.go. */
export function packOptions(o: EmbedOptions): Uint8Array {
  const record = new Int32Array(6);
  record[0] = o.normalize === undefined ? -1 : o.normalize ? 1 : 0;
  record[1] = packPadding(o.padding);
  // 0 is the module's word for the model's own limit.
  if (o.maxLength === 0) throw new M2EmbedError('bad_argument', 'maxLength 0: want a number of tokens, or leave it out for the limit of the model');
  record[2] = whole('maxLength', o.maxLength ?? 0);
  // TEI's word, whose values have other names: unheard, a text would be cut that should be refused.
  if ('truncate' in o) throw new M2EmbedError('bad_argument', "truncate: want truncation, one of 'keep-sep', 'drop-sep', 'refuse'");
  record[3] = choice('truncation', o.truncation ?? 'keep-sep', ['keep-sep', 'drop-sep', 'refuse']);
  record[4] = choice('pooling', o.pooling ?? 'model', ['model', 'cls', 'mean', 'cls_hidden', 'mean_hidden', 'none']) - 1;
  if (o.dimensions === 0) throw new M2EmbedError('bad_argument', 'dimensions 0: want a number of values, or leave it out for the whole vector');
  record[5] = whole('dimensions', o.dimensions ?? 0);
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
  const word = (i: number): number => view.getUint32(4 * i, true);
  const [count, n] = [word(0), word(1)];
  const each = 5;
  let tokens = 2 + each * count;
  let at = tokens;
  for (let i = 0; i < count; i++) at += word(2 + each * i + 4);
  const take = (values: number): Float32Array => {
    // A copy: linear memory moves on.
    const taken = new Float32Array(bytes.slice(4 * at, 4 * (at + values)).buffer);
    at += values;
    return taken;
  };
  return Array.from({ length: count }, (_, i) => {
    const first = 2 + each * i;
    const vector = take(word(first + 3) * n);
    const spans = Array.from({ length: word(first + 4) }, (): SpanEmbedding => {
      const of = word(tokens++);
      const vector = take(n);
      return { vector: of > 0 ? vector : null, tokens: of };
    });
    return { vector, tokens: word(first), length: word(first + 1), truncated: word(first + 2) !== 0, ...(spans.length > 0 && { spans }) };
  });
}

/** How many tokens or passages to read before others get a turn. */
const PART = 1 << 14;

function* readTokens(bytes: Uint8Array, text: string): Generator<void, Tokenization> {
  const view = new DataView(bytes.buffer);
  const n = view.getUint32(0, true);
  const ids = new Int32Array(n);
  const offsets = new Int32Array(2 * n);
  const tokens = new Array<string>(n);
  const known = new Map<number, string>();
  const decoder = new TextDecoder();
  const place = new Place(text);
  let at = 4 + 12 * n;
  for (let i = 0; i < n; i++) {
    const id = (ids[i] = view.getInt32(4 + 4 * i, true));
    const [start, end] = [0, 4].map((side) => view.getUint32(4 + 4 * n + 8 * i + side, true)) as [number, number];
    if (end > 0) {
      offsets[2 * i] = place.unitAt(start);
      offsets[2 * i + 1] = place.unitAt(end);
    }
    const length = view.getUint32(at, true);
    let token = known.get(id);
    if (token === undefined) known.set(id, (token = decoder.decode(bytes.subarray(at + 4, at + 4 + length))));
    tokens[i] = token;
    at += 4 + length;
    if (i % PART === PART - 1) yield;
  }
  return { ids, tokens, offsets };
}

function* readPassages(bytes: Uint8Array, text: string): Generator<void, Passage[]> {
  const view = new DataView(bytes.buffer);
  const decoder = new TextDecoder();
  const place = new Place(text);
  let at = 0;
  const word = (): number => view.getUint32((at += 4) - 4, true);
  const found: Passage[] = new Array<Passage>(word());
  for (let i = 0; i < found.length; i++) {
    const [start, end] = [place.unitAt(word()), place.unitAt(word())];
    const [tokens, count, above] = [word(), word(), word()];
    const headings = Array.from({ length: count }, () => {
      const length = word();
      return decoder.decode(bytes.subarray(at, (at += length)));
    });
    const context = headings.slice(0, above).join(' > ');
    const piece = text.slice(start, end);
    found[i] = { start, end, tokens, headings, context, text: context === '' ? piece : `${context}\n${piece}` };
    if (i % PART === PART - 1) yield;
  }
  return found;
}
