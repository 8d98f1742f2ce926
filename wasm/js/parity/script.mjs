// Node, Deno and Bun: script.mjs BASE prints the found bits as JSON.
import { M2Embed } from '../dist/index.js';
import { run } from './client.mjs';

const base = (globalThis.Deno?.args ?? process.argv.slice(2)).at(-1);
console.log(JSON.stringify(await run((files) => M2Embed.load(files), base)));
