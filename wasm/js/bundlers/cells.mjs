// One cell a bundler and mode: what is installed, the user's files, how it is
// built, and where the result is looked at. Nothing else is configured, but for
// what \`note\` says.
import { cloudflare, html, page, program, route, wrangler } from './sources.mjs';

const module = (src) => `<script type="module" src="${src}"></script>`;
const vite = (version) => {
  const install = [`vite@${version}`];
  const files = { 'src/main.js': page(), 'index.html': html(module('/src/main.js')) };
  const name = `Vite ${version.split('.')[0]}`;
  return [
    { name: `${name} dev`, group: name, install, files, dev: ['vite', '--port', 'PORT', '--strictPort'] },
    { name: `${name} build`, group: name, install, files, build: [['vite', 'build']], site: 'dist' },
  ];
};

const webpack = (mode) => ({
  name: `webpack 5 ${mode}`,
  group: 'webpack',
  install: ['webpack@5.113.0', 'webpack-cli@7.3.1'],
  files: { 'src/main.js': page(), 'index.html': html('<script defer src="dist/main.js"></script>') },
  build: [['webpack', '--mode', mode, '--entry', './src/main.js']],
  site: '.',
});

/** For those that emit no files: the module inline, the worker's script as an entry of its own, the model copied. */
const copied = page('m2embed/inline', `M2Embed.load('models/m2embed-small/', { workers: 1, createWorker: () => new Worker('dist/worker-host.js', { type: 'module' }) })`, '')
  .replace("import small from 'm2embed-small';", "const small = 'models/m2embed-small/';");
const emitsNothing = { site: '.', inline: true, note: '`m2embed/inline`, models by `npx m2embed copy`, `m2embed/worker-host` as a second entry' };
const host = "import 'm2embed/worker-host';\n";

const next = (name, flag) => ({
  name: `Next 16 ${name}`,
  group: `Next ${name}`,
  install: ['next@16.4.6', 'react@19', 'react-dom@19'],
  files: {
    'app/layout.jsx': 'export default function Layout({ children }) { return <html><body>{children}</body></html>; }\n',
    'app/page.jsx': "import Client from './client';\nexport default function Page() { return <Client />; }\n",
    'app/client.jsx': `'use client';\nimport { useEffect } from 'react';\nexport default function Client() { useEffect(() => void import('./embed'), []); return <p>m2embed</p>; }\n`,
    'app/embed.js': page(),
    'app/api/embed/route.js': route,
  },
  build: [['next', 'build', flag]],
  dev: ['next', 'start', '-p', 'PORT'],
  paths: ['/', '/api/embed'],
});

export const cells = [
  ...['5.4.21', '6.4.6', '7.3.8', '8.3.8'].flatMap(vite),
  webpack('development'),
  webpack('production'),
  { name: 'Parcel 2', group: 'Parcel', install: ['parcel@2.16.4'], files: { 'src/main.js': page(), 'index.html': html(module('src/main.js')) }, build: [['parcel', 'build', 'index.html', '--no-cache']], site: 'dist' },
  { name: 'esbuild', group: 'esbuild', install: ['esbuild@0.28.2'], ...emitsNothing, files: { 'src/main.js': copied, 'src/worker-host.js': host, 'index.html': html(module('dist/main.js')) }, build: [['esbuild', 'src/main.js', 'src/worker-host.js', '--bundle', '--minify', '--format=esm', '--outdir=dist']] },
  {
    name: 'Rollup 4',
    group: 'Rollup',
    install: ['rollup@4.68.8', '@rollup/plugin-node-resolve@16.0.3'],
    ...emitsNothing,
    files: { 'src/main.js': copied, 'src/worker-host.js': host, 'index.html': html(module('dist/main.js')) },
    build: [['rollup', 'src/main.js', 'src/worker-host.js', '-d', 'dist', '-p', 'node-resolve={browser:true}']],
  },
  { name: 'Bun build', group: 'Bun', install: [], ...emitsNothing, quick: true, files: { 'src/main.js': copied, 'src/worker-host.js': host, 'index.html': html(module('dist/main.js')) }, build: [['bun', 'build', 'src/main.js', 'src/worker-host.js', '--target=browser', '--outdir=dist']] },
  { name: 'Bun --compile', group: 'Bun compile', install: [], quick: true, files: { 'main.js': program() }, build: [['bun', 'build', '--compile', 'main.js', '--outfile', 'program']], program: ['./program'], away: true },
  { name: 'Node', group: 'Node', install: [], quick: true, files: { 'main.js': program() }, program: ['node', 'main.js'] },
  { name: 'Node, workers', group: 'Node', install: [], quick: true, files: { 'main.js': program(', { workers: 2 }') }, program: ['node', 'main.js'] },
  { name: 'Bun', group: 'Node', install: [], quick: true, files: { 'main.js': program() }, program: ['bun', 'main.js'] },
  { name: 'Deno', group: 'Node', install: [], quick: true, files: { 'main.js': program() }, program: ['deno', 'run', '--allow-read', '--node-modules-dir=manual', 'main.js'] },
  next('Turbopack', '--turbopack'),
  next('webpack', '--webpack'),
  { name: 'Astro 5', group: 'Astro', install: ['astro@5.9.4'], files: { 'src/embed.js': page(), 'src/pages/index.astro': html("<body><p>m2embed</p><script>import '../embed.js';</script></body>") }, build: [['astro', 'build']], site: 'dist' },
  { name: 'wrangler dev', group: 'wrangler', install: ['wrangler@4.80.0'], files: { 'main.js': cloudflare, 'wrangler.toml': wrangler }, dev: ['wrangler', 'dev', '--port', 'PORT'], paths: ['/?text=A%20text'], fetched: true, note: 'the rule for `**/*.safetensors`' },
  { name: 'wrangler deploy', group: 'wrangler', install: ['wrangler@4.80.0'], files: { 'main.js': cloudflare, 'wrangler.toml': wrangler }, build: [['wrangler', 'deploy', '--dry-run', '--outdir', 'dist']], workerd: 'dist', note: 'the rule for `**/*.safetensors`' },
  {
    name: 'Chrome extension',
    group: 'MV3',
    install: [],
    quick: true,
    extension: true,
    files: {
      'manifest.json': JSON.stringify({ manifest_version: 3, name: 'm2embed', version: '1', background: { service_worker: 'background.js', type: 'module' }, content_security_policy: { extension_pages: "script-src 'self' 'wasm-unsafe-eval'; object-src 'self'" } }),
      'page.js': page('./m2embed/index.js', 'M2EmbedWorker.load(small)', "import { M2EmbedWorker } from './m2embed/worker.js';").replace("'m2embed-small'", "'./m2embed-small/index.js'"),
      'page.html': html(module('page.js')),
      'background.js': page('./m2embed/index.js', "M2Embed.load(small, { backend: 'auto' })", '').replace("'m2embed-small'", "'./m2embed-small/index.js'").replace("'worker'", "'auto'"),
    },
    note: "`script-src 'wasm-unsafe-eval'` in the manifest",
  },
  {
    name: 'file:// page',
    group: 'file',
    install: [],
    quick: true,
    file: true,
    inline: true,
    files: {
      'main.js': `import { M2Embed } from 'm2embed/inline';\nglobalThis.embed = async (input) => {\n  const [config, tokenizer, weights] = ['config.json', 'tokenizer.json', 'model.safetensors'].map((name) => [...input.files].find((file) => file.name === name));\n  const model = await M2Embed.load({ config, tokenizer, weights });\n  return { page: Array.from(await model.embed('A text')) };\n};\n`,
      'index.html': html('<input type="file" multiple><script src="dist/main.js"></script>'),
    },
    build: [['bun', 'build', 'main.js', '--target=browser', '--format=iife', '--outdir=dist']],
    note: '`m2embed/inline`, one script; the model is picked by the user',
  },
];
