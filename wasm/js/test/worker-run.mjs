// Two workers in Bun or Deno: worker-run.mjs FOLDER ADDRESS prints the vectors of both as JSON.
import { M2EmbedWorker } from '../dist/worker.js';

const found = [];
for (const source of (globalThis.Deno?.args ?? process.argv.slice(2)).slice(-2)) {
  const model = await M2EmbedWorker.load(source, { workers: 2 });
  const vectors = await model.embed(Array.from({ length: 3 }, (_, i) => `text ${i} ${'more '.repeat(i)}`));
  found.push(vectors.map((v) => Array.from(v)));
  await model.dispose();
}
console.log(JSON.stringify(found));
