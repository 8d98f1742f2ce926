// The package as others get it: its types, and what the tarball holds.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

const here = fileURLToPath(new URL('..', import.meta.url));
const exec = promisify(execFile);

for (const [module, resolution] of [['nodenext', 'nodenext'], ['esnext', 'bundler']]) {
  test(`a consumer compiles, ${resolution}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'm2embed-'));
    t.after(() => rmSync(folder, { recursive: true }));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(here, join(folder, 'node_modules/m2embed'));
    cpSync(new URL('consumer/use.ts', import.meta.url), join(folder, 'use.ts'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const options = ['--strict', '--noEmit', '--target', 'es2022', '--lib', 'es2022,dom,dom.iterable', '--types', '', '--module', module, '--moduleResolution', resolution];
    await exec(join(here, 'node_modules/.bin/tsc'), [...options, 'use.ts'], { cwd: folder }).catch((error) => assert.fail(error.stdout));
  });
}

test('the tarball', async () => {
  const { stdout } = await exec('npm', ['pack', '--dry-run', '--json', '--offline'], { cwd: here });
  const [{ files, size }] = JSON.parse(stdout);
  assert.ok(size <= 1_100_000, `${size} bytes packed`);
  const names = files.map((file) => file.path);
  for (const name of ['LICENSE', 'NOTICE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts', 'dist/worker.js', 'dist/worker-host.js', 'dist/edge.js', 'dist/m2embed.wasm']) {
    assert.ok(names.includes(name), `${name} is missing`);
  }
  assert.deepEqual(names.filter((name) => !/^(dist\/|LICENSE$|NOTICE$|README\.md$|bin\.mjs$|(worker|worker-host|pipeline|edge|inline|langchain|ai-sdk|hub)\/package\.json$|package\.json$)/.test(name)), []);
  const [own, all] = [here, join(here, '../..')].map((folder) => readFileSync(join(folder, 'NOTICE'), 'utf8'));
  const [head, libraries] = own.split('\n\n\n');
  assert.ok(all.startsWith(head) && all.includes(libraries.trimEnd()) && /golang\.org/.test(libraries), own);
  assert.deepEqual(readFileSync(join(here, 'LICENSE')), readFileSync(join(here, '../..', 'LICENSE')));
});

test('the scripts of the main entry, beside the module', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'm2embed-'));
  t.after(() => rmSync(folder, { recursive: true }));
  await exec(join(here, 'node_modules/bun/bin/bun.exe'), ['build', join(here, 'dist/index.js'), '--target=browser', '--minify', '--splitting', '--outdir', folder]);
  const fetched = new Set();
  const follow = (name) => {
    if (fetched.has(name)) return;
    fetched.add(name);
    for (const [, from] of readFileSync(join(folder, name), 'utf8').matchAll(/(?:from|import)"\.\/([^"]+)"/g)) follow(from);
  };
  follow('index.js');
  const size = [...fetched].reduce((n, name) => n + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length, 0);
  t.diagnostic(`${size} bytes gzip in ${fetched.size} files`);
  assert.ok(fetched.size > 1 && size <= 20_000, `${size} bytes`);
});

test('publint has nothing to say', async () => {
  for (const folder of [here, ...['m2embed-small', 'm2embed-base', 'm2embed-inline'].map((name) => join(here, '../build/packages', name))]) {
    const { stdout } = await exec(join(here, 'node_modules/.bin/publint'), ['--strict', folder]).catch((error) => assert.fail(error.stdout));
    assert.match(stdout, /All good/);
  }
});

test('attw has nothing to say', async () => {
  // The package is ES modules alone; a wasm file has no types that every resolution knows.
  const options = ['--profile', 'esm-only', '--exclude-entrypoints', 'm2embed.wasm', '--no-color', '--no-emoji', '--pack', '.'];
  await exec(join(here, 'node_modules/.bin/attw'), options, { cwd: here }).catch((error) => assert.fail(error.stdout + error.stderr));
});
