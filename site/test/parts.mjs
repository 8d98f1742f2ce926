/** Modules of the page, for Node: built once for all tests. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const site = fileURLToPath(new URL('..', import.meta.url));
const [{ output }] = await build({
  configFile: false,
  logLevel: 'error',
  root: site,
  define: { __COSINES__: JSON.stringify(readFileSync(`${site}kernel/.built/cosines.wasm`, 'base64')) },
  build: { write: false, minify: false, target: 'es2022', lib: { entry: `${site}test/parts.ts`, formats: ['es'] } },
});
export const { meaning, parse, parseJson, parseJsonLines, rank, readDocx, readEpub, readHtml, readOpenDocument, readSubtitles, readXlsx, stem, Vectors, WordIndex } = await import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString('base64')}`);
