// node examples/node.mjs MODEL_FOLDER "a text" "another text"
import { M2Embed } from 'm2embed';

const [folder, ...texts] = process.argv.slice(2);
const model = await M2Embed.load(folder);
const [first, ...others] = await model.embed(texts, { normalize: true });
console.log(`${first.length} values a vector`);
for (const [i, other] of others.entries()) {
  console.log((await model.similarity(first, other)).toFixed(4), texts[i + 1]);
}
await model.dispose();
