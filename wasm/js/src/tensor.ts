/** Vectors as one array with dimensions: what transformers.js returns. */

import { M2EmbedError } from './types.js';

/** What a dimension is cut to: all of it, one index of it (which drops the dimension), or from a start to an end. */
export type Slice = null | number | readonly [number, number];

/** Arrays of numbers, as many levels as there are dimensions. */
export type Nested = number[] | number[][] | number[][][];

type Data = Float32Array | Int8Array | Uint8Array;

/** Values of shape `dims`; `tensor[i]` is row i, and iterating gives the rows. */
export class FeatureTensor<T extends Data = Float32Array> implements Iterable<FeatureTensor<T> | number> {
  readonly [row: number]: FeatureTensor<T>;

  constructor(
    readonly data: T,
    readonly dims: readonly number[],
  ) {
    const row = (name: string | symbol): number => (typeof name === 'string' && /^\d+$/.test(name) ? Number(name) : -1);
    return new Proxy(this, {
      get: (tensor, name) => (row(name) < 0 ? Reflect.get(tensor, name) : row(name) < tensor.dims[0]! ? tensor.at(row(name)) : undefined),
      has: (tensor, name) => (row(name) < 0 ? Reflect.has(tensor, name) : row(name) < tensor.dims[0]!),
    });
  }

  get type(): 'float32' | 'int8' | 'uint8' {
    return this.data instanceof Float32Array ? 'float32' : this.data instanceof Int8Array ? 'int8' : 'uint8';
  }

  get size(): number {
    return this.data.length;
  }

  *[Symbol.iterator](): Generator<FeatureTensor<T> | number> {
    const [rows = 0] = this.dims;
    for (let i = 0; i < rows; i++) yield this.dims.length > 1 ? this.at(i) : this.data[i]!;
  }

  /** A part, one slice a dimension; a copy. */
  slice(...slices: readonly Slice[]): FeatureTensor<T> {
    if (slices.length > this.dims.length) throw new M2EmbedError('bad_argument', `slice: ${slices.length} slices of ${this.dims.length} dimensions`);
    const ranges = this.dims.map((n, i) => range(slices[i] ?? null, n));
    let indices = [0];
    ranges.forEach(({ start, end }, i) => {
      const n = this.dims[i]!;
      indices = indices.flatMap((at) => Array.from({ length: end - start }, (_, k) => at * n + start + k));
    });
    const data = new (this.data.constructor as new (n: number) => T)(indices.length);
    indices.forEach((from, to) => (data[to] = this.data[from]!));
    return new FeatureTensor(data, ranges.filter((r) => !r.drops).map(({ start, end }) => end - start));
  }

  /** Nested arrays. */
  tolist<N extends Nested = number[] | number[][]>(): N {
    if (this.dims.length < 2) return Array.from(this.data) as N;
    return Array.from({ length: this.dims[0]! }, (_, i) => this.at(i).tolist()) as N;
  }

  /** A copy with rows along the last dimension scaled to unit length. */
  normalize(p = 2, dim = -1): FeatureTensor {
    const last = this.dims.length - 1;
    if (p !== 2 || (dim !== -1 && dim !== last)) throw new M2EmbedError('bad_argument', `normalize(${p}, ${dim}): want the norm 2 along the last dimension`);
    const data = Float32Array.from(this.data);
    const size = this.dims[last]!;
    for (let at = 0; at < data.length; at += size) {
      const row = data.subarray(at, at + size);
      const norm = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
      if (norm > 0) row.forEach((x, i) => (row[i] = x / norm));
    }
    return new FeatureTensor(data, this.dims);
  }

  /** Nothing is held outside of JavaScript's memory. */
  dispose(): void {}

  private at(i: number): FeatureTensor<T> {
    const inner = this.dims.slice(1);
    const size = inner.reduce((n, d) => n * d, 1);
    return new FeatureTensor(this.data.subarray(i * size, (i + 1) * size) as T, inner);
  }
}

function range(slice: Slice, n: number): { start: number; end: number; drops: boolean } {
  if (slice === null) return { start: 0, end: n, drops: false };
  const drops = typeof slice === 'number';
  const [from, to] = drops ? [slice, slice + 1 || n] : slice;
  const place = (i: number): number => Math.min(n, Math.max(0, i < 0 ? i + n : i));
  const [start, end] = [place(from), place(to)];
  if (!Number.isInteger(from) || !Number.isInteger(to) || (drops && start + 1 !== end)) throw new M2EmbedError('bad_argument', `slice ${JSON.stringify(slice)}: want whole numbers within ${n}`);
  return { start, end: Math.max(start, end), drops };
}
