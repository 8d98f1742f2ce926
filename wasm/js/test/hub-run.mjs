// Loads a model from a hub in Bun or Deno, with a token: hub-run.mjs ADDRESS prints a vector.
import { M2Embed } from '../dist/index.js';

const [address] = process.argv.slice(2);
const model = await M2Embed.load('me/model', { hub: address, revision: 'v1', token: 'secret', cache: false });
console.log(JSON.stringify(Array.from(await model.embed('A text'))));
