/**
 * Builds the custom element m2embed-search twice. Scripts that need nothing else
 * go into host/siteindex/scripts, from where the command line takes them. The npm
 * package m2embed-search, beside the others in wasm/build/packages, imports
 * m2embed, whose worker and module every bundler knows how to emit.
 */

import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = here('../wasm/build/packages/m2embed-search/');
const scripts = here('../host/siteindex/scripts/');
/** Bytes of gzip that a page fetches before the first query. */
const BUDGET = 15_000;

/** Builds into a folder; `external` are imports that stay. */
const into = (outDir, external) =>
  build({
    configFile: false,
    logLevel: 'warn',
    root: here('element'),
    base: './',
    publicDir: false,
    resolve: { alias: external.length > 0 ? [] : [{ find: /^m2embed\/(.*)$/, replacement: `${here('../wasm/js/dist/')}$1` }], extensions: ['.ts', '.js'] },
    worker: { format: 'es', rollupOptions: { output: { entryFileNames: 'm2embed-host.js', chunkFileNames: 'm2embed-host-[name].js' } } },
    build: {
      target: 'es2022',
      minify: external.length === 0, // a site's own bundler sees to it
      outDir,
      // As a library: what Vite adds to imports of pages would be added twice.
      ...(external.length > 0 && { lib: { entry: here('element/m2embed-search.ts'), formats: ['es'], fileName: 'm2embed-search' } }),
      emptyOutDir: true,
      modulePreload: false,
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 4096,
      reportCompressedSize: false,
      rollupOptions: {
        checks: { pluginTimings: false },
        external,
        ...(external.length === 0 && { input: { 'm2embed-search': here('element/m2embed-search.ts') } }),
        preserveEntrySignatures: 'strict',
        output: { entryFileNames: '[name].js', chunkFileNames: 'm2embed-[name].js', assetFileNames: '[name][extname]' },
      },
    },
  });

const whole = mkdtempSync(`${tmpdir()}/m2embed-element-`);
try {
  await into(whole, []);
  const names = readdirSync(whole);
  const size = gzipSync(readFileSync(`${whole}/m2embed-search.js`), { level: 9 }).length;
  console.log(`m2embed-search.js: ${size} bytes gzip, budget ${BUDGET}; ${names.join(', ')}`);
  if (size > BUDGET) process.exit(1);
  for (const name of readdirSync(scripts)) if (name.endsWith('.js')) rmSync(scripts + name);
  mkdirSync(scripts, { recursive: true });
  for (const name of names) if (name.endsWith('.js')) copyFileSync(`${whole}/${name}`, scripts + name);
} finally {
  rmSync(whole, { recursive: true, force: true });
}

await into(out, ['m2embed/worker']);
const { version, license } = JSON.parse(readFileSync(here('../wasm/js/package.json'), 'utf8'));
for (const file of ['LICENSE', 'NOTICE']) copyFileSync(here(`../${file}`), out + file);
copyFileSync(here('element/README.md'), `${out}README.md`);
writeFileSync(`${out}package.json`, `${JSON.stringify(
  {
    name: 'm2embed-search', version, license, type: 'module', main: './m2embed-search.js', types: './m2embed-search.d.ts',
    description: 'A custom element that searches a static site by words and by meaning, in the browser.',
    exports: { '.': { types: './m2embed-search.d.ts', default: './m2embed-search.js' }, './*': './*' },
    sideEffects: true, dependencies: { m2embed: version },
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
