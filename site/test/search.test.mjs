import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { addText, builtIn, copied, drawn, idle, PATIENCE, prose, ready, repository, says, startServer, visit } from './browser.mjs';
import { libraryFile, lines, sample, table, texts } from './files.mjs';

const openSearch = async (t, options) => {
  const visitor = await visit(t, { path: '#search', ...options });
  await ready(visitor.page);
  await visitor.page.waitForSelector('#questions:not([hidden])');
  return visitor;
};
const names = (page) => page.$$eval('.documents .title b', (all) => all.map((one) => one.textContent));
const rows = (page) => page.$$eval('.result:not([hidden])', (all) => all.sort((a, b) => a.dataset.i - b.dataset.i).map((one) => ({ text: one.querySelector('.text').textContent, mark: one.querySelector('mark')?.textContent, score: one.querySelector('.score')?.textContent })));

const NEAR = /1\.00|0\.[7-9]\d/;

test('files of every kind are read, searched, kept, exported and imported', async (t) => {
  const { page, server } = await openSearch(t, { errors: [/not a library/] });
  await page.setInputFiles('#files', texts);
  await page.waitForFunction(() => document.querySelectorAll('.documents button.danger').length === 4);
  await idle(page);
  for (const file of [table, lines]) {
    await page.setInputFiles('#files', [file]);
    await page.click('#dialog button.primary');
    await page.waitForFunction((name) => [...document.querySelectorAll('.documents .title b')].some((b) => b.textContent === name), file.name);
    await idle(page);
  }
  assert.deepEqual(await names(page), ['ferry.txt', 'bakery.md', 'school.html', 'lighthouse.pdf', 'wells.csv', 'storms.jsonl']);
  assert.match(await page.textContent('#library-size'), /^9 passages$/);
  // The query is a passage's own text, so its cosine is near 1; a model's mark for queries takes a little.
  await page.fill('#query', 'Rain fills the cisterns in winter.');
  await says(page, '#results-0 .score', NEAR);
  let found = await rows(page);
  assert.match(found[0].text, /cisterns/);
  assert.ok(!found.some((row) => /wrong|tracker/.test(row.text)), 'scripts are not text');
  await page.waitForSelector('.result mark');
  // Keyboard: down into the list, open, close.
  await page.focus('#query');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  assert.ok(await page.isVisible('#dialog .reader'));
  assert.match(await page.textContent('#dialog .reader'), /cisterns/);
  await page.keyboard.press('Escape');
  // Kept across visits.
  await page.goto('about:blank');
  await page.goto(`${server.url}#search`);
  await page.waitForFunction(() => document.querySelectorAll('.documents button.danger').length === 6);
  await ready(page);
  await page.fill('#query', 'The radio stands in the chapel.');
  await says(page, '#results-0 .score', NEAR);
  found = await rows(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
  const file = readFileSync(await download.path());
  await page.click('#clear');
  await page.click('#dialog button.danger');
  await says(page, '.documents', /Treasure Island/);
  await page.setInputFiles('#import-file', { name: 'library.safetensors', mimeType: 'application/octet-stream', buffer: file });
  await says(page, '#library-size', /^9 passages$/);
  await says(page, '#results-0 .score', NEAR);
  assert.deepEqual((await rows(page)).map(({ text, score }) => [text, score]), found.map(({ text, score }) => [text, score]));
  // Damaged files change nothing.
  for (const bad of [file.subarray(0, 5), file.subarray(0, file.length - 4), Buffer.from('{"not": "a library"}'), Buffer.alloc(64, 0xff)]) {
    await page.setInputFiles('#import-file', { name: 'x.safetensors', mimeType: 'application/octet-stream', buffer: bad });
    await says(page, '#notices', /not a library/);
    await page.click('#notices .close');
  }
  assert.match(await page.textContent('#library-size'), /^9 passages$/);
});

test('passages of one pass know what stands around them, and a table\'s rows do not', async (t) => {
  const { page } = await openSearch(t);
  const vectorsOf = async (size, files) => {
    await page.fill('#passage-size', String(size));
    for (const file of files) {
      await page.setInputFiles('#files', [{ mimeType: 'text/plain', ...file }]);
      if (/csv$/.test(file.name)) await page.click('#dialog button.primary');
      await page.waitForFunction((name) => [...document.querySelectorAll('.documents .title b')].some((b) => b.textContent === name), file.name);
      await idle(page);
    }
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
    const file = readFileSync(await download.path());
    const length = Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.subarray(8, 8 + length));
    const about = JSON.parse(header.__metadata__.documents);
    const tensor = (name, type) => { const [from, to] = header[name].data_offsets; return new type(new Uint8Array(file.subarray(8 + length + from, 8 + length + to)).buffer); };
    return about.map(({ name, text }, i) => {
      const spans = tensor(`passages.${i}`, Int32Array);
      const vectors = tensor(`vectors.${i}`, Float32Array);
      return { name, text, passages: Array.from({ length: spans.length / 3 }, (_, k) => ({ start: spans[3 * k], end: spans[3 * k + 1], tokens: spans[3 * k + 2], vector: vectors.subarray(256 * k, 256 * (k + 1)) })) };
    });
  };
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const rows = Array.from({ length: 12 }, (_, i) => prose(20, i + 3).replaceAll('\n', ' '));
  const [island, table] = await vectorsOf(48, [{ name: 'island.txt', buffer: Buffer.from(sample.text) }, { name: 'rows.csv', buffer: Buffer.from(`id,text\n${rows.map((row, i) => `${i},${row}`).join('\n')}\n`) }]);
  assert.ok(island.passages.length > 5);
  assert.equal(table.passages.length, 12);
  // What is embedded by itself is what the package makes of it; what is a span of a pass is near it.
  const { M2Embed } = await import(`${repository}wasm/js/dist/index.js`);
  const model = await M2Embed.load(`${repository}host/small/`);
  t.after(() => model.dispose());
  const cosines = async ({ text, passages }) => Promise.all(passages.map(async ({ start, end, vector }) => dot(vector, await model.embed(text.slice(start, end), { normalize: true }))));
  const alone = await cosines(island);
  assert.ok(Math.max(...alone) < 0.9999 && Math.min(...alone) > 0.6, `${alone}`);
  assert.ok(Math.min(...(await cosines(table))) > 0.99999);
  const [{ spans }] = await model.embedDetailed([{ text: island.text, spans: island.passages.map(({ start, end }) => ({ start, end })) }]);
  for (const [i, { vector }] of spans.entries()) assert.ok(dot(vector, island.passages[i].vector) > 0.99999, `passage ${i}`);
  for (const { start, end, tokens } of island.passages) {
    assert.ok(tokens <= 72, `${tokens} tokens`);
    assert.equal(island.text.slice(start, end).trim().length, end - start);
  }
});

test('a library opens by its address, from this origin only, and leaves the visitor\'s own alone', async (t) => {
  const server = await startServer(t);
  const file = libraryFile(builtIn, 40, 256);
  const other = libraryFile('another-model', 40, 256);
  server.hooks.before = (request, response) => {
    const [path] = request.url.split('?');
    const bytes = { '/shared/notes.m2embed': file, '/shared/other.m2embed': other, '/shared/bad.m2embed': Buffer.from('no library at all') }[path];
    if (bytes) response.writeHead(200).end(bytes);
    return bytes !== undefined;
  };
  const { page } = await visit(t, { server, path: '#search', errors: [/library of this link|not a library|404/] });
  await ready(page);
  await addText(page, 'Mine', 'Rain fills the cisterns in winter.');
  await idle(page);
  await page.goto(`${server.url}?library=shared/notes.m2embed&q=rivers&mode=words&tab=search`);
  await says(page, '#library-size', /^40 passages$/);
  await says(page, '#linked', /notes\.m2embed/);
  await says(page, '#results-0 mark', /rivers/);
  assert.equal(await page.getAttribute('[data-mode="words"]', 'aria-pressed'), 'true');
  assert.match(page.url(), /mode=words/);
  await page.click('#linked-leave');
  await says(page, '.documents', /Mine/);
  assert.doesNotMatch(page.url(), /library=/);
  await says(page, '#library-size', /^1 passage$/);
  await page.goto(`${server.url}?library=shared/notes.m2embed`);
  await page.click('#linked-keep');
  await says(page, '#library-size', /^41 passages$/);
  await page.reload();
  await says(page, '#library-size', /^41 passages$/);
  // Vectors of another model do not compare.
  await page.goto(`${server.url}?library=${encodeURIComponent(`${server.url}shared/other.m2embed`)}`);
  await says(page, '.documents', /embedded with another model/);
  await says(page, '#no-results', /keep them and embed them again/);
  for (const [address, sentence] of [
    ['https://elsewhere.example/x.m2embed', /lies on elsewhere\.example/],
    ['shared/missing.m2embed', /status 404/],
    ['shared/bad.m2embed', /not a library/],
    ['javascript:alert(1)', /is no address/],
  ]) {
    await page.goto(`${server.url}?library=${encodeURIComponent(address)}`);
    await says(page, '#notices', sentence);
    await says(page, '#library-size', /^41 passages$/);
  }
});

test('two tabs add, delete and take back without losing anything', async (t) => {
  const { page, context, server } = await openSearch(t);
  const other = await context.newPage();
  await other.goto(`${server.url}#search`);
  await ready(other);
  // Both take a new id at the same moment.
  await Promise.all([addText(page, 'One', 'The ferry brings bread and lemons.'), addText(other, 'Two', 'The baker lights her oven with olive wood.')]);
  for (const tab of [page, other]) {
    await idle(tab);
    await says(tab, '#library-size', /^2 passages$/);
    assert.deepEqual((await names(tab)).sort(), ['One', 'Two']);
  }
  await page.click('[aria-label="Delete Two"]');
  await says(other, '#library-size', /^1 passage$/);
  await page.click('#notices >> text=Undo');
  for (const tab of [page, other]) await says(tab, '#library-size', /^2 passages$/);
  // The same text again is recognised.
  await addText(page, 'Three', 'The ferry brings bread and lemons.');
  await says(page, '#notices', /Three is in the library already/);
  await idle(page);
  await other.close();
  await page.reload();
  await says(page, '#library-size', /^2 passages$/);
  assert.deepEqual((await names(page)).sort(), ['One', 'Two']);
});

test('what is dropped during a job waits, and a document deleted in the middle stops alone', async (t) => {
  const { page } = await openSearch(t);
  await page.fill('#passage-size', '32');
  await addText(page, 'Long', prose(60_000));
  await page.waitForFunction(() => /of [\d,]+ passages/.test(document.querySelector('#job-detail').textContent));
  await addText(page, 'Short', 'Rain fills the cisterns in winter.');
  await says(page, '#job-title', /then 1 more drop/);
  await page.waitForFunction(() => /^[1-9]/.test(document.querySelector('#library-size').textContent));
  await page.click('[aria-label="Delete Long"]');
  await page.waitForFunction(() => [...document.querySelectorAll('.documents .title b')].some((b) => b.textContent === 'Short'));
  await idle(page);
  await says(page, '#library-size', /^1 passage$/);
  await page.reload();
  await says(page, '#library-size', /^1 passage$/);
  assert.deepEqual(await names(page), ['Short']);
});

test('whole documents, and files that are none', async (t) => {
  const { page } = await openSearch(t, { errors: [/is not a text file|is empty|could not be read as a PDF|is not JSON|holds no text/] });
  await page.check('input[value="whole"]');
  await addText(page, 'A long letter', prose(60));
  await says(page, '.documents .title span', /whole document, \d+ tokens/);
  await idle(page);
  for (const [file, sentence] of [
    [{ name: 'a.bin', mimeType: 'application/octet-stream', buffer: Buffer.from([0, 1, 2, 0]) }, /not a text file/],
    [{ name: 'b.txt', mimeType: 'text/plain', buffer: Buffer.alloc(0) }, /is empty/],
    [{ name: 'c.pdf', mimeType: 'application/pdf', buffer: Buffer.from('%PDF-1.4 broken') }, /could not be read as a PDF/],
    [{ name: 'd.jsonl', mimeType: 'text/plain', buffer: Buffer.from('{"a": 1}\nnot json\n') }, /line 2, is not JSON/],
  ]) {
    await page.setInputFiles('#files', [file]);
    await says(page, '#notices', sentence);
  }
  assert.deepEqual(await names(page), ['A long letter']);
  await page.fill('#query', 'the captain of the harbour');
  await page.waitForSelector('.result .score');
});

test('long names push nothing out of the page', async (t) => {
  const { page } = await openSearch(t);
  const name = `${'a_really_long_file_name_without_any_spaces_'.repeat(4)}.txt`;
  await page.setInputFiles('#files', [{ name, mimeType: 'text/plain', buffer: Buffer.from('Rain fills the cisterns in winter. The wells give less. The taps are turned off at night.') }]);
  await says(page, '#library-size', /^1 passage$/);
  await idle(page);
  for (const width of [1280, 320]) {
    await page.setViewportSize({ width, height: 800 });
    await drawn(page);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width}: no sideways scrolling`);
    const place = await page.$eval('.documents button.danger', (button) => button.getBoundingClientRect().right);
    assert.ok(place <= width, `${width}: the button to delete ends at ${place}`);
  }
});

test('words, meaning and both: phrases, exclusions, documents, the floor', async (t) => {
  const { page } = await openSearch(t);
  const file = (name, text) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(text) });
  await page.setInputFiles('#files', [
    file('ferry.txt', 'The first ferry brings bread and lemons to the island before seven in the morning.'),
    file('bakery.txt', 'Anna bakes bread at night. She lights her oven with olive wood because it burns slowly.'),
    file('errors.md', '# Errors\n\nThe code ERR_4097 means that a parcel was lost. Call getUserName again.\n\n# Storms\n\nWhen the cable breaks, the radio in the chapel is used.'),
    file('school.txt', 'Eleven pupils learn mathematics with fish. Their teacher came for one year and stayed for nineteen.'),
  ]);
  await says(page, '#library-size', /^[45] passages$/);
  await idle(page);
  const ask = async (query, pattern) => {
    await page.fill('#query', query);
    await page.waitForFunction(([q, source]) => document.querySelector('#query').value === q && new RegExp(source).test([...document.querySelectorAll('.result:not([hidden])')].sort((a, b) => a.dataset.i - b.dataset.i).map((one) => one.querySelector('b').textContent).join(' ')), [query, pattern.source]);
    return (await page.$$eval('.result:not([hidden])', (all) => all.sort((a, b) => a.dataset.i - b.dataset.i).map((one) => one.querySelector('b').textContent)));
  };
  const marked = () => page.$$eval('.result:not([hidden]) mark', (all) => all.map((one) => one.textContent));
  await page.click('[data-mode="words"]');
  assert.equal(await page.getAttribute('[data-mode="words"]', 'aria-pressed'), 'true');
  assert.deepEqual((await ask('bread', /^(ferry|bakery)\.txt (ferry|bakery)\.txt$/)).sort(), ['bakery.txt', 'ferry.txt']);
  assert.deepEqual(await marked(), ['bread', 'bread']);
  assert.deepEqual(await ask('bread -lemons', /^bakery\.txt$/), ['bakery.txt']);
  assert.deepEqual(await ask('"olive wood"', /^bakery\.txt$/), ['bakery.txt']);
  assert.deepEqual(await ask('"wood olive" bread', /^$/), []);
  await says(page, '#found', /^No match$/);
  assert.deepEqual(await ask('baking', /^bakery\.txt$/), ['bakery.txt'], 'other forms of a word');
  assert.deepEqual(await ask('user name', /^errors\.md$/), ['errors.md'], 'pieces of a name');
  assert.deepEqual(await ask('lem*', /^ferry\.txt$/), ['ferry.txt']);
  assert.deepEqual(await ask('ferry', /^ferry\.txt$/), ['ferry.txt'], 'also in the name');
  await page.click('[data-mode="both"]');
  assert.equal((await ask('what is err_4097', /^errors\.md/))[0], 'errors.md');
  await says(page, '#results-0 .where', /Errors|Storms/);
  assert.equal((await ask('a boat in the early hours', /^ferry\.txt/))[0], 'ferry.txt', 'without a word in common');
  await page.selectOption('#within', { label: 'school.txt' });
  assert.deepEqual(await ask('bread', /^school\.txt$/), ['school.txt']);
  await page.selectOption('#within', '');
  // The rest is there on demand, and passages of a document are one after the other in the reader.
  await page.fill('#query', 'ERR_4097 and the radio in the chapel');
  await says(page, '#results-0 b', /errors\.md/);
  await page.click('#results-0');
  await says(page, '#dialog .reader mark', /^ERR$/);
  await page.keyboard.press('Escape');
  // The choice is kept.
  await page.click('[data-mode="meaning"]');
  await page.reload();
  await page.waitForSelector('[data-mode="meaning"][aria-pressed="true"]');
});

test('work pauses, goes on, is cancelled, and is taken up again after a reload', async (t) => {
  const { page } = await openSearch(t);
  await page.fill('#passage-size', '24');
  await addText(page, 'Much', prose(60_000, 7));
  const done = () => page.evaluate(() => Number(/^([\d,]+) of/.exec(document.querySelector('#job-detail').textContent)?.[1].replaceAll(',', '') ?? -1));
  await says(page, '#job-detail', /tokens\/s · .* left/);
  await page.click('#job-pause');
  await says(page, '#job-title', /^Paused/);
  // What is being embedded ends; then nothing moves.
  let before = -1;
  for (let still = 0; still < 2; ) {
    await page.waitForTimeout(400);
    const now = await done();
    still = now === before ? still + 1 : 0;
    before = now;
  }
  await page.click('#job-pause');
  await page.waitForFunction((then) => Number(/^([\d,]+) of/.exec(document.querySelector('#job-detail').textContent)?.[1].replaceAll(',', '') ?? 0) > then, before);
  const busy = page.workers().length;
  await page.click('#job-cancel');
  await idle(page);
  await says(page, '.documents', /[\d,]+ of [\d,]+ passages.*Go on/);
  // The background workers go.
  for (const until = Date.now() + PATIENCE; page.workers().length >= busy; ) {
    assert.ok(Date.now() < until, 'the background workers are gone');
    await page.waitForTimeout(100);
  }
  const kept = await page.textContent('#library-size');
  await page.waitForTimeout(500);
  assert.equal(await page.textContent('#library-size'), kept);
  await page.reload();
  await says(page, '#library-size', new RegExp(`^${kept}$`));
  await ready(page);
  await page.click('.documents >> text=Go on');
  await page.waitForFunction((then) => document.querySelector('#library-size').textContent !== then, kept);
  await page.click('#job-cancel');
  await idle(page);
});

test('10,000 passages stay smooth', async (t) => {
  const { page } = await openSearch(t);
  await page.click('nav >> text=Try');
  await says(page, '#try-status', /4 texts embedded/);
  const dimension = JSON.parse(await copied(page, '#try-copy')).data[0].embedding.length;
  await page.click('nav >> text=Search');
  await page.setInputFiles('#import-file', { name: 'l.safetensors', mimeType: 'application/octet-stream', buffer: libraryFile(builtIn, 10_000, dimension) });
  await says(page, '#library-size', /^10,000 passages$/);
  await page.waitForSelector('.result');
  assert.ok((await page.$$('.result')).length < 60, 'only what is in view exists');
  // All are in one document, so passages are ranked; then all of them are listed again.
  await page.fill('#query', 'something about rivers');
  await page.waitForSelector('.result .score');
  const time = await page.textContent('#query-time');
  await says(page, '#found', /\d+ good match/);
  await page.fill('#query', '');
  await page.waitForSelector('.result[aria-setsize="10000"]');
  const worst = await page.evaluate(async () => {
    const list = document.querySelector('#results');
    let last = performance.now();
    let longest = 0;
    for (let i = 0; i < 60; i++) {
      list.scrollTop += 2000;
      await new Promise((resolve) => requestAnimationFrame(resolve));
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }
    list.scrollTop = list.scrollHeight;
    return longest;
  });
  await page.waitForSelector('.result[aria-posinset="10000"]');
  assert.ok((await page.$$('.result')).length < 80);
  t.diagnostic(`10,000 passages: query ${time}, longest frame while scrolling ${worst.toFixed(0)} ms`);
  await page.click('nav >> text=Map');
  const started = Date.now();
  await says(page, '#map-status', /10,000 passages, by the two directions/);
  t.diagnostic(`map of 10,000 passages after ${Date.now() - started} ms`);
  assert.match(await page.textContent('#map-groups'), /\d,?\d{2,}/);
});
