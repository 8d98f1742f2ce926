// Makes the packages that stand beside m2embed, in wasm/build/packages: the
// module as text (m2embed-inline) and models. packages.mjs [MODEL_NAME FOLDER]…
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = here('../build/packages/');
const { version, license } = JSON.parse(readFileSync(here('package.json'), 'utf8'));

function start(name, description, more, notices = here('./')) {
  const folder = `${out}${name}/`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(here('LICENSE'), `${folder}LICENSE`);
  copyFileSync(`${notices}NOTICE`, `${folder}NOTICE`);
  writeFileSync(`${folder}package.json`, `${JSON.stringify({ name, version, description, license, engines: { node: '>=20' }, type: 'module', main: './index.js', types: './index.d.ts', ...more }, null, 2)}\n`);
  return folder;
}

const inline = start('m2embed-inline', 'The WebAssembly module of m2embed as text, for the entry m2embed/inline.', {
  sideEffects: false,
  exports: { '.': { types: './index.d.ts', default: './index.js' }, './package.json': './package.json' },
});
const text = gzipSync(readFileSync(here('dist/m2embed.wasm')), { level: 9 }).toString('base64');
writeFileSync(`${inline}index.js`, `/** m2embed.wasm: base64 of gzip. */\nexport const text = '${text}';\n`);
writeFileSync(`${inline}index.d.ts`, '/** m2embed.wasm: base64 of gzip. */\nexport declare const text: string;\n');
writeFileSync(`${inline}README.md`, '# m2embed-inline\n\nThe WebAssembly module of [m2embed](https://www.npmjs.com/package/m2embed) as text. Install it beside m2embed and import\n`m2embed/inline` where files cannot be emitted or fetched.\n');

const FILES = ['config.json', 'tokenizer.json', 'model.safetensors'];

for (let args = process.argv.slice(2); args.length > 1; args = args.slice(2)) {
  const [name, from] = args;
  const folder = start(name, `A model for m2embed: ${name.replace(/^m2embed-/, '')}.`, {
    sideEffects: false,
    exports: {
      '.': { types: './index.d.ts', workerd: './workerd.js', deno: './disk.js', bun: './bun.js', browser: './index.js', node: './disk.js', default: './index.js' },
      ...Object.fromEntries(FILES.map((file) => [`./${file}`, `./${file}`])),
      './package.json': './package.json',
    },
  }, here('../../'));
  for (const file of FILES) copyFileSync(`${from}/${file}`, folder + file);
  // Bundlers would take JSON for code.
  for (const file of ['config', 'tokenizer']) copyFileSync(`${from}/${file}.json`, `${folder}${file}.bin`);
  const entry = (body) => `/** The files of the model, for M2Embed.load. */\n${body}`;
  const files = (of) => `export default {\n  config: ${of('config.json')},\n  tokenizer: ${of('tokenizer.json')},\n  weights: ${of('model.safetensors')},\n};\n`;
  writeFileSync(
    `${folder}index.js`,
    entry(`// Bundlers know the second expression and emit the file. Vite's development
// server moves this script away from the files; the first finds them again.
const [, moved] = /^(.*\\/node_modules\\/)\\.vite[^/]*\\/deps[^/]*\\//.exec(import.meta.url) ?? [];
const beside = (name) => moved && \`\${moved}${name}/\${name}\`;

${files((file) => file.replace('.json', '.bin')).replace(/: (.*),/g, ": beside('$1') ?? new URL('./$1', import.meta.url).href,")}`),
  );
  writeFileSync(`${folder}disk.js`, entry(`// Kept apart from new URL(…), in which bundlers for servers would see a file of a page.\nconst here = import.meta.url;\n\n${files((file) => `new URL('./${file}', here)`)}`));
  writeFileSync(`${folder}bun.js`, entry(`${FILES.map((file, i) => `import file${i} from './${file}' with { type: 'file' };`).join('\n')}\n\n// Inside of a compiled program only Bun itself reads files.\nconst source = (path) => (/\\$bunfs|~BUN/.test(path) ? Bun.file(path) : path);\n\n${files((file) => `source(file${FILES.indexOf(file)})`)}`));
  writeFileSync(
    `${folder}workerd.js`,
    entry(`// JSON is part of the script; the weights are a Data module, by a rule of wrangler's: see the README.
import config from './config.json';
import tokenizer from './tokenizer.json';
import weights from './model.safetensors';

const bytes = (value) => new TextEncoder().encode(JSON.stringify(value));

export default { config: bytes(config), tokenizer: bytes(tokenizer), weights };
`),
  );
  writeFileSync(
    `${folder}index.d.ts`,
    `/** The files of the model, for M2Embed.load. */
declare const files: {
  config: string | URL | Uint8Array;
  tokenizer: string | URL | Uint8Array;
  weights: string | URL | ArrayBuffer;
};
export default files;
`,
  );
  writeFileSync(
    `${folder}README.md`,
    `# ${name}

A model for [m2embed](https://www.npmjs.com/package/m2embed), as files and as an entry:

\`\`\`js
import { M2Embed } from 'm2embed';
import files from '${name}';

const model = await M2Embed.load(files);
\`\`\`

Node, Deno and Bun read it from disk; bundlers emit the files as assets. In a Cloudflare Worker the weights are a Data module,
by this rule in wrangler.toml:

\`\`\`toml
[[rules]]
type = "Data"
globs = ["**/*.safetensors"]
fallthrough = true
\`\`\`

\`npx m2embed copy public/models\` copies the files into a site, for \`M2Embed.load('/models/${name}/')\`.
`,
  );
}
