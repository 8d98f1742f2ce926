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
for (const quantized of [0, 1]) {
  for (const [m, n, k] of shapes) {
    merged.prepare(m, n, k, quantized);
    // The bare kernel on 96 rows of the same matrix, panel by panel.
    const bareRows = 96;
    const a = 65536;
    const panels = a + 4 * bareRows * k;
    const c = panels + 4 * n * k;
    const scales = c + 4 * bareRows * n;
    new Float32Array(memory.buffer, a, (scales - a) / 4).fill(0.01);
    const runBare = () => {
      for (let j = 0; j < n; j += 8) {
        if (quantized) bare.gemm_i8(c + 4 * j, n, a, scales, bareRows, 8, k, panels + j * k, scales, 0);
        else bare.gemm_f32(c + 4 * j, n, a, k, bareRows, 8, k, panels + 4 * j * k, 0);
      }
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
    rows.push({ dtype: quantized ? 'int8' : 'f32', shape: `${m} x ${n} x ${k}`, bare: median(found[0]), merged: median(found[1]), ratio: median(found[1].map((x, i) => x / found[0][i])), best: Math.max(...found[1]) });
  }
}
console.log(JSON.stringify(rows));
