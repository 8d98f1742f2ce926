/** Principal components by orthogonal iteration: no matrix but the data is ever formed. */

import { random } from './random.js';

const ROUNDS = 14;

/** Coordinates (n, k) of vectors (n, d) along their k directions of most variance. */
export function principal(vectors: Float32Array, n: number, d: number, k: number): Float32Array {
  k = Math.min(k, d);
  const mean = new Float64Array(d);
  for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) mean[j]! += vectors[i * d + j]! / n;
  const next = random(1);
  let axes = Array.from({ length: k }, () => Float64Array.from({ length: d }, () => next() - 0.5));
  orthonormalize(axes);
  const points = new Float32Array(n * k);
  const project = (): void => {
    const shift = axes.map((axis) => axis.reduce((sum, a, j) => sum + a * mean[j]!, 0));
    for (let i = 0; i < n; i++) {
      for (let c = 0; c < k; c++) {
        const axis = axes[c]!;
        let sum = -shift[c]!;
        for (let j = 0; j < d; j++) sum += vectors[i * d + j]! * axis[j]!;
        points[i * k + c] = sum;
      }
    }
  };
  for (let round = 0; round < ROUNDS; round++) {
    project();
    const raised = axes.map(() => new Float64Array(d));
    for (let c = 0; c < k; c++) {
      const axis = raised[c]!;
      let total = 0;
      for (let i = 0; i < n; i++) {
        const weight = points[i * k + c]!;
        total += weight;
        for (let j = 0; j < d; j++) axis[j]! += weight * vectors[i * d + j]!;
      }
      for (let j = 0; j < d; j++) axis[j]! -= total * mean[j]!;
    }
    axes = raised;
    orthonormalize(axes);
  }
  project();
  return points;
}

/** Gram and Schmidt's process, in place. An axis without variance becomes zero. */
function orthonormalize(axes: Float64Array[]): void {
  for (const [c, axis] of axes.entries()) {
    for (let twice = 0; twice < 2; twice++) {
      for (const other of axes.slice(0, c)) {
        const share = axis.reduce((sum, a, j) => sum + a * other[j]!, 0);
        for (let j = 0; j < axis.length; j++) axis[j]! -= share * other[j]!;
      }
    }
    const norm = Math.sqrt(axis.reduce((sum, a) => sum + a * a, 0));
    for (let j = 0; j < axis.length; j++) axis[j] = norm > 1e-12 ? axis[j]! / norm : 0;
  }
}
