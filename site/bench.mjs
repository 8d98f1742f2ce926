/**
 * Measures the built page in Chromium, as the README's table has it:
 * node bench.mjs [first] [typing] [large] [busy]
 */

import { existsSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { readdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { serve } from './serve.mjs';

const dist = fileURLToPath(new URL('dist', import.meta.url));
const model = readdirSync(`${dist}/models`).find((name) => name.startsWith('m2-bert-small-'));
const D = 256;
const WORDS = 60;
const parts = process.argv.slice(2);
const wanted = (part) => parts.length === 0 || parts.includes(part);

const sorted = (times) => [...times].sort((a, b) => a - b);
const median = (times) => sorted(times)[times.length >> 1];
const p95 = (times) => sorted(times)[Math.min(times.length - 1, Math.floor(0.95 * times.length))];
const ms = (x) => `${x < 10 ? x.toFixed(1) : Math.round(x)} ms`;

let state = 1;
const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
/** Words as frequent as those of a language: the n-th is there 1/n as often as the first. */
const syllables = 'ba de fi go ku la me ni po ru sa te vi wo xa ze cha dri flo gra'.split(' ');
const vocabulary = Array.from({ length: 30_000 }, (_, i) => { let word = ''; for (let n = i + 40; n > 0; n = Math.floor(n / 20)) word += syllables[n % 20]; return word; });
const word = () => vocabulary[Math.min(vocabulary.length - 1, Math.floor(Math.exp(random() * Math.log(vocabulary.length))))];
const sentence = (n) => Array.from({ length: n }, word).join(' ');

/** A library of n passages in documents of a thousand, with vectors of 8 bits, as "Export" writes it. */
function libraryOf(n) {
  const header = {};
  const data = [];
  const about = [];
  let at = 0;
  const add = (name, dtype, shape, array) => {
    header[name] = { dtype, shape, data_offsets: [at, (at += array.byteLength)] };
    data.push(Buffer.from(array.buffer));
  };
  for (let i = 0; i * 1000 < n; i++) {
    const count = Math.min(1000, n - i * 1000);
    const spans = new Int32Array(3 * count);
    let text = '';
    for (let k = 0; k < count; k++) {
      const own = sentence(WORDS);
      spans.set([text.length, text.length + own.length, WORDS * 2], 3 * k);
      text += `${own}\n\n`;
    }
    add(`vectors.${i}`, 'I8', [count, D], Int8Array.from({ length: count * D }, () => 127 * (2 * random() - 1)));
    add(`passages.${i}`, 'I32', [count, 3], spans);
    about.push({ name: `document ${i + 1}`, text, mode: 'passages', model, dimension: D, added: 1 });
  }
  header.__metadata__ = { format: 'm2embed library 1', documents: JSON.stringify(about) };
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([size, padded, ...data]);
}

const files = new Map();
const server = serve(dist, {
  before(request, response) {
    const bytes = files.get(request.url);
    if (bytes) response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    return bytes !== undefined;
  },
});
await new Promise((resolve) => server.listen(0, resolve));
const url = `http://localhost:${server.address().port}/`;
const executablePath = process.env.CHROMIUM ?? (existsSync('/usr/bin/chromium') ? '/usr/bin/chromium' : undefined);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--js-flags=--expose-gc', '--enable-precise-memory-info'] });

async function visit(path) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  context.setDefaultTimeout(300_000);
  const page = await context.newPage();
  await page.addInitScript(() => {
    // When the first passage that answers the query is there.
    const observer = new MutationObserver(() => {
      if (window.firstResult || !document.querySelector('.result mark')) return;
      window.firstResult = performance.now();
      observer.disconnect();
    });
    observer.observe(document, { childList: true, subtree: true });
  });
  await page.goto(url + path);
  return { context, page };
}
const ready = (page) => page.waitForSelector('#model-button[data-phase="ready"]');
/** Asks a query; ms from the last key until its results are drawn, and what the page says of it. */
async function ask(page, query) {
  return page.evaluate(async (text) => {
    const field = document.querySelector('#query');
    const results = document.querySelector('#results');
    const time = document.querySelector('#query-time');
    time.textContent = '';
    const started = performance.now();
    field.value = text;
    queueMicrotask(() => field.dispatchEvent(new Event('input', { bubbles: true })));
    await new Promise((resolve) => {
      const observer = new MutationObserver(() => time.textContent !== '' && resolve(observer.disconnect()));
      observer.observe(time, { childList: true, characterData: true, subtree: true });
    });
    results.getBoundingClientRect();
    return performance.now() - started;
  }, query);
}
async function typing(page, rounds) {
  const times = [];
  for (let i = 0; i < rounds; i++) {
    const query = sentence(3);
    for (let length = 3; length <= query.length; length += 3) times.push(await ask(page, query.slice(0, length)));
  }
  return times;
}
/** Seconds of processor time that the page's main thread has spent, and wall time. */
async function mainThread(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  return async () => {
    const metrics = Object.fromEntries((await session.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]));
    return { spent: metrics.TaskDuration, wall: performance.now() / 1000 };
  };
}
const heap = async (page) => {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.enable');
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize, backingStorageSize = 0 } = await session.send('Runtime.getHeapUsage');
  return { usedSize, backingStorageSize };
};

console.log(`${cpus().length} cores of ${cpus()[0].model}, ${browser.browserType().name()} ${browser.version()}, load ${loadavg()[0].toFixed(1)}`);

if (wanted('first')) {
  const paints = [];
  const firsts = [];
  const models = [];
  for (let i = 0; i < 7; i++) {
    const { context, page } = await visit('?q=a+one-legged+sailor+who+cooks');
    await page.waitForFunction(() => window.firstResult);
    const [paint, first] = await page.evaluate(() => [performance.getEntriesByName('first-contentful-paint')[0].startTime, window.firstResult]);
    await ready(page);
    models.push(await page.evaluate(() => performance.now()));
    paints.push(paint);
    firsts.push(first);
    await context.close();
  }
  console.log(`from an empty cache: first paint ${ms(median(paints))}, first result ${ms(median(firsts))} (${firsts.map(ms).join(', ')}), model ready ${ms(median(models))}`);
}

for (const [part, n, rounds] of [['typing', 15_000, 20], ['large', 100_000, 8]]) {
  if (!wanted(part)) continue;
  files.set('/bench.m2embed', libraryOf(n));
  const { context, page } = await visit(`?library=bench.m2embed`);
  await ready(page);
  await page.waitForFunction((text) => document.querySelector('#library-size').textContent.startsWith(text), n.toLocaleString('en'));
  const started = Date.now();
  await ask(page, 'first');
  console.log(`${n.toLocaleString('en')} passages: first query, which waits for the index, ${ms(Date.now() - started)}`);
  await typing(page, 2);
  const clock = await mainThread(page);
  const before = await clock();
  const times = await typing(page, rounds);
  const after = await clock();
  console.log(`${n.toLocaleString('en')} passages: from key to results, median ${ms(median(times))}, p95 ${ms(p95(times))}, of ${times.length} (load ${loadavg()[0].toFixed(1)}); processor time of the main thread for each ${ms((1000 * (after.spent - before.spent)) / times.length)}`);
  const { usedSize, backingStorageSize } = await heap(page);
  console.log(`  heap ${Math.round(usedSize / 1e6)} MB, buffers ${Math.round(backingStorageSize / 1e6)} MB, of which vectors ${Math.round((n * D * 4) / 1e6)} MB`);
  await context.close();
  files.clear();
}

if (wanted('busy')) {
  const { context, page } = await visit('');
  await ready(page);
  const input = { name: 'library.m2embed', mimeType: 'application/octet-stream', buffer: libraryOf(15_000) };
  await page.setInputFiles('#import-file', input);
  await page.waitForFunction(() => document.querySelector('#library-size').textContent.startsWith('15,000'));
  await page.evaluate(() => {
    window.events = [];
    new PerformanceObserver((list) => window.events.push(...list.getEntries().map(({ name, duration }) => [name, duration]))).observe({ type: 'event', durationThreshold: 16 });
  });
  await page.setInputFiles('#files', { name: 'much.txt', mimeType: 'text/plain', buffer: Buffer.from(Array.from({ length: 2500 }, () => `${sentence(80)}.`).join('\n\n')) });
  await page.waitForFunction(() => /tokens\/s/.test(document.querySelector('#job-detail').textContent));
  const clock = await mainThread(page);
  const before = await clock();
  await page.waitForTimeout(15_000);
  const after = await clock();
  console.log(`while embedding beside 15,000 passages: main thread busy ${(100 * (after.spent - before.spent) / (after.wall - before.wall)).toFixed(1)} %, ${await page.textContent('#job-detail')} (load ${loadavg()[0].toFixed(1)})`);
  let clicks = 0;
  for (let i = 0; i < 12 && !(await page.isHidden('#job')); i++, clicks++) {
    await page.click(i % 2 === 0 ? '[data-mode="words"]' : '[data-mode="both"]');
    await page.waitForTimeout(300);
  }
  const events = await page.evaluate(() => window.events);
  const slow = events.filter(([name]) => /click|pointer|key/.test(name)).map(([, duration]) => duration);
  console.log(`clicks during it: ${clicks}, of which ${slow.length} events took 16 ms or more, the longest ${ms(Math.max(0, ...slow))}`);
  await context.close();
}

await browser.close();
server.close();
