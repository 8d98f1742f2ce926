import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtIn, copied, prose, ready, says, startServer, trained, visit } from './browser.mjs';

test('the page can be used while the model streams in, and does not jump', async (t) => {
  const server = await startServer(t);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  server.hooks.before = (request, response) => {
    if (!request.url.endsWith('.safetensors') || server.hooks.let) return false;
    server.hooks.let = true;
    void held.then(() => response.writeHead(307, { location: request.url }).end());
    return true;
  };
  const { page } = await visit(t, { server });
  await page.evaluate(() => {
    window.shift = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => !entry.hadRecentInput && (window.shift += entry.value))).observe({ type: 'layout-shift', buffered: true });
  });
  await page.fill('.card textarea', 'typed before there was a model');
  await page.click('nav >> text=Use it');
  await page.waitForSelector('.snippet pre');
  await page.click('nav >> text=Try');
  assert.equal(await page.getAttribute('#model-button', 'data-phase'), 'loading');
  release();
  await ready(page);
  await says(page, '#heat', /0\.\d\d/);
  await page.waitForTimeout(300);
  const shift = await page.evaluate(() => window.shift);
  assert.ok(shift < 0.1, `layout shift ${shift}`);
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
  t.diagnostic(`first contentful paint ${Math.round(paint)} ms, layout shift ${shift.toFixed(4)}`);
});

test('texts become vectors, tokens and a grid, live', async (t) => {
  const { page } = await visit(t);
  await ready(page);
  t.diagnostic(`start to first vector: ${await page.evaluate(() => performance.now().toFixed(0))} ms after navigation at most`);
  await says(page, '#try-status', /4 texts embedded/);
  const before = JSON.parse(await copied(page, '#try-copy'));
  assert.equal(before.data.length, 4);
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0) / Math.sqrt(a.reduce((s, x) => s + x * x, 0) * b.reduce((s, x) => s + x * x, 0));
  const cells = await page.$$eval('#heat tbody tr', (rows) => rows.map((row) => [...row.querySelectorAll('td')].map((cell) => cell.textContent)));
  for (const i of [0, 1, 2, 3]) {
    for (const j of [0, 1, 2, 3]) {
      if (i === j) continue;
      assert.equal(cells[i][j], cells[j][i]);
      assert.ok(Math.abs(Number(cells[i][j].replace('−', '-')) - dot(before.data[i].embedding, before.data[j].embedding)) < 0.006, `cell ${i} ${j}`);
    }
  }
  if (trained) assert.ok(dot(before.data[0].embedding, before.data[1].embedding) > dot(before.data[0].embedding, before.data[2].embedding), 'a ferry is nearer to a boat than to dough');
  // The same text again gives the same vector, whatever stands beside it.
  await page.fill('.card:nth-child(3) textarea', before.data[0].text);
  await page.waitForFunction(() => document.querySelector('#heat tbody tr td:nth-child(4)')?.textContent === '1.00');
  const after = JSON.parse(await copied(page, '#try-copy'));
  assert.deepEqual(after.data[2].embedding, before.data[0].embedding);
  assert.match(await page.textContent('.card:nth-child(3) .tokens'), /\[CLS\].*\[SEP\]/);
  assert.match(await page.textContent('.card .run'), /^\d+ tokens/);
  await page.click('#try-add');
  assert.equal(await page.$$eval('.card', (cards) => cards.length), 5);
  await page.fill('.card:nth-child(5) textarea', '\ud83d\ude00 emoji, ünïcode, 漢字 and \u0000 nothing');
  await says(page, '.card:nth-child(5) .run', /token/);
  await page.click('.card:nth-child(5) .remove');
  await page.fill('.card textarea', '  ');
  await says(page, '.card .run', /^nothing to embed/);
  assert.equal(await page.textContent('#heat tbody tr td:nth-child(3)'), '');
});

test('many texts and unbroken ones stay readable', async (t) => {
  const { page } = await visit(t);
  await ready(page);
  await page.fill('.card textarea', 'd41d8cd98f00b204'.repeat(30));
  for (let n = 4; n < 30; n++) await page.click('#try-add');
  await page.fill('.card:nth-child(30) textarea', 'The last of thirty texts.');
  await says(page, '.card:nth-child(30) .run', /token/);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'no sideways scrolling');
  const cell = await page.$eval('#heat tbody tr td:nth-child(4)', (one) => ({ width: one.clientWidth, needs: one.scrollWidth }));
  assert.ok(cell.width >= 36 && cell.needs <= cell.width + 1, JSON.stringify(cell));
});

test('a very long text is embedded whole, and typing on calls it off', async (t) => {
  const { page } = await visit(t);
  await ready(page);
  await says(page, '#try-status', /4 texts embedded/);
  const long = prose(trained ? 28_000 : 3000);
  const paste = (text) =>
    page.$eval('.card textarea', (area, value) => {
      area.value = value;
      area.dispatchEvent(new Event('input', { bubbles: true }));
    }, text);
  if (trained) {
    // Called off: the short text that follows does not wait for the long one.
    await paste(long);
    await says(page, '#try-status', /Embedding [\d,]+ tokens/);
    await page.fill('.card textarea', 'short again');
    await says(page, '.card .run', /^[234] tokens/);
    assert.ok(await page.isHidden('#try-progress'));
  }
  await paste(long);
  await says(page, '.card .run', /\d{2},\d{3} tokens|[\d,]+ tokens, cut to/);
  t.diagnostic(`${builtIn}: ${await page.textContent('.card .run')}`);
  await page.click('.card .tokens-toggle');
  assert.match(await page.textContent('.card .tokens'), /more token/);
});
