import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** A model that lies beside the page. */
function model(name, folder) {
  const files = ['config.json', 'tokenizer.json', 'model.safetensors'].map((name) => ({ name, bytes: readFileSync(`${folder}/${name}`) }));
  const hash = createHash('sha256');
  for (const { bytes } of files) hash.update(bytes);
  return { name, folder: `models/${name}-${hash.digest('hex').slice(0, 8)}`, files, bytes: files.reduce((sum, { bytes }) => sum + bytes.length, 0), card: readFileSync(`${folder}/README.md`) };
}

const builtIn = model('m2-bert-small', here('../host/small'));

/** The larger one, which is fetched when it is chosen. */
const larger = model('m2-bert-base', here('../host/base'));

/** What the page knows of a model. */
const known = ({ name, folder, bytes }) => ({ name, folder, bytes });

/** The library that the page comes with, as library.mjs made it. */
function library() {
  const folder = here('library/.built');
  const [name] = existsSync(folder) ? readdirSync(folder) : [];
  if (!name) throw new Error('library/.built is empty: run node library.mjs');
  return { file: `library/${name}`, bytes: readFileSync(`${folder}/${name}`) };
}

const shipped = library();

/** Other origins whose libraries a link may open: M2EMBED_LIBRARIES="https://a.example https://b.example". */
const libraries = (process.env.M2EMBED_LIBRARIES ?? '').split(/\s+/).filter((one) => one !== '');
for (const one of libraries) if (!URL.canParse(one) || new URL(one).origin !== one) throw new Error(`M2EMBED_LIBRARIES: ${one} is no origin such as https://example.org`);
const connect = ["'self'", ...libraries].join(' ');

/** Puts the model's files, the common vocabulary and the character maps for PDFs beside the page. */
function assets() {
  return {
    name: 'assets',
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: shipped.file, source: shipped.bytes });
      for (const { folder, files, card } of [builtIn, larger]) {
        this.emitFile({ type: 'asset', fileName: `${folder}/card.md`, source: card });
        for (const { name, bytes } of files) this.emitFile({ type: 'asset', fileName: `${folder}/${name}`, source: bytes });
      }
      for (const name of ['LICENSE', 'NOTICE']) this.emitFile({ type: 'asset', fileName: `${name}.txt`, source: readFileSync(here(`../${name}`)) });
      this.emitFile({ type: 'asset', fileName: 'models/bert-base-uncased.json', source: readFileSync(here('../testdata/tokenizer/bert-base-uncased.json')) });
      for (const folder of ['cmaps', 'standard_fonts']) {
        const from = here(`node_modules/pdfjs-dist/${folder}`);
        for (const name of readdirSync(from)) {
          if (!name.startsWith('LICENSE')) this.emitFile({ type: 'asset', fileName: `pdf/${folder}/${name}`, source: readFileSync(`${from}/${name}`) });
        }
      }
    },
  };
}

/**
 * Tells the service worker which files to keep: everything but the weights,
 * which the page keeps itself while they stream in, the larger model and the PDF
 * extras.
 */
function precache() {
  return {
    name: 'precache',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const worker = bundle['sw.js'];
        const names = Object.keys(bundle).filter((name) => !/^(sw\.js$|pdf\/|LICENSE|NOTICE)|card\.md$|\.safetensors$|\.map$/.test(name) && !name.startsWith(`${larger.folder}/`)).sort();
        const hash = createHash('sha256');
        for (const name of names) hash.update(name).update(bundle[name].code ?? bundle[name].source);
        names.push('./', 'icon.svg', 'manifest.webmanifest');
        worker.code = worker.code.replace(/["'`]%FILES%["'`]/, JSON.stringify(JSON.stringify(names))).replace('%VERSION%', hash.digest('hex').slice(0, 12));
        if (worker.code.includes('%FILES%')) throw new Error('the service worker has no list of files');
      },
    },
  };
}

/** Puts the model's size and folder into the page, and lets the scripts of its first view, the search, come along. */
function facts() {
  // Where the source is published; the page names no address of its own accord.
  const source = /^https:\/\/[^"<>\s]+$/.exec(process.env.M2EMBED_SOURCE ?? '')?.[0];
  const megabytes = builtIn.bytes / 1e6;
  const values = { SOURCE: source ? `<a href="${source}">Source</a> · ` : '', MODEL_SIZE: `${megabytes.toFixed(1)} MB`, MODEL_FOLDER: builtIn.folder, LIBRARY: shipped.file, CONNECT: connect };
  return {
    name: 'facts',
    closeBundle() {
      const headers = here('dist/_headers');
      writeFileSync(headers, readFileSync(headers, 'utf8').replace("connect-src 'self'", `connect-src ${connect}`));
    },
    transformIndexHtml(html, { bundle }) {
      const search = Object.values(bundle ?? {}).find((chunk) => chunk.type === 'chunk' && chunk.name === 'search');
      const early = search ? [search.fileName, ...search.imports].filter((file) => !html.includes(file)) : [];
      return {
        html: html.replace(/%([A-Z_]+)%/g, (all, name) => values[name] ?? all),
        tags: early.map((file) => ({ tag: 'link', attrs: { rel: 'modulepreload', crossorigin: true, href: `./${file}` }, injectTo: 'head' })),
      };
    },
  };
}

export default defineConfig({
  logLevel: 'warn',
  base: './',
  define: {
    __LIBRARY__: JSON.stringify(shipped.file),
    __LIBRARIES__: JSON.stringify(libraries),
    __MODEL__: JSON.stringify(known(builtIn)),
    __COSINES__: JSON.stringify(readFileSync(here('kernel/.built/cosines.wasm'), 'base64')),
    __LARGER__: JSON.stringify(known(larger)),
  },
  resolve: {
    alias: [
      { find: /^m2embed$/, replacement: here('../wasm/js/dist/index.js') },
      { find: /^m2embed\/(.*)$/, replacement: here('../wasm/js/dist/$1') + '' },
    ],
    extensions: ['.ts', '.js', '.mjs', '.json'],
  },
  worker: {
    format: 'es',
    rollupOptions: {
      output: { chunkFileNames: (chunk) => (chunk.moduleIds.some((id) => id.includes('/umap-js/')) ? 'assets/umap-[hash].js' : 'assets/[name]-[hash].js') },
    },
  },
  plugins: [assets(), precache(), facts()],
  build: {
    target: 'es2022',
    outDir: 'dist',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 4096,
    rollupOptions: {
      checks: { pluginTimings: false },
      input: { index: here('index.html'), sw: here('src/sw.ts') },
      output: { entryFileNames: (chunk) => (chunk.name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js') },
    },
  },
});
