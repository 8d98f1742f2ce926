// What is refused with a next step: options that would do nothing, pages in place of files, a closed page.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { M2Embed, M2EmbedError } from 'm2embed';
import { M2EmbedWorker } from 'm2embed/worker';
import { chromium } from './browsers.mjs';
import { serve } from './serve.mjs';

const folder = fileURLToPath(new URL('../../../testdata/tiny', import.meta.url));
const fails = (work, code, text) => assert.rejects(work, (e) => (assert.ok(e instanceof M2EmbedError, String(e)), assert.equal(e.code, code, e.message), assert.match(e.message, text), true));
const html = Buffer.from('<!doctype html><title>Not here</title>');

test('sums that would check nothing', async () => {
  for (const load of [M2Embed.load, M2EmbedWorker.load]) {
    await fails(load(folder, { sha256: { weight: 'ab' } }), 'bad_argument', /no file "weight"/);
    await fails(load(folder, { sha256: { weights: 'ab' } }), 'bad_argument', /64 hex digits/);
  }
});

test('a limit of 0 tokens, and await using', async () => {
  const model = await M2Embed.load(folder);
  await fails(model.embed('x', { maxLength: 0 }), 'bad_argument', /maxLength 0/);
  await model[Symbol.asyncDispose]();
  await fails(model.embed('x'), 'bad_handle', /disposed/);
});

test('one load, in threads too', async () => {
  const direct = await M2Embed.load(folder);
  const threads = await M2Embed.load(folder, { workers: 2 });
  const texts = ['one', 'two', 'three words now'];
  assert.deepEqual(await threads.embed(texts), await direct.embed(texts));
  assert.ok(threads.memory > direct.memory);
  await threads[Symbol.asyncDispose]();
  await direct.dispose();
  await fails(M2Embed.load(folder, { workers: 1, fetch }), 'bad_argument', /fetch: cannot be sent/);
});

test('pages of HTML in place of files name their address', async (t) => {
  const answers = {};
  const server = await serve((_, path) => answers[path.split('/').at(-1)] ?? {});
  t.after(() => server.close());
  const base = `${server.url}/testdata/tiny/`;
  for (const [name, code] of [['config.json', 'bad_config'], ['tokenizer.json', 'bad_tokenizer']]) {
    answers[name] = { body: html };
    await fails(M2Embed.load(base), code, new RegExp(`${name}: the answer is a page of HTML`));
    delete answers[name];
  }
  const module = `${server.url}/wasm/js/dist/m2embed.wasm`;
  answers['m2embed.wasm'] = { body: html, headers: { 'content-type': 'text/html' } };
  await fails(M2Embed.load(base, { module }), 'network', /did not emit m2embed\.wasm/);
  answers['m2embed.wasm'] = { status: 404 };
  await fails(M2Embed.load(base, { module }), 'network', /404.*did not emit m2embed\.wasm/);
});

test('policies that forbid WebAssembly in a page or a worker, or workers, and a package from another origin', async (t) => {
  const policy = (text) => ({ headers: { 'content-security-policy': text } });
  const closed = policy("script-src 'self' 'unsafe-inline'");
  let worker = {};
  const server = await serve((request, path) => {
    if (path.endsWith('worker-host.js')) return worker;
    return request.url.endsWith('?closed') ? closed : request.url.endsWith('?alone') ? policy("worker-src 'none'") : {};
  });
  const away = await serve();
  t.after(() => Promise.all([server.close(), away.close()]));
  const browser = await chromium(`${server.url}/wasm/js/parity/blank.html`);
  t.after(() => browser.close());
  const attempt = async (query, options, from = server.url) => {
    await browser.page.goto(`${server.url}/wasm/js/parity/blank.html${query}`);
    return browser.evaluate(
      async ({ from, options }) => {
        const { M2Embed } = await import(`${from}/wasm/js/dist/index.js`);
        return M2Embed.load('/testdata/tiny/', options).then((model) => model.embed('x').then((v) => v.length), (e) => `${e.name} ${e.code} ${e.message}`);
      },
      { from, options },
    );
  };
  assert.match(await attempt('?closed', {}), /^M2EmbedError bad_argument compile .*script-src 'wasm-unsafe-eval'/);
  assert.match(await attempt('?alone', { workers: 2 }), /^M2EmbedError network the worker did not start: .*worker-src/);
  assert.equal(await attempt('', { workers: 2 }, away.url), 64);
  assert.match(await attempt('?alone', { workers: 1 }, away.url), /^M2EmbedError network the worker did not start: .*worker-src/);
  worker = closed;
  assert.match(await attempt('', { workers: 1 }), /^M2EmbedError bad_argument compile .*script-src 'wasm-unsafe-eval'/);
});

test('npx m2embed copy', async (t) => {
  const out = mkdtempSync(join(tmpdir(), 'm2embed-'));
  t.after(() => rmSync(out, { recursive: true }));
  const bin = fileURLToPath(new URL('../bin.mjs', import.meta.url));
  const run = (...args) => promisify(execFile)(process.execPath, [bin, ...args], { cwd: out });
  await assert.rejects(run('copy', 'models'), /npm install m2embed-small/);
  const { cpSync } = await import('node:fs');
  cpSync(fileURLToPath(new URL('../../build/packages/m2embed-small', import.meta.url)), join(out, 'node_modules/m2embed-small'), { recursive: true });
  await run('copy', 'models');
  assert.deepEqual(readdirSync(join(out, 'models/m2embed-small')).sort(), ['config.json', 'model.safetensors', 'tokenizer.json']);
  await assert.rejects(run('copy', 'models', 'm2embed-other'), /npm install m2embed-other/);
  await assert.rejects(run('help'), /usage/);
});

test('the packages are of one version', async () => {
  const { readFileSync } = await import('node:fs');
  const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
  const { version, peerDependencies } = read('../package.json');
  for (const name of ['m2embed-small', 'm2embed-base', 'm2embed-inline']) assert.equal(read(`../../build/packages/${name}/package.json`).version, version);
  assert.equal(peerDependencies['m2embed-inline'], version);
});
