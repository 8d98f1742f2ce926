/**
 * Makes the library that the page comes with: the texts of library/ and the
 * manual, cut as the page cuts, with vectors of the shipped model in 8 bits
 * and the words counted, in the format of src/search/exchange.ts. What was made is kept in library/.built
 * until texts, model or cutting change.
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const MODEL = here('../host/small/');
const TOKENS = 160;

const titles = { 'the-time-machine.md': 'The Time Machine', 'treasure-island.md': 'Treasure Island', 'recipes.md': 'Recipes' };
const documents = [
  ...Object.entries(titles).map(([file, name]) => ({ name, text: readFileSync(here(`library/${file}`), 'utf8') })),
  { name: 'The manual of m2embed', text: ['../README.md', '../wasm/js/README.md', '../host/small/README.md'].map((file) => readFileSync(here(file), 'utf8')).join('\n') },
];

/** Where the library lies for this state of texts, model and code. */
function target() {
  const hash = createHash('sha256').update(JSON.stringify([documents, TOKENS]));
  for (const name of readdirSync(MODEL)) if (/\.(json|safetensors)$/.test(name)) hash.update(readFileSync(MODEL + name));
  for (const file of ['library.mjs', 'src/search/cut.ts', 'src/search/place.ts', 'src/search/varint.ts', 'src/search/word-index.ts', 'src/search/words.ts']) hash.update(readFileSync(here(file)));
  return here(`library/.built/library-${hash.digest('hex').slice(0, 12)}.m2embed`);
}

/** The page's own cutting, for Node. */
async function load() {
  const built = await build({ configFile: false, logLevel: 'error', root: here('.'), build: { write: false, minify: false, target: 'es2022', lib: { entry: here('library.ts'), formats: ['es'] } } });
  return import(`data:text/javascript;base64,${Buffer.from(built[0].output[0].code).toString('base64')}`);
}

/** The vectors (n, D) as bytes: the largest number of each is 127 or -127. */
function rounded(vectors) {
  const [{ length }] = vectors;
  const bytes = new Int8Array(vectors.length * length);
  for (const [i, vector] of vectors.entries()) {
    const largest = vector.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    for (const [j, x] of vector.entries()) bytes[i * length + j] = Math.round((x / largest) * 127);
  }
  return bytes;
}

async function make(file) {
  const { cut, headingAt, inOnePass, markdownPlaces, sections, titleOf, vectorsOf, WordIndex } = await load();
  const { M2Embed } = await import('../wasm/js/dist/index.js');
  const model = await M2Embed.load(MODEL);
  const header = {};
  const data = [];
  const about = [];
  const index = new WordIndex();
  let at = 0;
  const add = (name, dtype, shape, array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    header[name] = { dtype, shape, data_offsets: [at, (at += bytes.length)] };
    data.push(bytes);
  };
  for (const [i, { name, text }] of documents.entries()) {
    const places = markdownPlaces(text);
    const passages = await cut(model, text, { target: TOKENS, most: 1.5 * TOKENS }, sections(text, places), new AbortController().signal);
    const vectors = [];
    while (vectors.length < passages.length) {
      const n = inOnePass(passages, vectors.length, model.info.maxLength, false);
      vectors.push(...(await vectorsOf(model, text, [passages.slice(vectors.length, vectors.length + n)], {})));
    }
    add(`vectors.${i}`, 'I8', [vectors.length, vectors[0].length], rounded(vectors));
    while (at % 4 !== 0) data.push(new Uint8Array([0])) && at++;
    for (const { start, end } of passages) index.add({ text: text.slice(start, end), heading: `${titleOf(name)}\n${headingAt(places, start)}` });
    add(`passages.${i}`, 'I32', [passages.length, 3], Int32Array.from(passages.flatMap(({ start, end, tokens }) => [start, end, tokens])));
    about.push({ name, text, places, mode: 'passages', size: TOKENS, model: '', dimension: vectors[0].length });
  }
  await model.dispose();
  const words = index.save();
  add('words', 'U8', [words.length, 1], words);
  header.__metadata__ = { format: 'm2embed library 1', documents: JSON.stringify(about) };
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  rmSync(here('library/.built'), { recursive: true, force: true });
  mkdirSync(here('library/.built'), { recursive: true });
  writeFileSync(file, Buffer.concat([size, padded, ...data]));
}

const file = target();
if (!existsSync(file)) await make(file);
