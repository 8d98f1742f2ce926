import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firefox } from '../../wasm/js/test/browsers.mjs';
import { chooseFiles, PATIENCE, startServer } from './browser.mjs';
import { texts } from './files.mjs';

const says = (page, selector, pattern) => page.waitForFunction((s, source) => new RegExp(source).test(document.querySelector(s)?.textContent ?? ''), { timeout: PATIENCE }, selector, pattern.source);
const ready = (page) => page.waitForSelector('#model-button[data-phase="ready"]', { timeout: PATIENCE });
const documents = (page, n) => page.waitForFunction((many) => document.querySelectorAll('.documents button.danger').length === many && document.querySelector('#job').hidden, { timeout: PATIENCE }, n);
const press = (page, selector) => page.waitForSelector(selector).then(() => page.evaluate((s) => document.querySelector(s).click(), selector));
const ask = async (page, query) => {
  await page.$eval('#query', (input) => input.select());
  await page.type('#query', query);
};

test('a visit in Firefox: a question, files, two tabs, the map, and no network', async (t) => {
  const server = await startServer(t);
  const browser = await firefox(server.url);
  t.after(() => browser.close());
  const { page } = browser;
  const broken = [];
  page.on('pageerror', (error) => broken.push(error.message));

  // The library that is there answers.
  await press(page, '.question');
  await says(page, '#results-0', /\w{20}|\w+ \w+ \w+/);
  await ready(page);
  // The address follows some time after the question.
  await page.waitForFunction(() => /[?&]q=./.test(location.search));

  // Files of one's own, by words and by meaning.
  await chooseFiles(page, texts.map(({ name, buffer }) => [name, buffer]));
  await documents(page, 4);
  await ask(page, 'Who cleans the lens?');
  await says(page, '#results-0', /lighthouse\.pdf[\s\S]*technician cleans the lens/);
  await press(page, '[data-mode="words"]');
  await ask(page, '"lemons to the island"');
  await says(page, '#results-0 mark', /lemons/);
  await press(page, '[data-mode="both"]');

  // Two tabs: what one deletes, the other takes back.
  const other = await page.browser().newPage();
  other.setDefaultTimeout(PATIENCE);
  await other.goto(`${server.url}#search`);
  await documents(other, 4);
  await press(page, '[aria-label="Delete ferry.txt"]');
  await documents(other, 3);
  await page.waitForFunction(() => [...document.querySelectorAll('#notices button')].some((one) => one.textContent === 'Undo'));
  await page.evaluate(() => [...document.querySelectorAll('#notices button')].find((one) => one.textContent === 'Undo').click());
  await documents(other, 4);
  await other.close();

  await page.evaluate(() => [...document.querySelectorAll('nav a, nav button')].find((one) => /Map/.test(one.textContent)).click());
  await says(page, '#map-status', /passages/);

  // Kept across visits, also without a network.
  await says(page, '#offline', /without a network from now on/);
  assert.deepEqual(broken, []);
  await server.stop();
  await page.goto(`${server.url}#search`);
  await page.reload();
  await ready(page);
  await documents(page, 4);
  await ask(page, 'oven');
  await says(page, '#results-0 mark', /oven/i);
});
