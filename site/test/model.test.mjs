import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { addText, builtIn, copied, dist, idle, ready, repository, says, startServer, visit } from './browser.mjs';

const tiny = (name) => `${repository}/testdata/tiny/${name}`;
const openDrawer = async (page) => {
  if (!(await page.isVisible('#drawer'))) await page.click('#model-button');
};
// But the larger one, which is always there.
const models = (page) => page.$$eval('.models li:not(.larger) b', (all) => all.map((one) => one.textContent));
const isReady = (page, name) => page.waitForFunction((n) => document.querySelector('#model-button').dataset.phase === 'ready' && document.querySelector('#model-button .name').textContent === n, name);

const base = readdirSync(`${dist}/models`).find((name) => name.startsWith('m2-bert-base'));

test('the larger model', async (t) => {
  const { page } = await visit(t);
  await ready(page);
  await openDrawer(page);
  await page.click('.models .larger button');
  await isReady(page, 'm2-bert-base');
  const { hidden_size: d } = JSON.parse(readFileSync(`${dist}/models/${base}/config.json`, 'utf8'));
  await says(page, '.facts', new RegExp(`Vector${d} numbers.*Questions begin with“query:”`));
  await page.reload();
  await isReady(page, 'm2-bert-base');
});

test('weights from the disk: PyTorch and safetensors, kept and deleted', async (t) => {
  const { page } = await visit(t);
  await ready(page);
  await says(page, '#try-status', /4 texts embedded/);
  const own = await page.textContent('#model-button .name');
  await openDrawer(page);
  await page.setInputFiles('#model-files', [tiny('pytorch_model.bin'), tiny('config.json'), tiny('tokenizer.json')]);
  await page.selectOption('#model-padding', 'none');
  await page.click('#drawer button[type="submit"].primary');
  await isReady(page, 'pytorch_model');
  await says(page, '.facts', /Vector64 numbers.*Paddingnone/);
  await page.waitForFunction(() => document.querySelectorAll('.models li:not(.larger)').length === 2);
  assert.deepEqual(await models(page), [own, 'pytorch_model']);
  await page.click('#drawer .head button');
  await says(page, '#try-status', /4 texts embedded/);
  await says(page, '.card .run', /^\d+ tokens ·/);
  const torch = JSON.parse(await copied(page, '#try-copy'));
  assert.equal(torch.data[0].embedding.length, 64);
  // The same weights as safetensors give the same bits.
  await openDrawer(page);
  await page.setInputFiles('#model-files', [tiny('model.safetensors'), tiny('config.json'), tiny('vocab.txt')]);
  await page.selectOption('#model-padding', 'none');
  await page.click('#drawer button[type="submit"].primary');
  await isReady(page, 'model');
  await page.click('#drawer .head button');
  await page.waitForFunction(() => document.querySelector('#try-status').textContent.startsWith('4 texts embedded'));
  const safe = JSON.parse(await copied(page, '#try-copy'));
  assert.deepEqual(safe.data.map((d) => d.embedding), torch.data.map((d) => d.embedding));
  // Across visits.
  await page.reload();
  await isReady(page, 'model');
  await openDrawer(page);
  await page.click('[aria-label="Delete pytorch_model"]');
  await page.click('[aria-label="Delete model"]');
  await isReady(page, own);
  await page.waitForFunction(() => document.querySelectorAll('.models li:not(.larger)').length === 1);
});

test('files that are no model are refused in a sentence, and the old model stays', async (t) => {
  const { page } = await visit(t, { errors: [/checkpoint|weights|config|model/i] });
  await ready(page);
  const own = await page.textContent('#model-button .name');
  await openDrawer(page);
  const good = readFileSync(tiny('model.safetensors'));
  const flipped = Buffer.from(good);
  flipped.fill(0xff, 8, 80);
  const others = [tiny('config.json'), tiny('tokenizer.json')].map((path) => ({ name: path.split('/').at(-1), mimeType: 'application/json', buffer: readFileSync(path) }));
  for (const [weights, sentence] of [
    [{ name: 'cut.safetensors', buffer: good.subarray(0, good.length / 2) }, /not a checkpoint/],
    [{ name: 'header.safetensors', buffer: flipped }, /not a checkpoint/],
    [{ name: 'words.bin', buffer: Buffer.from('these are only words') }, /not a checkpoint/],
  ]) {
    await page.setInputFiles('#model-files', [{ ...weights, mimeType: 'application/octet-stream' }, ...others]);
    await page.click('#drawer button[type="submit"].primary');
    await says(page, '#notices', sentence);
    await page.evaluate(() => document.querySelectorAll('#notices .close').forEach((button) => button.click()));
    await isReady(page, own);
  }
  assert.deepEqual(await models(page), [own], 'nothing of them is kept');
  await page.setInputFiles('#model-files', [{ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('x') }]);
  await says(page, '#notices', /no weights among these files/);
  // A configuration that is not one, with good weights.
  await page.setInputFiles('#model-files', [{ name: 'ok.safetensors', mimeType: '', buffer: good }, { name: 'config.json', mimeType: '', buffer: Buffer.from('{"model_type": "bert"}') }, others[1]]);
  await page.click('#drawer button[type="submit"].primary');
  await says(page, '#notices', /does not describe an M2-BERT/);
});

test('a model from an address: cut, taken up again, also after a reload', async (t) => {
  const requests = [];
  let cuts = 2;
  let stall = true;
  const hooks = {
    before(request, response) {
      const name = request.url.split('/').at(-1);
      const origin = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'content-range, etag, content-length', 'access-control-allow-headers': 'range, if-range' };
      if (request.method === 'OPTIONS') return response.writeHead(204, origin).end();
      if (!['config.json', 'tokenizer.json', 'pytorch_model.bin'].includes(name)) return response.writeHead(404, origin).end();
      const bytes = readFileSync(tiny(name));
      if (name !== 'pytorch_model.bin') return response.writeHead(200, { ...origin, 'content-length': bytes.length }).end(bytes);
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      requests.push(start);
      const headers = { ...origin, etag: '"one"', 'content-length': bytes.length - start, ...(start > 0 && { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }) };
      response.writeHead(start > 0 ? 206 : 200, headers);
      if (cuts-- > 0) {
        response.write(bytes.subarray(start, start + 200_000));
        return void setTimeout(() => response.destroy(), 150);
      }
      if (stall) {
        response.write(bytes.subarray(start, start + 100_000));
        return undefined;
      }
      return response.end(bytes.subarray(start));
    },
  };
  const other = await startServer(t, '/nowhere', hooks);
  const { page } = await visit(t, { elsewhere: [other.url], errors: [/404|ERR_|net::/] });
  await ready(page);
  await openDrawer(page);
  await page.fill('#model-url', `${other.url}published/`);
  await page.click('#drawer form button[type="submit"]');
  await says(page, '#drawer', /500 kB of/);
  assert.deepEqual(requests, [0, 200_000, 400_000]);
  stall = false;
  await page.reload();
  await ready(page);
  await openDrawer(page);
  await says(page, '.models', /Unfinished download/);
  await page.click('.models >> text=Go on');
  await isReady(page, 'published');
  assert.equal(requests.at(-1), 500_000, 'only the rest was fetched');
  await says(page, '.models', /from localhost/);
});

test('the download of the built-in model goes on where it was cut', async (t) => {
  const server = await startServer(t);
  const ranges = [];
  const answers = [];
  const file = `${dist}/models/${builtIn}/model.safetensors`;
  server.hooks.before = (request, response) => {
    if (!request.url.endsWith('.safetensors')) return false;
    ranges.push(request.headers.range);
    response.on('finish', () => answers.push(response.statusCode));
    if (ranges.length > 1) return false;
    const { size, mtimeMs } = statSync(file);
    response.writeHead(200, { 'content-length': size, etag: `"${size.toString(16)}-${Math.round(mtimeMs).toString(16)}"` });
    response.write(readFileSync(file).subarray(0, Math.floor(size / 2)));
    setTimeout(() => response.destroy(), 200);
    return true;
  };
  const { page } = await visit(t, { server, errors: [/ERR_|net::/] });
  await ready(page);
  assert.equal(ranges[0], undefined);
  assert.match(ranges[1], /^bytes=[1-9]\d*-$/);
  // The next visit takes it from the cache, as the server says that it is the same.
  await page.reload();
  await ready(page);
  assert.deepEqual(answers, [206, 304]);
});

test('it works without a network after the first visit', async (t) => {
  const { page, server } = await visit(t, { errors: [/ERR_|net::|Failed to/] });
  await ready(page);
  await says(page, '#offline', /without a network from now on/);
  await server.stop();
  await page.reload();
  await ready(page);
  await says(page, '#try-status', /4 texts embedded/);
  await page.goto(`${server.url}#search`);
  await addText(page, 'Offline', 'No network is needed. Everything happens here. The words stay on this device.');
  await says(page, '#library-size', /passage/);
  await idle(page);
  await page.fill('#query', 'no connection');
  await page.waitForSelector('.result .score');
});

test('a full disk is said in a sentence, and the work goes on in memory', async (t) => {
  const { page, context, server } = await visit(t, { errors: [/quota|Quota|could be kept|no more room/i] });
  await ready(page);
  await says(page, '#try-status', /4 texts embedded/);
  const session = await context.newCDPSession(page);
  const { usage } = await session.send('Storage.getUsageAndQuota', { origin: server.url.slice(0, -1) });
  await session.send('Storage.overrideQuotaForOrigin', { origin: server.url.slice(0, -1), quotaSize: usage + 100_000 });
  await openDrawer(page);
  await page.setInputFiles('#model-files', [tiny('pytorch_model.bin'), tiny('config.json'), tiny('tokenizer.json')]);
  await page.click('#drawer button[type="submit"].primary');
  await says(page, '#notices', /no more room.*Delete a model/);
  await isReady(page, 'pytorch_model');
  await page.keyboard.press('Escape');
  await page.click('nav >> text=Search');
  await page.evaluate(() => document.querySelectorAll('#notices .close').forEach((button) => button.click()));
  await session.send('Storage.overrideQuotaForOrigin', { origin: server.url.slice(0, -1), quotaSize: 1 });
  await addText(page, 'Too much', 'A text that cannot be kept, yet can be searched. It has two sentences.');
  await says(page, '#unkept', /no more room/);
  await idle(page);
  await page.fill('#query', 'A text that cannot be kept');
  await page.waitForSelector('.result .score');
});
