// Loading: every kind of source, downloads that are cut, damaged files, aborts.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, openAsBlob, readdirSync, readFileSync, readlinkSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { M2Embed, M2EmbedError } from '../dist/index.js';
import { M2Embed as Edge } from '../dist/edge.js';
import { serve } from './serve.mjs';

const path = (name) => fileURLToPath(new URL(`../../../testdata/tiny/${name}`, import.meta.url));
const read = (name) => new Uint8Array(readFileSync(path(name)));
const config = read('config.json');
const tokenizer = read('tokenizer.json');
const weights = read('model.safetensors');
const files = { config, tokenizer, weights };
const module = await WebAssembly.compile(readFileSync(new URL('../dist/m2embed.wasm', import.meta.url)));
const load = (source, o = {}) => M2Embed.load(source, { module, ...o });

const reference = await (async () => {
  const model = await load(files);
  const vector = await model.embed('reference');
  await model.dispose();
  return vector;
})();

/** Loads and checks that the vector has the same bits. */
async function same(source, o) {
  const model = await load(source, o);
  assert.deepEqual(await model.embed('reference'), reference);
  await model.dispose();
}

const fails = (work, code, text) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof M2EmbedError, `${error.name}: ${error.message}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });

test('every kind of source', async () => {
  await same(fileURLToPath(new URL('../../../testdata/tiny', import.meta.url)));
  await same(new URL('../../../testdata/tiny/', import.meta.url));
  await same({ config: new Blob([config]), tokenizer: tokenizer.buffer.slice(0), weights: await openAsBlob(path('model.safetensors')) });
  await same({ config: new Response(config), tokenizer: new Blob([tokenizer]).stream(), weights: new Blob([weights]).stream() });
  await same({ config: path('config.json'), tokenizer: path('tokenizer.json'), weights: new Response(weights) });
  await same({ ...files, weights: path('pytorch_model.bin') });
  await same({ ...files, weights: new Blob([read('pytorch_model.legacy.bin')]).stream() });
});

test('a folder with a query', async (t) => {
  const server = await serve();
  t.after(() => server.close());
  await same(`${server.url}/testdata/tiny?token=a/b#part`);
  assert.deepEqual(server.requests.map((r) => r.query), ['?token=a/b', '?token=a/b', '?token=a/b']);
  const folder = join(mkdtempSync(join(tmpdir(), 'm2embed-')), 'what?');
  t.after(() => rmSync(join(folder, '..'), { recursive: true }));
  cpSync(path(''), folder, { recursive: true });
  await same(folder);
});

test('sources that cannot be read', async () => {
  await fails(load({ ...files, weights: 17 }), 'bad_argument', /weights: cannot read from Number/);
  await fails(load({ config, weights }), 'bad_argument', /tokenizer: cannot read from undefined/);
  await fails(load(), 'bad_argument', /config: cannot read from undefined/);
  await fails(load({ ...files, tokenizer: path('nothing.json') }), 'network', /nothing\.json: ENOENT.*a model is a folder of/);
  await fails(load({ ...files, weights: path('.') }), 'network', /tiny.*folder/);
  await fails(M2Embed.load(files, { module: 7 }), 'bad_argument', /module: cannot read from Number/);
  const failing = new ReadableStream({
    pull: () => {
      throw new RangeError('the disk is gone');
    },
  });
  await fails(load({ ...files, weights: failing }), 'network', /the disk is gone/);
  const taken = new Blob([weights]).stream();
  taken.getReader();
  await fails(load({ ...files, weights: taken }), 'network', /locked/);
  await fails(load({ ...files, weights: new ReadableStream({ start: (c) => c.enqueue('text') }) }), 'bad_argument', /stream of string/);
  // An empty module but for an import that nobody has.
  const foreign = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 2, 7, 1, 1, 97, 1, 98, 0, 0);
  await fails(M2Embed.load(files, { module: foreign }), 'bad_argument', /not m2embed/);
});

test('what was opened is closed where there is no room for it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'm2embed-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const large = join(folder, 'large.safetensors');
  writeFileSync(large, '');
  truncateSync(large, 5e9);
  const held = () => readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === large;
    } catch {
      return false;
    }
  });
  await fails(load({ ...files, weights: large }), 'out_of_memory', /5000000000 bytes/);
  assert.deepEqual(held(), []);
  // Nor where the load ends before the weights are read.
  await fails(load({ ...files, config: new Uint8Array(), weights: large }), 'bad_config', /empty/);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(held(), []);

  const server = await serve((_, name) => (name.endsWith('.safetensors') ? { headers: { 'content-length': 5e9 }, open: true } : {}));
  t.after(() => server.close());
  await fails(load(`${server.url}/testdata/tiny/`), 'out_of_memory', /5000000000 bytes/);
  await until(() => server.requests.find((r) => r.path.endsWith('.safetensors')).ended);
});

async function until(condition) {
  for (let i = 0; i < 3000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(condition());
}

test('the weights come before the small files are here, and are kept where they are cut meanwhile', async (t) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const of = (name) => server.requests.filter((r) => r.path.endsWith(name));
  const server = await serve(async (_, name) => {
    if (name.endsWith('config.json')) await held;
    return name.endsWith('.safetensors') && of('.safetensors').length === 0 ? { cut: 300_000 } : {};
  });
  t.after(() => server.close());
  const loading = same(`${server.url}/testdata/tiny/`);
  await until(() => of('.safetensors').length === 2);
  assert.match(of('.safetensors')[1].range, /^bytes=[1-9]\d*-$/);
  release();
  await loading;
});

test('the module compiles while it arrives, where it has its type', async (t) => {
  let how = {};
  const server = await serve((_, name) => (name.endsWith('.wasm') ? how : {}));
  t.after(() => server.close());
  const streaming = t.mock.method(WebAssembly, 'compileStreaming');
  const address = `${server.url}/wasm/js/dist/m2embed.wasm`;
  const embed = async () => {
    const model = await M2Embed.load(files, { module: address });
    assert.deepEqual(await model.embed('reference'), reference);
  };
  await embed();
  assert.equal(streaming.mock.callCount(), 1);
  how = { headers: { 'content-type': 'application/octet-stream' } };
  await embed();
  assert.equal(streaming.mock.callCount(), 1);
  let cuts = 1;
  const cut = await serve((_, name) => (name.endsWith('.wasm') && cuts-- > 0 ? { cut: 1_000_000 } : {}));
  t.after(() => cut.close());
  const model = await M2Embed.load(files, { module: `${cut.url}/wasm/js/dist/m2embed.wasm` });
  assert.deepEqual(await model.embed('reference'), reference);
  how = { body: Buffer.from('no wasm') };
  await fails(M2Embed.load(files, { module: address }), 'bad_argument', /compile .*m2embed\.wasm/);
});

test('filters are kept up to a budget of any size', async () => {
  const memory = async (filterBudget) => {
    const model = await load(fileURLToPath(new URL('../../../host/small', import.meta.url)), { filterBudget });
    const vector = await model.embed('word '.repeat(1500));
    return { memory: model.memory, vector };
  };
  const none = await memory(-1);
  const most = await memory(2 ** 31 - 1);
  assert.ok(most.memory > none.memory, `${most.memory}, ${none.memory}`);
  for (const budget of [2 ** 31, 2 ** 32 + 1, Infinity]) assert.deepEqual(await memory(budget), most);
  assert.deepEqual(await memory(-Infinity), none);
});

test('over HTTP, with progress', async (t) => {
  const server = await serve();
  t.after(() => server.close());
  const seen = [];
  await same(`${server.url}/testdata/tiny`, { onProgress: (p) => seen.push(p) });
  const last = seen.filter((p) => p.stage === 'weights').at(-1);
  assert.deepEqual(last, { stage: 'weights', loaded: weights.length, total: weights.length, cached: false });
  assert.equal(seen.at(-1).stage, 'ready');
  await fails(load(`${server.url}/testdata/none/`), 'network', /none\/config\.json: the server answered 404.*a model is a folder of config\.json, tokenizer\.json and model\.safetensors/);
  await fails(load('http://127.0.0.1:9/x/'), 'network', /fetch http:\/\/127\.0\.0\.1:9/);
});

test('a cut download is taken up where it ended', async (t) => {
  let cuts = 3;
  const server = await serve((_, name) => (name.endsWith('.safetensors') && cuts-- > 0 ? { cut: 200_000 } : {}));
  t.after(() => server.close());
  await same(`${server.url}/testdata/tiny/`, { sha256: { weights: createHash('sha256').update(weights).digest('hex') } });
  const ranges = server.requests.filter((r) => r.path.endsWith('.safetensors')).map((r) => r.range);
  assert.equal(ranges.length, 4);
  assert.equal(ranges[0], undefined);
  assert.ok(ranges.slice(1).every((range) => /^bytes=\d+-$/.test(range)), String(ranges));
});

test('a cut download from a server without Range or length', async (t) => {
  let cuts = 1;
  const server = await serve((_, name) => (name.endsWith('.safetensors') ? { noRange: true, ...(cuts-- > 0 && { cut: 300_000 }) } : {}));
  t.after(() => server.close());
  await same(`${server.url}/testdata/tiny/`);
  const bare = await serve((_, name) => (name.endsWith('.safetensors') ? { noLength: true } : {}));
  t.after(() => bare.close());
  await same(`${bare.url}/testdata/tiny/`);
});

test('a download that stays cut, or changes', async (t) => {
  const server = await serve((_, name) => (name.endsWith('.safetensors') ? { cut: 1000 } : {}));
  t.after(() => server.close());
  let stalled = 0;
  const fetch = (...args) => (stalled++ > 2 ? Promise.reject(new TypeError('offline')) : globalThis.fetch(...args));
  await fails(load(`${server.url}/testdata/tiny/`, { fetch, retries: 2 }), 'network', /cut after 1000 of 857024/);
  let first = true;
  const changing = await serve((_, name) => {
    if (!name.endsWith('.safetensors')) return {};
    if (first) return (first = false), { cut: 5000 };
    return { body: Buffer.from('another file'), noRange: true };
  });
  t.after(() => changing.close());
  await fails(load(`${changing.url}/testdata/tiny/`), 'network', /another file now/);
});

test('a file that ends at any place, and a download that is cut there', async (t) => {
  const header = 8 + Number(new DataView(weights.buffer, weights.byteOffset).getBigUint64(0, true));
  const places = [1, 7, 8, 9, header >> 1, header - 1, header, header + 1, header + 4095, weights.length >> 1, weights.length - 1];
  const server = await serve((request, name) => {
    const [, how, place] = /\?(ends|cut)=(\d+)/.exec(request.url) ?? [];
    if (!name.endsWith('.safetensors')) return {};
    if (how === 'ends') return { body: Buffer.from(weights.subarray(0, place)) };
    return request.headers.range ? {} : { cut: Number(place) };
  });
  t.after(() => server.close());
  await fails(load(`${server.url}/testdata/tiny?ends=0`), 'bad_weights', /model\.safetensors.*empty/);
  for (const place of places) {
    await Promise.all([
      fails(load(`${server.url}/testdata/tiny?ends=${place}`), 'bad_weights', /model\.safetensors.*if the file is cut or damaged, get it again/),
      same(`${server.url}/testdata/tiny?cut=${place}`),
    ]);
  }
});

test('servers that answer a range wrongly', async (t) => {
  const other = Buffer.from(weights).fill(0, weights.length - 4096);
  const part = (bytes, from, size = bytes.length, headers = {}) => ({ status: 206, body: Buffer.from(bytes.subarray(from)), headers: { 'content-range': `bytes ${from}-${bytes.length - 1}/${size}`, ...headers } });
  let answer;
  const server = await serve((request, name) => {
    if (!name.endsWith('.safetensors')) return {};
    return request.headers.range === undefined ? answer.whole(answer.asked++) : answer.range(Number(/\d+/.exec(request.headers.range)[0]));
  });
  t.after(() => server.close());
  const firstCut = (n) => (n === 0 ? { cut: 300_000 } : {});
  const attempt = (whole, range) => {
    answer = { asked: 0, whole, range };
    return `${server.url}/testdata/tiny/`;
  };
  // From the start again, or of a range that is not there: the whole file is fetched again.
  await same(attempt(firstCut, () => part(weights, 0)));
  await same(attempt(firstCut, () => ({ status: 416 })));
  await same(attempt(firstCut, (from) => part(weights, from, weights.length + 7)));
  // Another file, though If-Range asked for this one: no byte of it is taken.
  await same(attempt(firstCut, (from) => part(other, from, other.length, { etag: '"other"' })));
  await fails(load(attempt((n) => (n === 0 ? { cut: 300_000 } : { body: other }), (from) => part(other, from, other.length, { etag: '"other"' }))), 'network', /another file now; load it again/);
  // A part that nobody asked for.
  await fails(load(attempt(() => part(weights, 300_000))), 'network', /answered 206.*a part of the file/);
  await fails(load(attempt(() => part(weights.subarray(0, 300_000), 0, weights.length))), 'network', /answered 206.*a part of the file/);
  await same(attempt(() => part(weights, 0)));
});

test('a server that is asked too often', async (t) => {
  let headers;
  let later;
  const server = await serve((request, name) => {
    if (!name.endsWith('.safetensors')) return {};
    return request.headers.range === undefined ? (later ? { cut: 300_000 } : { status: 429, headers }) : later-- > 1 ? { status: 429, headers } : {};
  });
  t.after(() => server.close());
  const hour = { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() };
  for (headers of [{ 'retry-after': '3600' }, hour]) await fails(load(`${server.url}/testdata/tiny/`), 'network', /429 Too Many Requests: too many requests: try again later; it asks to wait for 3[56]\d\d s/);
  // In the middle it waits, but not for an hour.
  later = 2;
  headers = { 'retry-after': '1' };
  const begun = performance.now();
  await same(`${server.url}/testdata/tiny/`);
  assert.ok(performance.now() - begun > 1000, 'it did not wait');
  later = 2;
  headers = hour;
  await fails(load(`${server.url}/testdata/tiny/`), 'network', /429.*it asks to wait for 3[56]\d\d s/);
});

test('integrity', async () => {
  const sum = (bytes) => createHash('sha256').update(bytes).digest('hex');
  await same(files, { sha256: { config: sum(config), tokenizer: sum(tokenizer), weights: sum(weights).toUpperCase() } });
  for (const name of ['config', 'tokenizer', 'weights']) {
    await fails(load(files, { sha256: { [name]: '0'.repeat(64) } }), 'integrity', new RegExp(`${name}.*sha256`));
  }
});

test('damaged files', async () => {
  const bytes = (text) => new TextEncoder().encode(text);
  await fails(load({ ...files, config: bytes('{') }), 'bad_config', /config\.json/);
  await fails(load({ ...files, config: new Uint8Array() }), 'bad_config', /empty/);
  await fails(load({ ...files, tokenizer: new Uint8Array() }), 'bad_tokenizer', /empty/);
  await fails(load({ ...files, tokenizer: bytes('{"model":{"type":"Unigram"}}') }), 'bad_tokenizer', /^tokenizer the given bytes: .*Unigram/);
  await fails(load({ ...files, weights: weights.subarray(0, 500_000) }), 'bad_weights', /data section/);
  await fails(load({ ...files, weights: new Uint8Array() }), 'bad_weights', /^weights the given bytes: .*empty; if the file is cut or damaged, get it again/);
  await fails(load({ ...files, weights: bytes('<!doctype html><title>404</title>') }), 'bad_weights', /HTML/);
  await fails(load({ ...files, weights: new Blob([weights.subarray(0, 500_000)]).stream() }), 'bad_weights', /ends after 500000/);
  await fails(load({ ...files, config: bytes(new TextDecoder().decode(config).replace('"hidden_size": 64', '"hidden_size": 128')) }), 'bad_weights', /128.*64/);
  const nan = weights.slice();
  nan.fill(0xff, 8 + Number(new DataView(nan.buffer, nan.byteOffset).getBigUint64(0, true)));
  const model = await load({ ...files, weights: nan });
  await fails(model.embed('any text at all'), 'bad_weights', /not finite/);
  await fails(M2Embed.load(files, { module: bytes('no wasm') }), 'bad_argument', /compile/);
  await fails(M2Embed.load(files, { module: new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)) }), 'bad_argument', /not m2embed/);
});

test('a wrong header fails before the rest is fetched', async () => {
  let sent = 0;
  const header = new TextEncoder().encode('{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,8]}}');
  const start = new Uint8Array(8 + header.length);
  new DataView(start.buffer).setBigUint64(0, BigInt(header.length), true);
  start.set(header, 8);
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(sent++ === 0 ? start : new Uint8Array(1000));
      if (sent > 1000) controller.close();
    },
  });
  await fails(load({ ...files, weights: new Response(body, { headers: { 'content-length': '1000000' } }) }), 'bad_weights', /shape|size|bytes/);
  assert.ok(sent < 10, `${sent} pieces were read`);
});

test('aborted loads', async (t) => {
  const server = await serve();
  t.after(() => server.close());
  await assert.rejects(load(files, { signal: AbortSignal.abort(new Error('before')) }), /before/);
  const controller = new AbortController();
  const onProgress = (p) => p.stage === 'weights' && controller.abort(new Error('in the middle'));
  await assert.rejects(load(`${server.url}/testdata/tiny/`, { signal: controller.signal, onProgress }), /in the middle/);
  await same(`${server.url}/testdata/tiny/`);
});

test('two models, and the module twice', async () => {
  const [a, b] = await Promise.all([load(files), M2Embed.load(files)]);
  assert.deepEqual(await a.embed('reference'), await b.embed('reference'));
  await a.dispose();
  await a.dispose();
  await fails(a.embed('x'), 'bad_handle', /disposed/);
  assert.deepEqual(await b.embed('reference'), reference);
});

test('edge entry', async () => {
  const model = await Edge.load(module, files, { memoryLimit: 100e6 });
  assert.deepEqual(await model.embed('reference'), reference);
  await fails(Edge.load(module, files, { memoryLimit: 4e6 }), 'out_of_memory', /memory limit|limit/);
});
