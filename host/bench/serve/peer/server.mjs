// A minimal server around onnxruntime with dynamic batching: what waits and has
// the same length runs together, at most 32 texts. POST {"input": text} is
// answered like OpenAI's embeddings, by the mean of bert.onnx's hidden states.
// Words stand for tokens. The first line of output names the runtime and the port.
import { createServer } from 'node:http';
import ort from 'onnxruntime-node';

const [threads, most, hidden] = [Number(process.argv[2]), 32, 768];
const session = await ort.InferenceSession.create('bert-f32.onnx', {
  executionProviders: ['cpu'],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
});
const waiting = [];
let busy = false;

async function work() {
  if (busy) return;
  busy = true;
  while (waiting.length > 0) {
    const { length } = waiting[0];
    const batch = waiting.filter((w) => w.length === length).slice(0, most);
    for (const w of batch) waiting.splice(waiting.indexOf(w), 1);
    const ids = BigInt64Array.from({ length: batch.length * length }, (_, i) => BigInt(1000 + ((i * 7919) % 29000)));
    const positions = BigInt64Array.from({ length }, (_, i) => BigInt(i));
    const out = await session.run({
      input_ids: new ort.Tensor('int64', ids, [batch.length, length]),
      position_ids: new ort.Tensor('int64', positions, [1, length]),
    });
    const { data } = Object.values(out)[0];
    batch.forEach((w, b) => {
      const mean = new Float32Array(hidden);
      for (let t = 0; t < length; t++) for (let d = 0; d < hidden; d++) mean[d] += data[(b * length + t) * hidden + d] / length;
      w.answer(Array.from(mean));
    });
  }
  busy = false;
}

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const { input } = JSON.parse(Buffer.concat(parts).toString());
  const length = input.split(' ').length + 2;
  waiting.push({
    length,
    answer(embedding) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ data: [{ embedding, index: 0 }], usage: { prompt_tokens: length } }));
    },
  });
  setImmediate(work); // what came with it comes along
});
server.listen(0, '127.0.0.1', () => console.log(`onnxruntime-node ${ort.env.versions.node} in Node ${process.version}`, server.address().port));
