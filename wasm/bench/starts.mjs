// Times the start of an instance (instantiate and initialise, the module being
// compiled). As a script of Node, Deno or Bun it prints one line of JSON.
import { readFileSync } from 'node:fs';
import { Instance } from '../js/dist/abi.js';

const module = new WebAssembly.Module(readFileSync(new URL('../module/m2embed.wasm', import.meta.url)));
const times = [];
let memory = 0;
for (let i = 0; i < 9; i++) {
  const start = performance.now();
  memory = (await Instance.create(module)).memory;
  times.push(performance.now() - start);
}
console.log(JSON.stringify({ times, memory }));
