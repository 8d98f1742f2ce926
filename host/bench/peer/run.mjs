// Runs bert-f32.onnx and bert-int8.onnx for host/bench. The first line of output
// names the runtime. Each line of input, {"dtype", "threads", "length"}, is
// answered by {"seconds", "processor"} or {"error"}.
import { createInterface } from 'node:readline';
import ort from 'onnxruntime-node';

const sessions = new Map();

async function session(dtype, threads) {
  const key = `${dtype} ${threads}`;
  if (!sessions.has(key)) {
    sessions.set(key, await ort.InferenceSession.create(`bert-${dtype}.onnx`, {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
    }));
  }
  return sessions.get(key);
}

async function run({ dtype, threads, length }) {
  const s = await session(dtype, threads);
  const ids = BigInt64Array.from({ length }, (_, i) => BigInt(1000 + ((i * 7919) % 29000)));
  const positions = BigInt64Array.from({ length }, (_, i) => BigInt(i));
  const feeds = {
    input_ids: new ort.Tensor('int64', ids, [1, length]),
    position_ids: new ort.Tensor('int64', positions, [1, length]),
  };
  const before = process.cpuUsage();
  const start = performance.now();
  const out = await s.run(feeds);
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(before);
  const hidden = Object.values(out)[0];
  if (hidden.dims[1] !== length || !Number.isFinite(hidden.data[0])) throw new Error(`strange output ${hidden.dims}`);
  return { seconds, processor: (used.user + used.system) / 1e6 };
}

process.stdout.write(`onnxruntime-node ${ort.env.versions.node} in Node ${process.version}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  let reply;
  try {
    reply = await run(JSON.parse(line));
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(reply) + '\n');
}
