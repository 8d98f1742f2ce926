// Models from a hub: a local server with its routes, its storage on another origin, and all that can go wrong.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { M2Embed, M2EmbedError } from 'm2embed';
import { hubFiles } from 'm2embed/hub';

const folder = new URL('../../../testdata/tiny/', import.meta.url);
const read = (name) => readFileSync(new URL(name, folder));
const config = JSON.parse(read('config.json'));
const uncased = read('tokenizer.json');
const fails = (work, code, text) => assert.rejects(work, (e) => (assert.ok(e instanceof M2EmbedError, String(e)), assert.equal(e.code, code, e.message), assert.match(e.message, text), true));

process.env.M2EMBED_CACHE = mkdtempSync(join(tmpdir(), 'm2embed-cache-'));
after(() => rmSync(process.env.M2EMBED_CACHE, { recursive: true, force: true }));
const kept = join(process.env.M2EMBED_CACHE, 'files');

async function listen(t, answer) {
  const seen = [];
  const server = createServer((request, response) => {
    seen.push({ path: request.url, token: request.headers.authorization });
    answer(request, response);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => (server.closeAllConnections(), server.close()));
  return { url: `http://127.0.0.1:${server.address().port}`, seen, server };
}

/** A hub with one repository; weights lie in storage on another origin. */
async function start(t, { files, oid, status, html, headers } = {}) {
  const all = { 'config.json': Buffer.from(JSON.stringify(config)), 'tokenizer.json': uncased, 'model.safetensors': read('model.safetensors'), ...files };
  const blobs = await listen(t, (request, response) => response.end(all[request.url.slice(1)]));
  // Redirects once more, to a third origin.
  const storage = await listen(t, (request, response) => response.writeHead(307, { location: blobs.url + request.url }).end());
  const hub = await listen(t, (request, response) => {
    if (status) return response.writeHead(status, headers).end('no');
    if (html) return response.end('<!DOCTYPE html><p>Sign in</p>');
    if (request.url === '/api/models/me/model/tree/v1') {
      const list = Object.entries(all).filter(([, bytes]) => bytes).map(([path, bytes]) => ({ path, size: bytes.length, ...(/safetensors|bin$/.test(path) && { lfs: { oid: oid ?? createHash('sha256').update(bytes).digest('hex') } }) }));
      return response.end(JSON.stringify(list));
    }
    if (request.url === '/google-bert/bert-base-uncased/resolve/main/tokenizer.json') return response.end(uncased);
    const name = request.url.split('/resolve/v1/')[1];
    if (!all[name]) return response.writeHead(404).end('no');
    const etag = `"${createHash('sha1').update(all[name]).digest('hex')}"`;
    if (request.headers['if-none-match'] === etag) return response.writeHead(304, { etag }).end();
    if (/json$/.test(name)) return response.writeHead(200, { etag }).end(all[name]);
    response.writeHead(302, { location: `${storage.url}/${name}` }).end();
  });
  return { all, hub, storage, blobs, options: { hub: hub.url, revision: 'v1', token: 'secret' } };
}

const module = await WebAssembly.compile(readFileSync(new URL('../dist/m2embed.wasm', import.meta.url)));
const want = async (o) => {
  const model = await M2Embed.load({ config: Buffer.from(JSON.stringify({ padding: 'max_length', ...config })), tokenizer: uncased, weights: read('model.safetensors') }, { module });
  return model.embed('A text', o);
};

test('a model, and a token that stays with the hub', async (t) => {
  const { hub, storage, blobs, options } = await start(t);
  const model = await M2Embed.load(await hubFiles('me/model', options));
  assert.deepEqual(await model.embed('A text'), await want());
  assert.ok(hub.seen.length === 4 && hub.seen.every((r) => r.token === 'Bearer secret'), JSON.stringify(hub.seen));
  for (const { seen } of [storage, blobs]) assert.deepEqual(seen, [{ path: '/model.safetensors', token: undefined }]);
  const threads = await M2Embed.load(await hubFiles('me/model', options), { workers: 1 });
  assert.deepEqual(await threads.embed('A text'), await want());
  await threads.dispose();
  assert.equal(storage.seen.length, 1, 'the weights were fetched again');
});

const runtimes = { Bun: ['../node_modules/bun/bin/bun.exe', 'run'], Deno: ['../node_modules/@deno/linux-x64-glibc/deno', 'run', '--allow-all', '--no-config', '--no-lock', '--node-modules-dir=none'] };
for (const [name, [program, ...args]] of Object.entries(runtimes)) {
  test(`a token stays with the hub in ${name}`, async (t) => {
    const { hub, storage, blobs, options } = await start(t);
    const at = (path) => fileURLToPath(new URL(path, import.meta.url));
    const { stdout } = await promisify(execFile)(at(program), [...args, at('hub-run.mjs'), options.hub], { env: { ...process.env, NO_COLOR: '1' } });
    assert.deepEqual(JSON.parse(stdout), Array.from(await want()));
    assert.ok(hub.seen.length === 4 && hub.seen.every((r) => r.token === 'Bearer secret'), JSON.stringify(hub.seen));
    for (const { seen } of [storage, blobs]) assert.deepEqual(seen, [{ path: '/model.safetensors', token: undefined }]);
  });
}

test("sentence-transformers' prompts, unless config.json has its own", async (t) => {
  const others = (prompts) => ({ 'config_sentence_transformers.json': Buffer.from(JSON.stringify({ prompts, default_prompt_name: null })) });
  for (const [files, prompts] of [
    [others({ query: 'ask: ', document: '' }), { query: 'ask: ', document: '' }],
    [{ ...others({ query: 'ask: ' }), 'config.json': Buffer.from(JSON.stringify({ ...config, prompts: { query: 'own: ' } })) }, { query: 'own: ' }],
    [others(null), {}],
  ]) {
    const { options } = await start(t, { files });
    const model = await M2Embed.load(await hubFiles('me/model', { ...options, cache: false }), { module });
    assert.deepEqual(model.info.prompts, prompts);
    assert.deepEqual(await model.embed('x', { task: 'query' }), await model.embed(`${prompts.query ?? ''}x`));
    await model.dispose();
  }
  const { options } = await start(t, { files: others(['ask: ']) });
  await fails(hubFiles('me/model', { ...options, cache: false }).then((files) => M2Embed.load(files, { module })), 'bad_config', /prompts is not an object of texts/);
});

test('load by name, kept on disk, offline, changed, damaged', async (t) => {
  const { all, hub, storage, options } = await start(t);
  const load = async (o = {}) => {
    hub.seen.length = storage.seen.length = 0;
    const cached = {};
    const model = await M2Embed.load('me/model', { module, ...options, ...o, onProgress: (p) => (cached[p.stage] = p.cached) });
    const vector = await model.embed('A text', { padding: 'none' });
    await model.dispose();
    return { vector, cached: cached.weights, fetched: storage.seen.length };
  };
  const first = await load();
  assert.deepEqual(first, { vector: await want({ padding: 'none' }), cached: false, fetched: 1 });
  assert.deepEqual(await load(), { ...first, cached: true, fetched: 0 });
  assert.deepEqual(await load({ workers: 1 }), { ...first, cached: true, fetched: 0 });
  assert.ok(readdirSync(kept).length >= 4 && readdirSync(kept).every((name) => /^[0-9a-f]{32}$/.test(name)), readdirSync(kept).join());

  // Damaged: cut, and of other bytes.
  const [file] = readdirSync(kept).map((name) => join(kept, name)).filter((name) => readFileSync(name).includes(`${hub.url}/me/model/resolve/v1/model.safetensors`));
  truncateSync(file, statSync(file).size - 10);
  assert.deepEqual(await load(), first);
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(7, bytes.length - 10));
  assert.deepEqual(await load(), first);
  assert.deepEqual(await load(), { ...first, cached: true, fetched: 0 });

  // New weights of the same name bring a new sum.
  const other = Buffer.from(all['model.safetensors']);
  other.fill(0, other.length - 4096);
  const before = all['model.safetensors'];
  all['model.safetensors'] = other;
  const changed = await load();
  assert.equal(changed.fetched, 1);
  assert.notDeepEqual(changed.vector, first.vector);
  all['model.safetensors'] = before;
  await load();

  // Kept elsewhere, and nowhere.
  await load({ cache: 'mine' });
  assert.ok(existsSync(join(process.env.M2EMBED_CACHE, 'mine')));
  await load({ cache: '../out' });
  assert.ok(existsSync(join(process.env.M2EMBED_CACHE, '..%2Fout')));
  const count = readdirSync(kept).length;
  const again = await load({ cache: false });
  assert.deepEqual([again.fetched, readdirSync(kept).length], [1, count]);

  // The hub is away.
  await new Promise((done) => (hub.server.closeAllConnections(), hub.server.close(done)));
  assert.deepEqual(await load(), { ...first, cached: true, fetched: 0 });
  await fails(load({ revision: 'v2' }), 'network', /fetch/);
});

test('what cannot be kept is used all the same', async (t) => {
  const { options } = await start(t);
  const own = process.env.M2EMBED_CACHE;
  t.after(() => (process.env.M2EMBED_CACHE = own));
  const blocked = join(own, 'blocked');
  writeFileSync(blocked, 'a file');
  process.env.M2EMBED_CACHE = join(blocked, 'below');
  const model = await M2Embed.load('me/model', options);
  assert.deepEqual(await model.embed('A text'), await want());
  await model.dispose();
});

test('a folder of that name is a folder, and options of a hub want a repository', async (t) => {
  const before = process.cwd();
  t.after(() => process.chdir(before));
  process.chdir(join(new URL('.', folder).pathname, '..', '..'));
  const model = await M2Embed.load('testdata/tiny');
  assert.equal((await model.embed('A text')).length, 64);
  await model.dispose();
  await fails(M2Embed.load('./testdata/tiny', { revision: 'v1' }), 'bad_argument', /revision: only for a repository/);
  await fails(M2Embed.load(folder, { token: 'x' }), 'bad_argument', /token: only for a repository/);
  const { options } = await start(t, { status: 404 });
  await fails(M2Embed.load('me/model', options), 'network', /begins with \.\/ or/);
});

test('a checkpoint, a tokenizer that keeps case, padding of its own', async (t) => {
  const cased = Buffer.from(JSON.stringify({ ...JSON.parse(uncased), normalizer: { type: 'BertNormalizer', lowercase: false } }));
  const own = Buffer.from(JSON.stringify({ ...config, padding: 'none' }));
  const { hub, options } = await start(t, { files: { 'model.safetensors': undefined, 'pytorch_model.bin': read('pytorch_model.bin'), 'tokenizer.json': cased, 'config.json': own } });
  const warned = [];
  const model = await M2Embed.load(await hubFiles('me/model', { ...options, onWarning: (m) => warned.push(m) }));
  assert.equal(model.info.padding, 'none');
  assert.match(warned.join(), /keeps upper case; the tokenizer of bert-base-uncased/);
  assert.equal(hub.seen.find((r) => r.path.startsWith('/google-bert')).token, undefined);
});

test('what can go wrong says what to do', async (t) => {
  for (const [status, text] of [[401, /may not read/], [403, /may not read/], [404, /check the name/], [429, /too many requests/], [500, /500/]]) {
    const { options } = await start(t, { status });
    await fails(hubFiles('me/model', options), 'network', text);
  }
  const busy = await start(t, { status: 429, headers: { 'retry-after': new Date(Date.now() + 90_000).toUTCString() } });
  await fails(hubFiles('me/model', busy.options), 'network', /too many requests.*it asks to wait for \d\d s/);
  const open = await start(t, { status: 401 });
  await fails(hubFiles('me/model', { ...open.options, token: undefined }), 'network', /pass a \{ token \}/);
  await fails(hubFiles('me/model', (await start(t, { html: true })).options), 'network', /page of HTML/);
  await fails(hubFiles('me/model', (await start(t, { files: { 'model.safetensors': undefined } })).options), 'bad_weights', /has none of/);
  await fails(hubFiles('me/model', (await start(t, { files: { 'config.json': undefined } })).options), 'bad_config', /no config\.json/);
  const wrong = await start(t, { oid: '0'.repeat(64) });
  await fails(M2Embed.load(await hubFiles('me/model', wrong.options)), 'integrity', /sha256 is/);
  const cut = await start(t, { files: { 'model.safetensors': read('model.safetensors').subarray(0, 400_000) } });
  await fails(M2Embed.load(await hubFiles('me/model', cut.options)), 'bad_weights', /./);
  await fails(hubFiles('../model', {}), 'bad_argument', /owner\/model/);
  await fails(hubFiles('me/model', { hub: 'ftp://x' }), 'bad_argument', /http or https/);
  await fails(hubFiles('me/model', { hub: 'http://example.org', token: 'x' }), 'bad_argument', /https only/);
});
