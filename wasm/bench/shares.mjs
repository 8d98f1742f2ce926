// Prints the long convolution's share of a pass in the merged module:
// shares.mjs PRODUCT.WASM LONGEST.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const [file, longest] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1' });
const { instance } = await WebAssembly.instantiate(readFileSync(file), wasi.getImportObject());
wasi.initialize(instance);
const { memory, measureShares, shareTable } = instance.exports;
const length = measureShares(Number(longest));
console.log(new TextDecoder().decode(new Uint8Array(memory.buffer, shareTable(), length)));
