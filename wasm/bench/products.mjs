// Times matrix products: the bare kernel, and the same through core/kernel in a
// merged module, in turns. products.mjs KERNELS.WASM PRODUCT.WASM prints JSON.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const [kernelFile, productFile] = process.argv.slice(2);
const memory = new WebAssembly.Memory({ initial: 700 });
const bare = (await WebAssembly.instantiate(readFileSync(kernelFile), { env: { memory } })).instance.exports;
const wasi = new WASI({ version: 'preview1' });
const { instance } = await WebAssembly.instantiate(readFileSync(productFile), wasi.getImportObject());
wasi.initialize(instance);
const merged = instance.exports;

const median = (list) => list.slice().sort((a, b) => a - b)[list.length >> 1];
const shapes = [
  [128, 768, 768], [2048, 2304, 768], [2048, 768, 768], [96, 1536, 192], [96, 192, 768], [31, 768, 768],
];
const rows = [];
for (const bits of [32, 8, 16]) {
  for (const [m, n, k] of shapes) {
    merged.prepare(m, n, k, bits);
    // The bare kernel on 96 regrouped rows of the same matrix.
    const bareRows = 96;
    const a = 65536;
    const panels = a + 4 * bareRows * k;
    const c = panels + 4 * n * k;
    const scales = c + 4 * bareRows * n;
    new Float32Array(memory.buffer, a, (scales - a) / 4).fill(0.01);
    const runBare = () => {
      if (bits === 32) bare.gemm_f32_blocks(c, n, a, bareRows, n, k, panels, 0);
      else bare[`gemm_i${bits}_blocks`](c, n, a, scales, bareRows, n, k, panels, scales, 0);
    };
    const time = (f, repeat) => {
      const start = performance.now();
      for (let i = 0; i < repeat; i++) f();
      return (performance.now() - start) / repeat;
    };
    const work = (r) => (2 * r * n * k) / 1e6;
    const repeatMerged = Math.max(1, Math.round(200 / work(m)));
    const repeatBare = Math.max(1, Math.round(200 / work(bareRows)));
    time(runBare, repeatBare);
    time(() => merged.multiply(), repeatMerged);
    const found = [[], []];
    for (let round = 0; round < 21; round++) {
      found[0].push(work(bareRows) / time(runBare, repeatBare));
      found[1].push(work(m) / time(() => merged.multiply(), repeatMerged));
    }
    rows.push({ dtype: bits === 32 ? 'f32' : `int${bits}`, shape: `${m} x ${n} x ${k}`, bare: median(found[0]), merged: median(found[1]), ratio: median(found[1].map((x, i) => x / found[0][i])), best: Math.max(...found[1]) });
  }
}
console.log(JSON.stringify(rows));
