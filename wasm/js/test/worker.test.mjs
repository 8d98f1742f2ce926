// The worker-backed model, in Node's worker threads and in a real page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { M2Embed } from '../dist/index.js';
import { M2EmbedError, M2EmbedWorker } from '../dist/worker.js';
import { chromium } from './browsers.mjs';
import { serve } from './serve.mjs';

const folder = new URL('../../../testdata/tiny/', import.meta.url);
const texts = Array.from({ length: 23 }, (_, i) => `text ${i} ${'more '.repeat(i)}`);
const direct = await M2Embed.load(folder);
const want = await direct.embed(texts);

for (const workers of [1, 2]) {
  test(`${workers} worker`, async (t) => {
    const stages = new Set();
    const model = await M2EmbedWorker.load(folder, { workers, onProgress: (p) => stages.add(p.stage) });
    t.after(() => model.dispose());
    assert.ok(stages.has('weights') && stages.has('ready'));
    assert.deepEqual(model.info, direct.info);
    assert.ok(model.memory >= workers * direct.info.weightBytes);
    const seen = [];
    assert.deepEqual(await model.embed(texts, { onProgress: (p) => seen.push(p.done) }), want);
    assert.ok(seen.length > 2 && Math.abs(seen.at(-1) - 1) < 1e-9);
    assert.deepEqual(await model.embed(texts, { padding: 'longest' }), await direct.embed(texts, { padding: 'longest' }));
    assert.deepEqual(await model.embed('text 0 '), want[0]);
    assert.deepEqual(await model.tokenize('a text'), await direct.tokenize('a text'));
    assert.equal(await model.similarity('a', 'b'), await direct.similarity('a', 'b'));
    await assert.rejects(model.embed('w '.repeat(600), { truncate: 'error' }), (e) => e instanceof M2EmbedError && e.code === 'too_long');
    await assert.rejects(model.embed(texts, { signal: AbortSignal.abort(new Error('before')) }), /before/);
    const controller = new AbortController();
    await assert.rejects(model.embed(texts, { signal: controller.signal, onProgress: () => controller.abort(new Error('stop')) }), /stop/);
    assert.deepEqual(await model.embed(texts.slice(0, 3)), want.slice(0, 3));
  });
}

test('a load that fails, an aborted one, and disposal', async () => {
  await assert.rejects(M2EmbedWorker.load('/no/such/folder'), (e) => e instanceof M2EmbedError && e.code === 'network');
  await assert.rejects(M2EmbedWorker.load(folder, { workers: 0 }), (e) => e.code === 'bad_argument');
  const controller = new AbortController();
  const load = M2EmbedWorker.load(folder, { signal: controller.signal, onProgress: () => controller.abort(new Error('stop')) });
  await assert.rejects(load, /stop/);
  const model = await M2EmbedWorker.load(folder);
  const work = model.embed(texts);
  const refused = assert.rejects(work, (e) => e.code === 'bad_handle');
  await model.dispose();
  await refused;
  await assert.rejects(model.embed('x'), (e) => e.code === 'bad_handle');
});

test('in Chromium: the page stays live, and weights are kept', async (t) => {
  const server = await serve();
  t.after(() => server.close());
  const browser = await chromium(`${server.url}/wasm/js/parity/page.html`);
  t.after(() => browser.close());
  const result = await browser.evaluate(async (texts) => {
    const { M2EmbedWorker } = await import('/wasm/js/dist/worker.js');
    const cached = [];
    const load = async () => {
      const seen = [];
      const model = await M2EmbedWorker.load('/testdata/tiny/', { onProgress: (p) => p.stage === 'weights' && seen.push(p.cached) });
      cached.push(seen.every(Boolean));
      return model;
    };
    (await load()).dispose();
    const model = await load();
    // A damaged entry is noticed and replaced.
    const cache = await caches.open('m2embed');
    const [key] = await cache.keys();
    const good = await (await cache.match(key)).arrayBuffer();
    await cache.put(key, new Response(good.slice(0, 1000)));
    (await load()).dispose();
    const healed = (await (await cache.match(key)).arrayBuffer()).byteLength === good.byteLength;
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5);
    const vectors = await model.embed(texts);
    clearInterval(timer);
    return { cached, healed, longest, vectors: vectors.map((v) => Array.from(v)) };
  }, texts);
  assert.deepEqual(result.cached, [false, true, false]);
  assert.ok(result.healed);
  t.diagnostic(`longest wait of the page: ${result.longest.toFixed(0)} ms`);
  assert.deepEqual(result.vectors, want.map((v) => Array.from(v)));
});
