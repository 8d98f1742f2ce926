// What a page keeps: files that changed, damaged ones, a server that is away.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { chromium, firefox } from './browsers.mjs';
import { serve } from './serve.mjs';

const read = (name) => readFileSync(new URL(`../../../testdata/tiny/${name}`, import.meta.url));
const weights = read('model.safetensors');
const otherWeights = Buffer.from(weights);
otherWeights.fill(0, weights.length - 4096);
const html = Buffer.from('<!doctype html><title>An error page</title>'.padEnd(5000));

/** A page on a server whose files are set by `files[name]`, as serve's change returns them. */
async function page(t, start = chromium) {
  const files = {};
  const server = await serve(async (_, path) => (path.startsWith('/testdata/tiny/') ? { ...files.all, ...(await files[path.split('/').at(-1)]) } : {}));
  t.after(() => server.close());
  const browser = await start(`${server.url}/wasm/js/parity/blank.html`);
  t.after(() => browser.close());
  /** Loads the model: its vector or error, which files were cached, and what the server was asked. */
  const load = async (options = {}) => {
    server.requests.length = 0;
    const found = await browser.evaluate(async (options) => {
      const { M2Embed } = await import('/wasm/js/dist/index.js');
      const cached = {};
      try {
        const model = await M2Embed.load('/testdata/tiny/', { ...options, onProgress: (p) => (cached[p.stage] = p.cached) });
        const vector = Array.from(await model.embed('a text'));
        await model.dispose();
        return { vector, cached };
      } catch (error) {
        return { code: error.code, message: error.message };
      }
    }, options);
    const asked = Object.fromEntries(server.requests.filter((r) => r.path.startsWith('/testdata/')).map((r) => [r.path.split('/').at(-1), r.status]));
    return { ...found, asked };
  };
  const keys = () => browser.evaluate(async () => (await (await caches.open('m2embed')).keys()).map((request) => new URL(request.url).pathname + new URL(request.url).search));
  const cdp = async () => Object.assign(await browser.page.context().newCDPSession(browser.page), { origin: server.url });
  return { files, load, keys, evaluate: browser.evaluate, cdp };
}

for (const start of [chromium, firefox]) {
  test(`${start.name}: kept, asked about, changed, and offline`, async (t) => {
    const { files, load, keys } = await page(t, start);
    const first = await load();
    assert.equal(first.code, undefined, first.message);
    assert.deepEqual([first.cached.config, first.cached.tokenizer, first.cached.weights], [false, false, false]);
    assert.equal((await keys()).length, 3);
    const second = await load();
    assert.deepEqual([second.cached.config, second.cached.tokenizer, second.cached.weights], [true, true, true]);
    assert.deepEqual(second.asked, { 'config.json': 304, 'tokenizer.json': 304, 'model.safetensors': 304 });
    assert.deepEqual(second.vector, first.vector);

    files['model.safetensors'] = { body: otherWeights };
    const changed = await load();
    assert.deepEqual([changed.cached.config, changed.cached.weights], [true, false]);
    assert.notDeepEqual(changed.vector, first.vector);
    files.all = { status: 503 };
    const offline = await load();
    assert.equal(offline.code, undefined, offline.message);
    assert.equal(offline.cached.weights, true);
    assert.deepEqual(offline.vector, changed.vector);
    assert.equal((await keys()).length, 3);
  });
}

test('files are kept after the first vector, or soon where there is none', async (t) => {
  const { evaluate, keys } = await page(t);
  for (const text of ['a text', undefined]) {
    const begun = await evaluate(async (text) => {
      await caches.delete('m2embed');
      const { M2Embed } = await import('/wasm/js/dist/index.js');
      const put = Cache.prototype.put;
      let begun = 0;
      Cache.prototype.put = function (...given) {
        begun++;
        return put.apply(this, given);
      };
      globalThis.model = await M2Embed.load('/testdata/tiny/');
      const before = begun;
      if (text !== undefined) await model.embed(text);
      return before;
    }, text);
    assert.equal(begun, 0);
    for (let tries = 0; (await keys()).length < 3; tries++) {
      assert.ok(tries < 600, 'nothing is kept');
      await new Promise((done) => setTimeout(done, 50));
    }
  }
});

test('an error page as weights is not kept, and does not replace what is kept', async (t) => {
  const { files, load, keys } = await page(t);
  files['model.safetensors'] = { body: html };
  assert.equal((await load()).code, 'bad_weights');
  assert.deepEqual(await keys(), []);
  files['model.safetensors'] = {};
  const good = await load();
  assert.equal(good.code, undefined, good.message);
  files['model.safetensors'] = { body: html };
  assert.equal((await load()).code, 'bad_weights');
  files['model.safetensors'] = {};
  const again = await load();
  assert.deepEqual([again.cached.weights, again.asked['model.safetensors']], [true, 304]);
  assert.deepEqual(again.vector, good.vector);
});

test('kept files that do not open are fetched anew, once', async (t) => {
  const { files, load } = await page(t);
  files.all = { noTag: true };
  const config = JSON.parse(read('config.json'));
  const first = await load();
  // Nothing to ask about: what is kept is used.
  const second = await load();
  assert.deepEqual([second.cached.weights, second.asked], [true, {}]);
  // The config has another address, and does not go with the kept weights.
  const wrong = { ...config, vocab_size: config.vocab_size + 64 };
  files['config.json'] = { body: Buffer.from(JSON.stringify(wrong)) };
  const asGiven = { sha256: { config: createHash('sha256').update(JSON.stringify(wrong)).digest('hex') } };
  const failed = await load(asGiven);
  assert.match(failed.code, /^bad_/);
  assert.deepEqual(failed.asked, { 'config.json': 200, 'tokenizer.json': 200, 'model.safetensors': 200 });
  files['config.json'] = {};
  const healed = await load();
  assert.deepEqual(healed.vector, first.vector);
});

test('a damaged config is fetched anew, also while the weights are still being asked about', async (t) => {
  const { files, load, evaluate } = await page(t);
  const first = await load();
  await evaluate(async () => {
    const cache = await caches.open('m2embed');
    for (const request of await cache.keys()) {
      const { headers } = await cache.match(request);
      if (request.url.endsWith('config.json')) await cache.put(request, new Response('{', { headers: { etag: headers.get('etag') } }));
    }
  });
  files['model.safetensors'] = new Promise((resolve) => setTimeout(resolve, 300));
  const healed = await load();
  assert.equal(healed.code, undefined, healed.message);
  assert.deepEqual(healed.vector, first.vector);
  const kept = await load();
  assert.deepEqual([kept.cached.config, kept.cached.weights, kept.vector], [true, true, first.vector]);
});

test('a new sha256 replaces the entry of an address', async (t) => {
  const { files, load, keys } = await page(t);
  const sum = (bytes) => ({ sha256: { weights: createHash('sha256').update(bytes).digest('hex') } });
  await load(sum(weights));
  const kept = await load(sum(weights));
  assert.deepEqual([kept.cached.weights, kept.asked['model.safetensors']], [true, undefined]);
  files['model.safetensors'] = { body: otherWeights };
  const next = await load(sum(otherWeights));
  assert.equal(next.cached.weights, false);
  assert.notDeepEqual(next.vector, kept.vector);
  assert.equal((await keys()).length, 3);
  assert.equal((await load(sum(otherWeights))).cached.weights, true);
  assert.equal((await load(sum(weights))).code, 'integrity');
});

test('a full disk: the model works, and nothing half is kept', async (t) => {
  const { load, keys, cdp } = await page(t);
  const session = await cdp();
  await session.send('Storage.overrideQuotaForOrigin', { origin: session.origin, quotaSize: 20_000 });
  const full = await load();
  assert.equal(full.code, undefined, full.message);
  assert.ok(!(await keys()).some((key) => key.endsWith('model.safetensors')), 'the weights are kept in 20 kB');
  const again = await load();
  assert.deepEqual([again.code, again.cached.weights, again.vector], [undefined, false, full.vector]);
  await session.send('Storage.overrideQuotaForOrigin', { origin: session.origin });
  await load();
  assert.equal((await load()).cached.weights, true);
});

test('storage denied: the model works, and is fetched each time', async (t) => {
  const { evaluate } = await page(t);
  const found = await evaluate(async () => {
    // A frame without an origin of its own has no storage, as pages in some private windows.
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = `<script type="module">
      const { M2Embed } = await import('${location.origin}/wasm/js/dist/index.js');
      try {
        const denied = await (async () => caches.open('x'))().then(() => 'open', (error) => error.name);
        const model = await M2Embed.load('${location.origin}/testdata/tiny/', { module: '${location.origin}/wasm/js/dist/m2embed.wasm' });
        parent.postMessage({ denied, vector: Array.from(await model.embed('a text')) }, '*');
      } catch (error) {
        parent.postMessage({ code: error.code, message: error.message }, '*');
      }
    </` + `script>`;
    return new Promise((resolve) => {
      addEventListener('message', ({ data }) => resolve(data), { once: true });
      document.body.append(frame);
    });
  });
  assert.equal(found.message, undefined);
  assert.equal(found.denied, 'SecurityError');
  assert.equal(found.vector.length, 64);
});
