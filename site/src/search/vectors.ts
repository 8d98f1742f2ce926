/**
 * The vectors of all passages in 8 bits, in memory of WebAssembly's: what is
 * looked through for each query. (JavaScript takes ten times as long for the
 * same in floats.) The largest error of a cosine is that of rounding, some
 * thousandths.
 */

/** Numbers of the query: twelve bits, so that sums of 8,192 products fit into 32. */
const QUERY = 2047;
const PAGE = 65536;

type Cosines = (d: number, vectors: number, steps: number, out: number, from: number, to: number, step: number) => void;

let compiled: WebAssembly.Module | undefined;

export class Vectors {
  private readonly memory = new WebAssembly.Memory({ initial: 1 });
  private readonly cosinesOf: Cosines;
  /** How many vectors fit. */
  private room = 0;
  /** D with zeros up to a multiple of 16. */
  private readonly wide: number;
  /** How many there are. */
  size = 0;
  private gone = new Set<number>();

  constructor(private readonly d: number) {
    this.wide = Math.ceil(d / 16) * 16;
    compiled ??= new WebAssembly.Module(Uint8Array.from(atob(__COSINES__), (letter) => letter.charCodeAt(0)));
    this.cosinesOf = new WebAssembly.Instance(compiled, { env: { memory: this.memory } }).exports['cosines'] as Cosines;
  }

  /** Adds a vector (D) of unit length; one of another length has no cosines. */
  push(vector: Float32Array): void {
    this.reserve(this.size + 1);
    if (vector.length !== this.d) return this.remove(this.size++);
    const largest = vector.reduce((most, x) => Math.max(most, Math.abs(x)), 0) || 1;
    const { buffer } = this.memory;
    const integers = new Int8Array(buffer, this.at.vectors + this.size * this.wide, this.d);
    let squares = 0;
    for (let j = 0; j < this.d; j++) squares += (integers[j] = Math.round((vector[j]! / largest) * 127)) ** 2;
    new Float32Array(buffer, this.at.steps, this.room)[this.size++] = 1 / Math.sqrt(squares || 1);
  }

  /** Takes a vector out; the others keep their numbers. */
  remove(row: number): void {
    this.gone.add(row);
  }

  /** Cosines (n) with a query of unit length, until the next call; NaN for those that were taken out. */
  cosines(query: Float32Array): Float32Array {
    const { buffer } = this.memory;
    const { vectors, steps, out } = this.at;
    const largest = query.reduce((most, x) => Math.max(most, Math.abs(x)), 0) || 1;
    const integers = new Int16Array(buffer, 0, this.wide).fill(0);
    for (let j = 0; j < this.d; j++) integers[j] = Math.round((query[j]! / largest) * QUERY);
    this.cosinesOf(this.wide, vectors, steps, out, 0, this.size, largest / QUERY);
    const cosines = new Float32Array(buffer, out, this.size);
    for (const row of this.gone) cosines[row] = NaN;
    return cosines;
  }

  /** Where things lie: query, vectors, steps, cosines. */
  private get at(): { vectors: number; steps: number; out: number } {
    const vectors = 2 * this.wide;
    const steps = vectors + this.room * this.wide;
    return { vectors, steps, out: steps + 4 * this.room };
  }

  /** Makes room for so many vectors in all. */
  reserve(size: number): void {
    if (size <= this.room) return;
    const before = this.at;
    const steps = new Float32Array(this.memory.buffer, before.steps, this.size).slice();
    this.room = Math.max(size, Math.ceil(this.room * 1.5));
    const end = this.at.out + 4 * this.room;
    const pages = Math.ceil(end / PAGE) - this.memory.buffer.byteLength / PAGE;
    if (pages > 0) this.memory.grow(pages);
    // Where the steps lay there will be vectors.
    new Uint8Array(this.memory.buffer, before.steps).fill(0);
    new Float32Array(this.memory.buffer, this.at.steps, this.room).set(steps);
  }
}
