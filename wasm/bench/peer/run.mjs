// Runs an ONNX encoder in onnxruntime-web, one thread: run.mjs FILE. Each line
// of input, {"length"}, is answered by {"seconds", "cpu", "memory"} or {"error"}.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import ort from 'onnxruntime-web';

ort.env.wasm.numThreads = 1;
const started = performance.now();
const session = await ort.InferenceSession.create(readFileSync(process.argv[2]), { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });
const memory = () => process.memoryUsage().rss;
console.log(JSON.stringify({ open: (performance.now() - started) / 1000, memory: memory() }));
for await (const line of createInterface({ input: process.stdin })) {
  const { length } = JSON.parse(line);
  try {
    const feeds = {
      input_ids: new ort.Tensor('int64', BigInt64Array.from({ length }, (_, i) => BigInt(1000 + ((i * 7919) % 29000))), [1, length]),
      position_ids: new ort.Tensor('int64', BigInt64Array.from({ length }, (_, i) => BigInt(i)), [1, length]),
    };
    const start = performance.now();
    const cpu = process.cpuUsage();
    const out = await session.run(feeds);
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const hidden = Object.values(out)[0];
    if (hidden.dims[1] !== length || !Number.isFinite(hidden.data[0])) throw new Error(`strange output ${hidden.dims}`);
    console.log(JSON.stringify({ seconds, cpu: (user + system) / 1e6, memory: memory() }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error.message ?? error).split('\n')[0].slice(0, 200) }));
  }
}
process.exit(0);
