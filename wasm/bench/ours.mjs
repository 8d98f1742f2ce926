// Embeds token ids in Node with the package: ours.mjs FOLDER. Each line of
// input, {"length"}, is answered by {"seconds", "cpu", "memory"}.
import { createInterface } from 'node:readline';
import { M2Embed } from '../js/dist/index.js';

const started = performance.now();
const model = await M2Embed.load(process.argv[2]);
console.log(JSON.stringify({ open: (performance.now() - started) / 1000, memory: model.memory, weights: model.info.weightBytes }));
for await (const line of createInterface({ input: process.stdin })) {
  const { length } = JSON.parse(line);
  const vocabulary = model.info.vocabularySize - 1;
  const ids = Int32Array.from({ length }, (_, i) => 1 + ((1000 + i * 7919) % vocabulary));
  const start = performance.now();
  const cpu = process.cpuUsage();
  try {
    await model.embed(ids, { padding: 'none' });
    const { user, system } = process.cpuUsage(cpu);
    console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6, memory: model.memory }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
process.exit(0);
