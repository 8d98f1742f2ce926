// deno run --allow-read examples/deno.ts MODEL_FOLDER "a text"
import { M2Embed } from 'npm:m2embed';

const [folder, ...texts] = Deno.args;
const model = await M2Embed.load(folder);
for (const e of await model.embedDetailed(texts, { padding: 'none' })) {
  console.log(`${e.tokens} tokens, run at ${e.length}, first value ${e.vector[0]}`);
}
