import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addText, idle, ready, says, screenshots, startServer, visit } from './browser.mjs';

test('the page opens on a library that can be asked at once', async (t) => {
  const server = await startServer(t);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  // The model arrives late: words answer until then.
  server.hooks.before = (request, response) => {
    if (!request.url.endsWith('.safetensors') || server.hooks.let) return false;
    server.hooks.let = true;
    void held.then(() => response.writeHead(307, { location: request.url }).end());
    return true;
  };
  const { page } = await visit(t, { server, path: '', viewport: { width: 1200, height: 630 } });
  await page.waitForSelector('.result');
  assert.match(await page.textContent('#search .lead'), /files never leave this tab.* \d+\.\d MB /);
  assert.ok(await page.isVisible('#search .lead p'));
  assert.equal(await page.$$eval('.question', (all) => all.length), 3);
  assert.match(await page.textContent('.documents'), /The Time Machine.*Treasure Island.*Recipes.*manual/);
  await page.click('.question');
  await page.waitForSelector('.result mark');
  await says(page, '#found', /good match.*by words until the model is here/);
  const times = await page.evaluate(() => [performance.getEntriesByName('first-contentful-paint')[0].startTime, performance.now()]);
  t.diagnostic(`first paint ${times[0].toFixed(0)} ms, first result ${times[1].toFixed(0)} ms after navigation, from an empty cache`);
  await page.waitForURL(/[?&]q=a\+one-legged/);
  release();
  await ready(page);
  await page.waitForSelector('.result .best');
  await says(page, '#found', /^\d+ good match(es)?$/);
  assert.equal(await page.textContent('#results-0 b'), 'Treasure Island');
  assert.match(await page.textContent('#results-0 .where'), /›/);
  await page.screenshot({ path: `${screenshots}/preview.png` });
  for (const question of (await page.$$('.question')).slice(1)) await question.click();
  await says(page, '#results-0 b', /Recipes/);
  assert.match(await page.textContent('#results-0'), /[Ll]entil/);
  // What is below the floor comes on demand.
  const listed = () => page.getAttribute('#results-0', 'aria-setsize').then(Number);
  const good = await listed();
  await page.click('#more');
  await says(page, '#more', /Only good ones/);
  assert.ok((await listed()) > good);
  await page.click('[data-mode="words"]');
  await page.fill('#query', 'zxqv wvvq');
  await says(page, '#found', /^No good match$/);
  await page.click('[data-mode="both"]');
  // Own documents take the place of what came with the page, and give it back.
  await addText(page, 'Mine', 'Rain fills the cisterns in winter.');
  await idle(page);
  await says(page, '#library-size', /^1 passage$/);
  assert.doesNotMatch(await page.textContent('.documents'), /Treasure/);
  await page.click('[aria-label="Delete Mine"]');
  await says(page, '.documents', /Treasure Island/);
  for (const section of ['Try', 'Map', 'Compare', 'Use it']) {
    await page.click(`nav >> text=${section}`);
    assert.match(await page.textContent('section:not([hidden]) .lead p'), /\w{3,} .*\./);
  }
  for (const link of await page.$$eval('footer a', (all) => all.map((one) => one.href))) assert.equal((await page.request.get(link)).status(), 200, link);
});

test('an address restores query and section, and the page says what it is', async (t) => {
  const { page, server } = await visit(t, { path: '?q=%22pieces+of+eight%22&tab=search' });
  await page.waitForFunction(() => document.querySelector('#query').value === '"pieces of eight"');
  await says(page, '#results-0 mark', /pieces/i);
  await page.goto(`${server.url}?tab=map`);
  await says(page, '#map-status', /passages, by the two directions/);
  const about = await page.evaluate(() => [document.title, document.querySelector('meta[name="description"]').content, document.querySelector('meta[property="og:image"]').content]);
  assert.ok(about[0].length > 10 && about[1].length > 50);
  assert.equal((await page.request.get(new URL(about[2], server.url).href)).headers()['content-type'], 'image/png');
});

test('a model that does not come is told where one looks, and fetched again', async (t) => {
  const server = await startServer(t);
  let broken = true;
  server.hooks.before = (request, response) => {
    if (!broken || !request.url.endsWith('.safetensors')) return false;
    response.writeHead(503).end();
    return true;
  };
  const { page } = await visit(t, { server, path: '', errors: [/503|network|download/i] });
  await says(page, '#trouble', /download failed/);
  assert.ok(await page.isVisible('#trouble button'));
  await page.click('.question');
  await says(page, '#found', /by words alone/);
  broken = false;
  await page.click('#trouble button');
  await ready(page);
  assert.ok(await page.isHidden('#trouble'));
  await page.waitForSelector('.result .best');
});

test('what is not English is told', async (t) => {
  const { page } = await visit(t, { path: '#search' });
  await ready(page);
  await addText(page, 'Chinese', '今天天气很好，我们去公园散步。明天可能会下雨，请带雨伞。');
  await says(page, '#notices', /Chinese.*this model reads English/);
  await idle(page);
  await page.fill('#query', 'كيف حال الطقس اليوم');
  await says(page, '#found', /this model reads English/);
  await page.fill('#query', 'how is the weather');
  await page.waitForFunction(() => !/reads English/.test(document.querySelector('#found').textContent));
});
