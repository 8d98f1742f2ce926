// Runs every example as a user would.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { chromium } from './browsers.mjs';
import { serve } from './serve.mjs';
import { workerd } from './workerd.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
const model = fileURLToPath(new URL('../../../host/small', import.meta.url));
const exec = promisify(execFile);

test('Node', async () => {
  const { stdout } = await exec(process.execPath, ['examples/node.mjs', model, 'one', 'two', 'three'], { cwd: here });
  assert.match(stdout, /^256 values a vector\n-?[01]\.\d{4} two\n-?[01]\.\d{4} three\n$/);
});

test('Bun', async () => {
  const { stdout } = await exec(join(here, 'node_modules/bun/bin/bun.exe'), ['examples/bun.mjs', model, 'one', 'two'], { cwd: here });
  assert.match(stdout, /^2 x 256\n/);
});

test('Deno', async () => {
  const map = `data:application/json,${JSON.stringify({ imports: { 'npm:m2embed': `file://${here}dist/index.js` } })}`;
  const { stdout } = await exec(join(here, 'node_modules/@deno/linux-x64-glibc/deno'), ['run', '--no-config', '--no-lock', '--allow-read', '--import-map', map, 'examples/deno.ts', model, 'one', 'two words'], { cwd: here, env: { ...process.env, NO_COLOR: '1' } });
  assert.match(stdout, /^\d+ tokens, run at \d+, first value -?\d/);
});

test('Cloudflare Worker', async (t) => {
  const script = join(here, 'examples/worker/main.js');
  const data = ['config.json', 'tokenizer.json', 'model.safetensors'].map((name) => ({ type: 'Data', path: `model/${name}`, contents: readFileSync(join(model, name)) }));
  const worker = await workerd(script, readFileSync(script, 'utf8'), data);
  t.after(() => worker.dispose());
  const size = [readFileSync(join(here, 'dist/m2embed.wasm')), ...data.map((d) => d.contents)].reduce((n, b) => n + gzipSync(b).length, 0);
  t.diagnostic(`script, module and model: ${(size / 1e6).toFixed(2)} MB gzip`);
  const post = (body) => worker.dispatchFetch('http://localhost/embed', { method: 'POST', body });
  const response = await post(JSON.stringify({ input: ['first', 'second'] }));
  assert.equal(response.status, 200, await response.clone().text());
  const { data: found } = await response.json();
  assert.equal(found.length, 2);
  assert.equal(found[1].index, 1);
  assert.ok(Math.abs(Math.hypot(...found[0].embedding) - 1) < 1e-6);
  const single = await (await post(JSON.stringify({ input: 'second' }))).json();
  assert.deepEqual(single.data[0].embedding, found[1].embedding);
  assert.equal((await post('no JSON')).status, 400);
  assert.equal((await post('{"input": 7}')).status, 400);
  assert.equal((await worker.dispatchFetch('http://localhost/')).status, 404);
  assert.equal((await worker.dispatchFetch('http://localhost/embed')).status, 405);
});

test('page', async (t) => {
  const server = await serve();
  t.after(() => server.close());
  const browser = await chromium(`${server.url}/wasm/js/examples/page/index.html?model=/host/small/`);
  t.after(() => browser.close());
  const value = () => browser.page.waitForFunction(() => /^-?\d\.\d{4}$/.test(document.getElementById('similarity').value) && document.getElementById('similarity').value);
  const before = await (await value()).jsonValue();
  await browser.page.fill('#b', 'A text about the sea');
  await browser.page.waitForFunction(() => document.getElementById('similarity').value === '1.0000');
  assert.notEqual(before, '1.0000');
});
