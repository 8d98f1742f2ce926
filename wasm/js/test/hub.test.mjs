// Models from a hub: a local server with its routes, its storage on another origin, and all that can go wrong.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { M2Embed, M2EmbedError } from 'm2embed';
import { hubFiles } from 'm2embed/hub';

const folder = new URL('../../../testdata/tiny/', import.meta.url);
const read = (name) => readFileSync(new URL(name, folder));
const config = JSON.parse(read('config.json'));
const uncased = read('tokenizer.json');
const fails = (work, code, text) => assert.rejects(work, (e) => (assert.ok(e instanceof M2EmbedError, String(e)), assert.equal(e.code, code, e.message), assert.match(e.message, text), true));

async function listen(t, answer) {
  const seen = [];
  const server = createServer((request, response) => {
    seen.push({ path: request.url, token: request.headers.authorization });
    answer(request, response);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => (server.closeAllConnections(), server.close()));
  return { url: `http://127.0.0.1:${server.address().port}`, seen };
}

/** A hub with one repository; weights lie in storage on another origin. */
async function start(t, { files, oid, status, html } = {}) {
  const all = { 'config.json': Buffer.from(JSON.stringify(config)), 'tokenizer.json': uncased, 'model.safetensors': read('model.safetensors'), ...files };
  const storage = await listen(t, (request, response) => response.end(all[request.url.slice(1)]));
  const hub = await listen(t, (request, response) => {
    if (status) return response.writeHead(status).end('no');
    if (html) return response.end('<!DOCTYPE html><p>Sign in</p>');
    if (request.url === '/api/models/me/model/tree/v1') {
      const list = Object.entries(all).filter(([, bytes]) => bytes).map(([path, bytes]) => ({ path, size: bytes.length, ...(/safetensors|bin$/.test(path) && { lfs: { oid: oid ?? createHash('sha256').update(bytes).digest('hex') } }) }));
      return response.end(JSON.stringify(list));
    }
    if (request.url === '/google-bert/bert-base-uncased/resolve/main/tokenizer.json') return response.end(uncased);
    const name = request.url.split('/resolve/v1/')[1];
    if (!all[name]) return response.writeHead(404).end('no');
    if (/json$/.test(name)) return response.end(all[name]);
    response.writeHead(302, { location: `${storage.url}/${name}` }).end();
  });
  return { hub, storage, options: { hub: hub.url, revision: 'v1', token: 'secret' } };
}

const want = async () => {
  const model = await M2Embed.load({ config: Buffer.from(JSON.stringify({ padding: 'max_length', ...config })), tokenizer: uncased, weights: read('model.safetensors') });
  return model.embed('A text');
};

test('a model, and a token that stays with the hub', async (t) => {
  const { hub, storage, options } = await start(t);
  const model = await M2Embed.load(await hubFiles('me/model', options));
  assert.deepEqual(await model.embed('A text'), await want());
  assert.ok(hub.seen.length === 4 && hub.seen.every((r) => r.token === 'Bearer secret'), JSON.stringify(hub.seen));
  assert.deepEqual(storage.seen, [{ path: '/model.safetensors', token: undefined }]);
  const threads = await M2Embed.load(await hubFiles('me/model', options), { workers: 1 });
  assert.deepEqual(await threads.embed('A text'), await want());
  await threads.dispose();
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
