import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { addText, axe, copied, dist, drawn, idle, look, openWithGpu, PATIENCE, ready, repository, says, screenshots, startServer, trained, visit } from './browser.mjs';
import { sample } from './files.mjs';

/** A visitor with a small library. */
async function withLibrary(t) {
  const visitor = await visit(t, { path: '#search' });
  const { page } = visitor;
  await ready(page);
  await page.fill('#passage-size', '48');
  await addText(page, sample.name, sample.text);
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
  const named = await page.$$eval('.plane .names span', (all) => all.map((one) => one.textContent));
  assert.ok(named.length > 0 && named.every((name) => groups.some((group) => group.startsWith(name))), `${named}`);
  await page.click('#map-groups summary');
  await page.waitForSelector('#map-groups li button');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'an open group widens nothing');
  await page.click('#map-groups summary');
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

test('the map: a query as a pin, a lasso, a part of the library to search and to save', async (t) => {
  const { page } = await withLibrary(t);
  await page.click('nav >> text=Map');
  await says(page, '#map-status', /passages, by the two directions/);
  await page.fill('#map-query', 'where fresh water comes from');
  await says(page, '#map-near', /Nearest to the query.*(cistern|wells|Water)/);
  await says(page, '#map-status', /\d passages nearest to the query are lit/);
  const inside = await page.evaluate(() => {
    const pin = document.querySelector('.plane .pin').getBoundingClientRect();
    const name = document.querySelector('.plane .pin span').getBoundingClientRect();
    const plane = document.querySelector('.plane').getBoundingClientRect();
    return pin.left >= plane.left && pin.right <= plane.right && pin.top >= plane.top && pin.bottom <= plane.bottom && name.left >= plane.left - 1 && name.right <= plane.right + 1;
  });
  assert.ok(inside, 'pin and name are on the map');
  await look(page, 'map-pin');
  await page.click('#map-near li button');
  await page.waitForSelector('#dialog .here');
  await page.keyboard.press('Escape');
  await page.fill('#map-query', '');
  await page.waitForSelector('#map-near', { state: 'hidden' });
  await says(page, '#map-status', /passages, by the two directions/);
  // Around everything, then by the keyboard, then a group.
  await page.setViewportSize({ width: 1280, height: 1200 });
  await page.click('#map-lasso');
  const box = await page.locator('.plane canvas').boundingBox();
  const drag = async (points) => {
    for (const [i, [x, y]] of points.entries()) {
      await page.mouse.move(box.x + x * box.width, box.y + y * box.height);
      if (i === 0) await page.mouse.down();
    }
    await page.mouse.up();
  };
  await drag([[0.005, 0.005], [0.995, 0.005], [0.995, 0.995], [0.005, 0.995], [0.005, 0.5]]);
  const all = Number(/^\d+/.exec(await page.textContent('#map-status'))[0]);
  await says(page, '#map-chosen', new RegExp(`${all} passages of 1 document`));
  await page.click('#chosen-clear');
  await page.waitForSelector('#map-chosen', { state: 'hidden' });
  await page.click('#map-lasso');
  await page.focus('.plane canvas');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press(' ');
  await says(page, '#map-chosen', /^Chosen1 passage of 1 document/);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press(' ');
  await says(page, '#map-chosen', /^Chosen[12] passages? of 1 document|^$/);
  await page.click('#map-groups summary');
  await page.click('#map-groups .take');
  const chosen = Number(/Chosen(\d+)/.exec(await page.textContent('#map-chosen'))[1]);
  assert.ok(chosen > 1 && chosen < all);
  await look(page, 'map-chosen');
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#chosen-save')]);
  await page.click('#chosen-search');
  await says(page, '#within', new RegExp(`${chosen} passages chosen on the map`));
  await page.fill('#query', 'the');
  await page.click('[data-mode="meaning"]');
  await page.waitForSelector('#results-0 .score');
  if (await page.isVisible('#more')) await page.click('#more');
  assert.ok(Number(await page.getAttribute('#results-0', 'aria-setsize')) <= chosen);
  // The part opens as a library of its own.
  await page.click('#clear');
  await page.click('#dialog button.danger');
  await page.setInputFiles('#import-file', { name: 'part.m2embed', mimeType: 'application/octet-stream', buffer: readFileSync(await download.path()) });
  await says(page, '#library-size', new RegExp(`^${chosen} passages?$`));
});

test('the map of a larger library: outliers at the edge, zoom and fit, UMAP called off', async (t) => {
  const { page } = await visit(t, { path: '?tab=map' });
  await says(page, '#map-status', /passages, by the two directions in which they differ most\. \d+, hollow at the edge, lie farther out/);
  const picture = () => page.evaluate(() => document.querySelector('.plane canvas').toDataURL());
  const names = () => page.$$eval('.plane .names span', (all) => all.map((one) => `${one.textContent} ${one.style.left}`).join());
  const before = [await picture(), await names()];
  const shows = (same) => page.waitForFunction(([was, is]) => (document.querySelector('.plane canvas').toDataURL() === was) === is, [before[0], same]);
  await page.click('[aria-label="Zoom in"]');
  await shows(false);
  await page.click('#map-fit');
  await shows(true);
  assert.equal(await names(), before[1]);
  await page.click('#map-umap');
  await page.click('#map-cancel');
  await says(page, '#map-status', /by the two directions/);
  assert.ok(await page.isHidden('#map-work'));
  assert.equal(await page.getAttribute('#map-plain', 'aria-pressed'), 'true');
});

/** Ticks the first lengths, and runs them. */
async function compare(page, lengths) {
  await page.waitForSelector('#compare-lengths input');
  await page.$$eval('#compare-lengths input', (boxes, n) => boxes.forEach((box, i) => i < n !== box.checked && box.click()), lengths);
  await page.click('#compare-run');
}

/** Waits for the end of a comparison; gives its status and the cells of the table, as they are copied. */
async function compared(page) {
  await page.waitForFunction(() => document.querySelector('#compare-run').textContent === 'Run again', null, { timeout: PATIENCE });
  const text = await copied(page, '#compare-copy');
  const rows = text.split('\n\n')[0].split('\n').slice(2);
  return { status: await page.textContent('#compare-status'), text, rows: rows.map((row) => row.split('|').map((cell) => cell.trim().replaceAll(',', ''))) };
}

test('compare without a GPU says why, and measures the CPU', async (t) => {
  const { page } = await visit(t, { path: '#compare', errors: [/WebGPU|adapter/i] });
  await ready(page);
  await compare(page, 2);
  const { status, text, rows } = await compared(page);
  assert.match(status, /^Only the CPU was measured: .*no graphics adapter/);
  assert.ok(Number(rows[0][2]) > 0, text);
  assert.equal(rows[0][3], '–');
  assert.match(text, /Model: .*Browser: /);
  assert.equal(await page.$$eval('#compare-plot .cpu-dot', (all) => all.length), 2);
});

test('compare with a GPU in software: the vectors agree; it can be stopped and run again', async (t) => {
  const browser = await openWithGpu();
  t.after(() => browser.close());
  const { page } = await visit(t, { in: browser, path: '#compare' });
  await ready(page);
  await compare(page, 1);
  await says(page, '#compare-status', /on the CPU and the GPU/);
  await page.click('#compare-run');
  await says(page, '#compare-status', /^Stopped/);
  assert.ok(await page.isHidden('#compare-progress'));
  await page.click('#compare-run');
  const { status, text, rows } = await compared(page);
  t.diagnostic(text.split('\n').slice(0, 3).join('\n'));
  assert.match(status, /^Done, on /);
  const [, length, , gpu, , cosine, difference, cpuMemory, gpuMemory, prepare] = rows[0];
  assert.ok(Number(length) > 0 && Number(gpu) > 0, text);
  // Of 8-bit weights the CPU makes 8-bit products, the GPU 32-bit ones.
  assert.ok(Number(cosine) < (trained ? 1e-3 : 1e-6), `1 − cosine ${cosine}`);
  assert.ok(Number(difference) < (trained ? 2e-2 : 1e-4), `largest difference ${difference}`);
  for (const cell of [cpuMemory, gpuMemory, prepare]) assert.match(cell, /^\d/);
  assert.match(text, /; GPU: /);
  await page.screenshot({ path: `${screenshots}/compare-gpu.png` });
});

test('a GPU that goes away in the middle: the CPU goes on, and the page says so; with a model of one\'s own', async (t) => {
  const browser = await openWithGpu();
  t.after(() => browser.close());
  const server = await startServer(t);
  // The device goes when it is given 128 tokens.
  const lose = `{
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      const device = await requestDevice.call(this, descriptor);
      const write = device.queue.writeBuffer.bind(device.queue);
      device.queue.writeBuffer = (buffer, at, data, ...rest) => {
        if (data.length === 128) device.destroy();
        write(buffer, at, data, ...rest);
      };
      return device;
    };
  }`;
  server.hooks.before = (request, response) => {
    if (!/\/worker-host-[^/]*\.js$/.test(request.url)) return false;
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(`${lose}\n${readFileSync(dist + request.url, 'utf8')}`);
    return true;
  };
  const { page } = await visit(t, { server, in: browser, path: '#compare' });
  await ready(page);
  await page.click('#model-button');
  await page.setInputFiles('#model-files', ['pytorch_model.bin', 'config.json', 'tokenizer.json'].map((name) => `${repository}/testdata/tiny/${name}`));
  await page.selectOption('#model-padding', 'none');
  await page.click('#drawer button[type="submit"].primary');
  await page.waitForFunction(() => document.querySelector('#model-button .name').textContent === 'pytorch_model');
  await ready(page);
  await page.click('#drawer .head button');
  await compare(page, 3);
  const { status, text, rows } = await compared(page);
  assert.match(status, /^The GPU was taken away .*The CPU still works/);
  assert.deepEqual(rows.map((row) => row[1]), ['32', '128', '512']);
  assert.deepEqual(rows.map((row) => Number(row[2]) > 0), [true, true, true], text);
  assert.deepEqual(rows.map((row) => Number(row[3]) > 0), [true, false, false], text);
  assert.ok(Number(rows[0][5]) < 1e-6, text);
});

test('the states of search are accessible, in light, dark and at 320 px', async (t) => {
  const { page } = await visit(t, { path: '' });
  await ready(page);
  await page.click('.question');
  await page.waitForSelector('.result .best');
  await look(page, 'opening');
  await page.click('#results-0');
  await page.waitForSelector('#dialog .reader');
  await look(page, 'reader');
  await page.keyboard.press('Escape');
  await page.setInputFiles('#files', [{ name: `${'a_long_name_'.repeat(12)}.csv`, mimeType: 'text/csv', buffer: Buffer.from('id;title;text;link\n1;Cat;The cat sleeps on the sofa all day long.;https://example.org/a/very/long/address/without/an/end\n') }]);
  await page.waitForSelector('#dialog .preview');
  await look(page, 'columns');
  await page.keyboard.press('Escape');
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
  for (const section of ['Search', 'Try', 'Map', 'Compare', 'Use it']) {
    await page.click(`nav >> text=${section}`);
    const name = section.toLowerCase().replace(' ', '-');
    // The query has come along: what the map says before it is pinned passes by.
    if (section === 'Map') await says(page, '#map-status', /nearest to the query are lit/);
    for (const [colorScheme, width, height] of [['light', 1280, 860], ['dark', 1280, 860], ['light', 390, 844]]) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await drawn(page);
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
    await drawn(page);
    await page.screenshot({ path: `${screenshots}/model-${colorScheme}.png` });
    await check(`model ${colorScheme}`);
  }
  await page.keyboard.press('Escape');
  await page.click('#theme');
  await page.click('#theme');
  assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
});
