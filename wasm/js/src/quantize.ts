/** Vectors in fewer bits, and their similarity. */

import { M2EmbedError } from './types.js';

/** A vector in 8 bits: value i is `scale * data[i]`. */
export interface Int8Vector {
  /** (D) */
  data: Int8Array;
  scale: number;
}

/** A vector (D) in 8 bits, scaled so that its largest value is 127. */
export function toInt8(vector: Float32Array): Int8Vector {
  let most = 0;
  for (const x of vector) most = Math.max(most, Math.abs(x));
  const scale = most / 127;
  return { data: Int8Array.from(vector, (x) => (scale > 0 ? Math.round(x / scale) : 0)), scale };
}

/** The signs of a vector (D) as D/8 bytes, rounded up: bit 7 of byte 0 is 1 where value 0 is above 0. */
export function toBinary(vector: Float32Array): Uint8Array {
  const bits = new Uint8Array(Math.ceil(vector.length / 8));
  vector.forEach((x, i) => {
    if (x > 0) bits[i >> 3]! |= 0x80 >> (i & 7);
  });
  return bits;
}

/** Cosine of two vectors in 8 bits; their scales do not matter to it. */
export function cosineInt8(a: Int8Vector, b: Int8Vector): number {
  same(a.data.length, b.data.length);
  let [product, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.data.length; i++) {
    const [x, y] = [a.data[i]!, b.data[i]!];
    product += x * y;
    aa += x * x;
    bb += y * y;
  }
  return product / Math.max(Math.sqrt(aa * bb), 1e-24);
}

/** The cosine that two vectors of signs speak for: cos(π · h), with h the share of bits that differ. */
export function similarityBinary(a: Uint8Array, b: Uint8Array): number {
  return a.length === 0 && b.length === 0 ? 0 : Math.cos((Math.PI * hamming(a, b)) / (8 * a.length));
}

/** How many bits differ. */
export function hamming(a: Uint8Array, b: Uint8Array): number {
  same(a.length, b.length);
  let bits = 0;
  for (let i = 0; i < a.length; i++) {
    for (let x = a[i]! ^ b[i]!; x !== 0; x &= x - 1) bits++;
  }
  return bits;
}

function same(a: number, b: number): void {
  if (a !== b) throw new M2EmbedError('bad_argument', `vectors of ${a} and ${b} values`);
}
