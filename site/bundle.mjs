/** Prints what a visitor downloads, and fails when the scripts outgrow their budget. */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';

/** Bytes of gzip that all scripts may have, without the libraries that load on demand. */
const BUDGET = 150_000;
const ON_DEMAND = /^(pdf|html|umap|postal-mime)/;

const folder = fileURLToPath(new URL('dist/assets/', import.meta.url));
const rows = readdirSync(folder).map((name) => {
  const bytes = readFileSync(folder + name);
  return { name, raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length };
});
rows.sort((a, b) => b.gzip - a.gzip);
const line = (cells) => `| ${String(cells[0]).padEnd(34)} | ${cells.slice(1).map((cell) => String(cell).padStart(9)).join(' | ')} |`;
console.log(line(['file', 'raw', 'gzip', 'brotli']));
console.log(line(['---', '---:', '---:', '---:']));
for (const { name, raw, gzip, brotli } of rows) console.log(line([name, raw, gzip, brotli]));
const scripts = rows.filter(({ name }) => /\.m?js$/.test(name) && !ON_DEMAND.test(name));
const sum = scripts.reduce((total, { gzip }) => total + gzip, 0);
console.log(`Scripts without the libraries for PDF, markup, UMAP and e-mail: ${sum} bytes gzip, budget ${BUDGET}.`);
if (sum > BUDGET) process.exit(1);
