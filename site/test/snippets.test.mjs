/**
 * Runs the snippets of "Use it" that are the page's own. Those of the package
 * run in its tests: page, edge function and Node.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { builtIn, dist, open, repository, startServer, visit } from './browser.mjs';

const TEXTS = ['A text about the sea', 'Waves and tides'];

test('the page shows the snippets as they are', async (t) => {
  const { page } = await visit(t, { path: '#use' });
  await page.waitForSelector('.snippet pre');
  const shown = await page.$$eval('.snippet pre', (all) => all.map((one) => one.textContent.trimEnd()));
  const files = ['wasm/js/examples/page/index.html', 'site/snippets/worker.js', 'wasm/js/examples/worker/main.js', 'wasm/js/examples/worker/wrangler.toml', 'wasm/js/examples/node.mjs', 'site/snippets/wazero/main.go'];
  assert.deepEqual(shown, files.map((file) => readFileSync(repository + file, 'utf8').trimEnd()));
});

test('the worker and the Go program run, and their vectors are equal', async (t) => {
  const types = { js: 'text/javascript', wasm: 'application/wasm', html: 'text/html' };
  const server = await startServer(t, '/nowhere', {
    before(request, response) {
      const path = new URL(request.url, 'http://localhost').pathname;
      let file;
      if (path === '/worker.js') file = `${repository}site/snippets/worker.js`;
      else if (path.startsWith('/model/')) file = `${dist}/models/${builtIn}${path.slice(6)}`;
      else if (path.startsWith('/package/')) file = `${repository}wasm/js/dist${path.slice(8)}`;
      if (path === '/') return response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><link rel="icon" href="data:,">');
      let bytes = readFileSync(file);
      // What a bundler does with the import.
      if (path === '/worker.js') bytes = bytes.toString().replace("'m2embed'", "'/package/index.js'");
      return response.writeHead(200, { 'content-type': types[path.split('.').at(-1)] ?? 'application/octet-stream' }).end(bytes);
    },
  });
  const page = await (await open()).newPage();
  t.after(() => page.close());
  await page.goto(server.url);
  const vectors = await page.evaluate(
    (texts) =>
      new Promise((resolve, reject) => {
        const worker = new Worker('/worker.js', { type: 'module' });
        worker.onerror = (event) => reject(new Error(event.message));
        worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.vectors.map((vector) => [...vector])));
        // The worker listens once its imports are there.
        const ask = setInterval(() => worker.postMessage({ id: 1, texts }), 300);
        worker.addEventListener('message', () => clearInterval(ask));
      }),
    TEXTS,
  );
  assert.equal(vectors.length, 2);
  const { stdout } = await promisify(execFile)('go', ['run', './site/snippets/wazero', 'wasm/js/dist/m2embed.wasm', `site/dist/models/${builtIn}`, ...TEXTS], { cwd: repository, env: { ...process.env, GOTOOLCHAIN: process.env.GOTOOLCHAIN ?? 'auto' } });
  const printed = [...stdout.matchAll(/^(\d+) numbers, beginning \[(.*?)\]/gm)].map(([, length, numbers]) => ({ length: Number(length), numbers: numbers.split(' ').map((number) => Math.fround(Number(number))) }));
  assert.equal(printed.length, 2, stdout);
  const normalized = JSON.parse(readFileSync(`${dist}/models/${builtIn}/config.json`)).normalize === true;
  for (const [i, { length, numbers }] of printed.entries()) {
    assert.equal(length, vectors[i].length);
    if (normalized) assert.deepEqual(numbers, vectors[i].slice(0, 3), 'the same bits from Chromium and wazero');
  }
});
