/** Groups of passages: spherical k-means from spread-out beginnings. */

import { random } from './random.js';

const ROUNDS = 12;
export const MOST_GROUPS = 10;

/** The group (n) of each unit vector of (n, d). */
export function groups(vectors: Float32Array, n: number, d: number): Uint8Array {
  const k = n < 6 ? 1 : Math.max(2, Math.min(MOST_GROUPS, Math.round(Math.sqrt(n / 2))));
  const group = new Uint8Array(n);
  if (k === 1) return group;
  const next = random(3);
  const centres = [vectors.slice(0, d)];
  const near = new Float32Array(n).fill(-Infinity);
  // Each further centre is a passage, the likelier the farther it is from the others.
  while (centres.length < k) {
    const last = centres.at(-1)!;
    let total = 0;
    for (let i = 0; i < n; i++) {
      near[i] = Math.max(near[i]!, dot(vectors, i * d, last, d));
      total += Math.max(0, 1 - near[i]!) ** 2;
    }
    let at = next() * total;
    let chosen = 0;
    for (let i = 0; i < n; i++) {
      at -= Math.max(0, 1 - near[i]!) ** 2;
      chosen = i;
      if (at <= 0) break;
    }
    centres.push(vectors.slice(chosen * d, (chosen + 1) * d));
  }
  for (let round = 0; round < ROUNDS; round++) {
    let moved = 0;
    for (let i = 0; i < n; i++) {
      let best = 0;
      let most = -Infinity;
      for (let c = 0; c < k; c++) {
        const score = dot(vectors, i * d, centres[c]!, d);
        if (score > most) [best, most] = [c, score];
      }
      if (group[i] !== best) moved++;
      group[i] = best;
    }
    if (moved === 0) break;
    for (const centre of centres) centre.fill(0);
    for (let i = 0; i < n; i++) for (let j = 0, centre = centres[group[i]!]!; j < d; j++) centre[j]! += vectors[i * d + j]!;
    for (const centre of centres) {
      const norm = Math.sqrt(centre.reduce((sum, a) => sum + a * a, 0)) || 1;
      for (let j = 0; j < d; j++) centre[j]! /= norm;
    }
  }
  return bySize(group, k);
}

/** Numbers groups by falling size; empty ones vanish. */
function bySize(group: Uint8Array, k: number): Uint8Array {
  const sizes = new Array<number>(k).fill(0);
  for (const g of group) sizes[g]!++;
  const rank = sizes.map((_, g) => g).sort((a, b) => sizes[b]! - sizes[a]!);
  return group.map((g) => rank.indexOf(g));
}

function dot(a: Float32Array, from: number, b: Float32Array, d: number): number {
  let sum = 0;
  for (let j = 0; j < d; j++) sum += a[from + j]! * b[j]!;
  return sum;
}
