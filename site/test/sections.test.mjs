import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { copied, idle, openWithGpu, ready, says, screenshots, trained, visit } from './browser.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A visitor with a small library. */
async function withLibrary(t) {
  const visitor = await visit(t, { path: '#search' });
  const { page } = visitor;
  await ready(page);
  await page.fill('#passage-size', '48');
  await page.click('#no-results button');
  await says(page, '#library-size', /passages/);
  await idle(page);
  return visitor;
}

test('the map: groups in words, keyboard, UMAP on demand', async (t) => {
  const { page } = await withLibrary(t);
  const loaded = [];
  page.on('request', (request) => loaded.push(request.url()));
  page.context().on('request', (request) => loaded.push(request.url()));
  await page.click('nav >> text=Map');
  await says(page, '#map-status', /passages, by the two directions/);
  assert.ok(!loaded.some((url) => url.includes('/umap-')), 'UMAP is not fetched before it is asked for');
  const groups = await page.$$eval('#map-groups summary', (all) => all.map((one) => one.textContent));
  assert.ok(groups.length >= 2);
  for (const group of groups) assert.match(group, /^\p{L}[^0-9]*, .*\d+$/u);
  const sum = await page.$$eval('#map-groups .count', (all) => all.reduce((total, one) => total + Number(one.textContent), 0));
  assert.equal(sum, Number(/^\d+/.exec(await page.textContent('#map-status'))[0]));
  await page.focus('.plane canvas');
  for (const key of ['ArrowRight', 'ArrowDown', 'ArrowLeft']) await page.keyboard.press(key);
  assert.match(await page.textContent('.plane .tip'), /A day on the island\p{L}/u);
  assert.match(await page.textContent('.plane [role="status"]'), /A day on the island: /);
  await page.keyboard.press('Enter');
  assert.ok(await page.isVisible('#dialog .here'));
  await page.keyboard.press('Escape');
  await page.click('#map-umap');
  await says(page, '#map-status', /UMAP/);
  await page.click('#map-groups summary');
  await page.click('#map-groups li button');
  assert.ok(await page.isVisible('#dialog .reader'));
  await page.keyboard.press('Escape');
  // Hover and click: over the plane some passage answers.
  const box = await page.locator('.plane canvas').boundingBox();
  let hit = false;
  for (let i = 0; i < 400 && !hit; i++) {
    await page.mouse.move(box.x + ((i * 37) % box.width), box.y + ((i * 23) % box.height));
    hit = await page.isVisible('.plane .tip');
  }
  assert.ok(hit, 'hovering finds a passage');
  await page.mouse.down();
  await page.mouse.up();
  assert.ok(await page.isVisible('#dialog .here'));
});

test('compare without a GPU says why, and measures the CPU', async (t) => {
  const { page } = await visit(t, { path: '#compare', errors: [/WebGPU|adapter/i] });
  await ready(page);
  await page.waitForSelector('#compare-lengths input');
  await page.$$eval('#compare-lengths input', (boxes) => boxes.forEach((box, i) => i > 1 === box.checked && box.click()));
  await page.click('#compare-run');
  await says(page, '#compare-run', /Run again/);
  assert.match(await page.textContent('#compare-status'), /^Only the CPU was measured: /);
  const text = await copied(page, '#compare-copy');
  const row = text.split('\n')[2].split('|').map((cell) => cell.trim());
  assert.ok(Number(row[2].replaceAll(',', '')) > 0, text);
  assert.equal(row[3], '–');
  assert.match(text, /Model: .*Browser: /);
  assert.equal(await page.$$eval('#compare-plot .cpu-dot', (all) => all.length), 2);
});

test('compare with a GPU in software: the vectors agree', async (t) => {
  const browser = await openWithGpu();
  t.after(() => browser.close());
  const { page } = await visit(t, { in: browser, path: '#compare' });
  await ready(page);
  await page.waitForSelector('#compare-lengths input');
  await page.$$eval('#compare-lengths input', (boxes) => boxes.forEach((box, i) => i > 0 === box.checked && box.click()));
  await page.click('#compare-run');
  await page.waitForFunction(() => document.querySelector('#compare-run').textContent === 'Run again', null, { timeout: 150_000 });
  assert.match(await page.textContent('#compare-status'), /^Done, on /);
  const text = await copied(page, '#compare-copy');
  const row = text.split('\n')[2].split('|').map((cell) => cell.trim());
  t.diagnostic(text.split('\n').slice(0, 3).join('\n'));
  assert.ok(Number(row[3].replaceAll(',', '')) > 0, text);
  // Of 8-bit weights the CPU makes 8-bit products, the GPU 32-bit ones.
  assert.ok(Number(row[5]) < (trained ? 1e-3 : 1e-6), `1 − cosine ${row[5]}`);
  assert.ok(Number(row[6]) < (trained ? 2e-2 : 1e-4), `largest difference ${row[6]}`);
  await page.screenshot({ path: `${screenshots}/compare-gpu.png` });
});

test('every section is accessible, in light, dark and narrow', async (t) => {
  const { page } = await withLibrary(t);
  await page.fill('#query', 'where does the fresh water come from');
  await page.waitForSelector('.result mark');
  const check = async (name) => {
    await page.evaluate(axe);
    const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join('; ')}`));
    assert.deepEqual(found, [], name);
  };
  for (const section of ['Try', 'Search', 'Map', 'Compare', 'Use it']) {
    await page.click(`nav >> text=${section}`);
    const name = section.toLowerCase().replace(' ', '-');
    if (section === 'Map') await says(page, '#map-status', /by the two directions/);
    for (const [colorScheme, width, height] of [['light', 1280, 860], ['dark', 1280, 860], ['light', 390, 844]]) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(250);
      const look = width < 500 ? 'narrow' : colorScheme;
      await page.screenshot({ path: `${screenshots}/${name}-${look}.png` });
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} ${look}: no sideways scrolling`);
      if (look !== 'narrow' || section === 'Search') await check(`${name} ${look}`);
    }
    await page.setViewportSize({ width: 1280, height: 860 });
  }
  await page.click('#model-button');
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(250);
    await page.screenshot({ path: `${screenshots}/model-${colorScheme}.png` });
    await check(`model ${colorScheme}`);
  }
  await page.keyboard.press('Escape');
  await page.click('#theme');
  await page.click('#theme');
  assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
});
