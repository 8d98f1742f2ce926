// The worker-backed model, in Node's worker threads and in a real page.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { M2Embed } from '../dist/index.js';
import { M2EmbedError, M2EmbedWorker } from 'm2embed/worker';
import { chromium } from './browsers.mjs';
import { serve } from './serve.mjs';

const folder = new URL('../../../testdata/tiny/', import.meta.url);
const texts = Array.from({ length: 23 }, (_, i) => `text ${i} ${'more '.repeat(i)}`);
const here = fileURLToPath(new URL('..', import.meta.url));
const exec = promisify(execFile);
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
    await assert.rejects(model.embed('w '.repeat(600), { truncation: 'refuse' }), (e) => e instanceof M2EmbedError && e.code === 'too_long' && e.input === 0);
    const last = [...texts, 'w '.repeat(600)];
    await assert.rejects(model.embed(last, { truncation: 'refuse' }), (e) => e.input === texts.length && e.message.startsWith(`input ${texts.length}: `));
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

/** The threads that are started while f runs. */
async function threadsOf(f) {
  const threads = [];
  const started = (thread) => threads.push(thread);
  process.on('worker', started);
  try {
    return [await f(), threads];
  } finally {
    process.off('worker', started);
  }
}

const lost = (e) => e instanceof M2EmbedError && e.code === 'instance_lost';

test('a report that throws ends its call and the work', async (t) => {
  const model = await M2EmbedWorker.load(folder, { workers: 2 });
  t.after(() => model.dispose());
  const onProgress = () => {
    throw new RangeError('mine');
  };
  await assert.rejects(model.embed(texts, { onProgress }), /mine/);
  assert.deepEqual(await model.embed(texts), want);
  await assert.rejects(M2EmbedWorker.load(folder, { onProgress }), /mine/);
});

test('an early abort, or a worker that cannot be made, leaves no thread behind', async () => {
  const script = (code) => exec(process.execPath, ['-e', `import('m2embed/worker').then(async ({ M2EmbedWorker }) => { ${code} })`], { timeout: 120_000, cwd: here });
  const load = `(options) => M2EmbedWorker.load(${JSON.stringify(fileURLToPath(folder))}, { workers: 3, ...options })`;
  for (const wait of ['setTimeout(() => stop.abort(), 0)', 'stop.abort()', 'setTimeout(() => stop.abort(), 30)']) {
    const { stdout } = await script(`const stop = new AbortController();
      const loading = (${load})({ signal: stop.signal });
      ${wait};
      await loading.catch((error) => console.log(error.name));`);
    assert.equal(stdout, 'AbortError\n');
  }
  const { stdout } = await script(`const { Worker } = await import('node:worker_threads');
    let made = 0;
    const createWorker = () => {
      if (++made === 2) throw new Error('no second');
      const thread = new Worker(${JSON.stringify(join(here, 'dist/worker-host-node.js'))});
      // The shape of a page's worker.
      return { postMessage: (m) => thread.postMessage(m), terminate: () => thread.terminate() };
    };
    await (${load})({ createWorker }).catch((error) => console.log(error.message));`);
  assert.equal(stdout, 'no second\n');
});

test('one worker dies: the others do its work', async (t) => {
  const [model, threads] = await threadsOf(() => M2EmbedWorker.load(folder, { workers: 3 }));
  t.after(() => model.dispose());
  assert.equal(threads.length, 3);
  const memory = model.memory;
  let killed = false;
  const onProgress = () => {
    if (!killed) threads[1].terminate();
    killed = true;
  };
  assert.deepEqual(await model.embed(texts, { onProgress }), want);
  assert.ok(model.memory < memory);
  // Also where it dies between calls, and the first of them.
  await threads[0].terminate();
  assert.deepEqual(await model.tokenize('a text'), await direct.tokenize('a text'));
  assert.deepEqual(await model.embed(texts), want);
  const last = model.embed(texts);
  void threads[2].terminate();
  await assert.rejects(last, (e) => lost(e) && /the worker stopped: exit status 1/.test(e.message));
  await assert.rejects(model.embed('x'), lost);
  await assert.rejects(model.tokenize('x'), lost);
  assert.equal(model.info.hiddenSize, 64);
});

test('files are fetched once for all workers, with the headers of a request', async (t) => {
  const server = await serve((request) => (request.headers['x-key'] === 'mine' ? {} : { status: 403 }));
  t.after(() => server.close());
  const request = (name) => new Request(`${server.url}/testdata/tiny/${name}`, { headers: { 'X-Key': 'mine' } });
  const model = await M2EmbedWorker.load({ config: request('config.json'), tokenizer: request('tokenizer.json'), weights: request('model.safetensors') }, { workers: 3 });
  t.after(() => model.dispose());
  assert.deepEqual(server.requests.map((r) => r.path.split('/').at(-1)).sort(), ['config.json', 'model.safetensors', 'tokenizer.json']);
  assert.deepEqual(await model.embed(texts), want);
  assert.equal(model.memory > 3 * model.info.weightBytes, true);
  const body = new Request(`${server.url}/x`, { method: 'POST', body: 'x' });
  await assert.rejects(M2EmbedWorker.load({ config: body, tokenizer: body, weights: body }), (e) => e.code === 'bad_argument' && /a POST request/.test(e.message));
});

test('sources that cannot be sent', async () => {
  await assert.rejects(M2EmbedWorker.load({ config: 'config.json', weights: 'x' }), (e) => e.code === 'bad_argument' && /tokenizer: cannot read from undefined/.test(e.message));
  const failing = () => new ReadableStream({ start: (c) => c.error(new Error('gone')) });
  await assert.rejects(M2EmbedWorker.load({ config: failing(), tokenizer: failing(), weights: failing() }), (e) => e.code === 'network' && /gone/.test(e.message));
  const missing = () => new Response('no', { status: 404 });
  await assert.rejects(M2EmbedWorker.load({ config: missing(), tokenizer: missing(), weights: missing() }), (e) => e.code === 'network' && /404/.test(e.message));
});

/** Runs test/worker-run.mjs, and has it load over HTTP as well. */
async function inRuntime(t, command, args) {
  const server = await serve();
  t.after(() => server.close());
  const { stdout } = await exec(command, [...args, fileURLToPath(new URL('worker-run.mjs', import.meta.url)), fileURLToPath(folder), `${server.url}/testdata/tiny/`], { timeout: 60_000, env: { ...process.env, NO_COLOR: '1' } });
  const found = JSON.parse(stdout);
  assert.deepEqual(found, [want.slice(0, 3).map((v) => Array.from(v)), want.slice(0, 3).map((v) => Array.from(v))]);
  t.diagnostic(`requests for 2 workers: ${server.requests.length}`);
}

test('in Bun', (t) => inRuntime(t, join(here, 'node_modules/bun/bin/bun.exe'), ['run']));
test('in Deno', (t) => inRuntime(t, join(here, 'node_modules/@deno/linux-x64-glibc/deno'), ['run', '--allow-all', '--no-config', '--no-lock', '--node-modules-dir=none']));

test('in Chromium: a pool fetches once, loses a worker, and says what is wrong', async (t) => {
  const server = await serve();
  t.after(() => server.close());
  const browser = await chromium(`${server.url}/wasm/js/parity/blank.html`);
  t.after(() => browser.close());
  const result = await browser.evaluate(async (texts) => {
    const { M2EmbedWorker } = await import('/wasm/js/dist/worker.js');
    const workers = [];
    // The package's script, and a way to make it fail.
    const script = `import '${location.origin}/wasm/js/dist/worker-host.js'; addEventListener('message', (e) => { if (e.data.die) setTimeout(() => { throw new Error('killed'); }); });`;
    const address = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
    const createWorker = () => {
      const worker = new Worker(address, { type: 'module' });
      workers.push(worker);
      return worker;
    };
    const model = await M2EmbedWorker.load('/testdata/tiny/', { workers: 2, cache: false, createWorker, module: '/wasm/js/dist/m2embed.wasm' });
    const errors = [];
    const failed = (work) => work.then(() => errors.push('none'), (e) => errors.push(`${e.code}: ${e.message}`));
    workers[0].postMessage({ die: true });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const vectors = (await model.embed(texts)).map((v) => Array.from(v));
    workers[1].postMessage({ die: true });
    await failed(model.embed(texts).then(() => model.embed(texts)).then(() => model.embed(texts)));
    await failed(M2EmbedWorker.load('/testdata/tiny/', { createWorker: () => new Worker('/none.js', { type: 'module' }) }));
    // A worker without an address of its own, that loads by a relative one.
    const lost = `import { M2Embed } from '${location.origin}/wasm/js/dist/index.js'; M2Embed.load('/testdata/tiny/').catch((e) => postMessage(e.code + ': ' + e.message));`;
    const worker = new Worker(URL.createObjectURL(new Blob([lost], { type: 'text/javascript' })), { type: 'module' });
    errors.push(await new Promise((done) => (worker.onmessage = ({ data }) => done(data))));
    worker.terminate();
    return { vectors, errors };
  }, texts);
  assert.deepEqual(result.vectors, want.map((v) => Array.from(v)));
  assert.match(result.errors[0], /^instance_lost: the worker stopped: .*killed/);
  assert.match(result.errors[1], /^network: the worker did not start: its script could not be loaded: check its address, and worker-src/);
  assert.match(result.errors[2], /^network: fetch .*give a whole address/);
  assert.equal(server.requests.filter((r) => r.path.endsWith('.safetensors')).length, 1);
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
    await (await load()).dispose();
    const model = await load();
    // A damaged entry is noticed and replaced.
    const cache = await caches.open('m2embed');
    const [key] = await cache.keys();
    const good = await (await cache.match(key)).arrayBuffer();
    await cache.put(key, new Response(good.slice(0, 1000)));
    await (await load()).dispose();
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
