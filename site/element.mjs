/**
 * Builds the custom element m2embed-search: into the npm package m2embed-search
 * beside the others (wasm/build/packages), and its scripts into
 * host/siteindex/scripts, from where the command line takes them.
 */

import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = here('../wasm/build/packages/m2embed-search/');
const scripts = here('../host/siteindex/scripts/');
/** Bytes of gzip that a page fetches before the first query. */
const BUDGET = 15_000;

rmSync(out, { recursive: true, force: true });
await build({
  configFile: false,
  logLevel: 'warn',
  root: here('element'),
  base: './',
  publicDir: false,
  resolve: { alias: [{ find: /^m2embed\/(.*)$/, replacement: `${here('../wasm/js/dist/')}$1` }], extensions: ['.ts', '.js'] },
  worker: { format: 'es', rollupOptions: { output: { entryFileNames: 'm2embed-host.js', chunkFileNames: 'm2embed-host-[name].js' } } },
  build: {
    target: 'es2022',
    outDir: out,
    emptyOutDir: true,
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
    rollupOptions: {
      checks: { pluginTimings: false },
      input: { 'm2embed-search': here('element/m2embed-search.ts') },
      preserveEntrySignatures: 'strict',
      output: { entryFileNames: '[name].js', chunkFileNames: 'm2embed-[name].js', assetFileNames: '[name][extname]' },
    },
  },
});
const names = readdirSync(out);
const size = gzipSync(readFileSync(`${out}m2embed-search.js`), { level: 9 }).length;
console.log(`m2embed-search.js: ${size} bytes gzip, budget ${BUDGET}; ${names.join(', ')}`);
if (size > BUDGET) process.exit(1);
for (const name of readdirSync(scripts)) if (name.endsWith('.js')) rmSync(scripts + name);
mkdirSync(scripts, { recursive: true });
for (const name of names) if (name.endsWith('.js')) copyFileSync(out + name, scripts + name);

const { version, license } = JSON.parse(readFileSync(here('../wasm/js/package.json'), 'utf8'));
for (const file of ['LICENSE', 'NOTICE']) copyFileSync(here(`../${file}`), out + file);
copyFileSync(here('element/README.md'), `${out}README.md`);
writeFileSync(`${out}package.json`, `${JSON.stringify(
  {
    name: 'm2embed-search', version, license, type: 'module', main: './m2embed-search.js', types: './m2embed-search.d.ts',
    description: 'A custom element that searches a static site by words and by meaning, in the browser.',
    exports: { '.': { types: './m2embed-search.d.ts', default: './m2embed-search.js' }, './*': './*' },
    sideEffects: true,
  }, null, 2)}\n`);
writeFileSync(`${out}m2embed-search.d.ts`, `/** What the event m2embed-search tells. */
export interface SearchDetail {
  query: string;
  found: number;
  meaning: boolean;
}
/** The custom element m2embed-search; see README.md for its attributes. */
export declare class M2EmbedSearchElement extends HTMLElement {
  /** Searches for a text, as if it had been typed. */
  ask(query: string): Promise<void>;
}
declare global {
  interface HTMLElementTagNameMap {
    'm2embed-search': M2EmbedSearchElement;
  }
}
`);
