/** The search of a static site, as m2embed site-index makes it, in a page with a strict security policy. */

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { build } from 'vite';
import { firefox } from '../../wasm/js/test/browsers.mjs';
import { html, writeSite } from '../demo.mjs';
import { axe, look, PATIENCE, repository, startServer, visit } from './browser.mjs';

const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'";
const program = `${repository}site/.built/m2embed`;

/** The demonstration site with its search, built once; its front page has the element. */
let built;
function site(t) {
  if (built) return built;
  built = mkdtempSync(join(tmpdir(), 'm2embed-site-'));
  process.on('exit', () => rmSync(built, { recursive: true, force: true }));
  writeSite(built);
  writeFileSync(`${built}/index.html`, html('The little library', '<h1>The little library</h1><m2embed-search src="/search/" placeholder="Search the library"></m2embed-search>', { up: './', head: '<script type="module" src="/search/m2embed-search.js"></script><style></style>' }).replace('<style></style>', ''));
  writeFileSync(`${built}/favicon.ico`, '');
  writeFileSync(`${built}/_headers`, `/*\n  Content-Security-Policy: ${POLICY}\n`);
  t.diagnostic(execFileSync(program, ['site-index', built, '--into', `${built}/search`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }));
  return built;
}

const results = (page) => page.evaluate(() => [...document.querySelector('m2embed-search').shadowRoot.querySelectorAll('li > a')].map((a) => ({ title: a.querySelector('b').textContent, href: a.href, text: a.querySelector('p').textContent, marks: [...a.querySelectorAll('mark')].map((mark) => mark.textContent) })));
/** Types a query, and gives what is found when its results are there: by words, or when meaning has had its say. */
async function ask(page, query, meaning = true) {
  await page.evaluate(() => (window.found = []));
  await page.evaluate(() => (window.listening ??= document.addEventListener('m2embed-search', ({ detail }) => window.found.push(detail)) ?? true));
  await page.locator('m2embed-search').locator('input').fill(query);
  await page.waitForFunction(([text, mind]) => window.found.some((one) => one.query === text && (one.meaning || !mind)), [query, meaning], { timeout: PATIENCE });
  return results(page);
}
const told = (page, pattern) => page.waitForFunction(([source]) => new RegExp(source).test(document.querySelector('m2embed-search').shadowRoot.querySelector('.status').textContent), [pattern.source], { timeout: PATIENCE });

test('words answer before the model, then words and meaning together; keyboard; accessible in light and dark', async (t) => {
  const folder = site(t);
  const server = await startServer(t, folder);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const fetched = [];
  server.hooks.before = (request, response) => {
    fetched.push(request.url);
    if (!request.url.endsWith('.safetensors') || server.hooks.let) return false;
    server.hooks.let = true;
    void held.then(() => response.writeHead(307, { location: request.url }).end());
    return true;
  };
  const { page } = await visit(t, { server, path: '' });
  await page.waitForFunction(() => customElements.get('m2embed-search'));
  assert.ok(!fetched.some((url) => /index\.json|wasm|worker/.test(url)), `nothing is fetched before it is needed: ${fetched}`);
  await page.keyboard.press('Tab');
  const [first] = await ask(page, 'lentil soup', false);
  await told(page, /pages?, by words until the model is here$/);
  assert.match(`${first.title} ${first.text}`, /[Ll]entil/);
  assert.ok(first.marks.length > 0);
  assert.match(first.href, /\/recipes\/[a-z-]+\.html#top$/);
  const parts = fetched.filter((url) => /\/(words|texts)-/.test(url)).length;
  const all = readdirSync(`${folder}/search`).filter((name) => /^(words|texts)-/.test(name)).length;
  assert.ok(parts < all, `${parts} of ${all} parts`);
  release();
  await told(page, /^\d+ pages?$/);
  // No word in common but "a" and "who".
  const pirate = await ask(page, 'a one-legged pirate who prepares meals');
  assert.ok(pirate.slice(0, 3).every(({ title }) => /Treasure Island/.test(title)), JSON.stringify(pirate));
  const coins = await ask(page, '"pieces of eight"');
  assert.ok(coins.length > 2);
  for (const { marks } of coins) assert.match(marks.join(' '), /pieces of eight/i);
  assert.deepEqual(await ask(page, '"eight of pieces"'), []);
  await told(page, /^No match$/);
  for (const { text } of await ask(page, 'soup -lentils')) assert.doesNotMatch(text, /lentils/i);
  // Keyboard.
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  const focused = () => page.evaluate(() => document.activeElement.shadowRoot.activeElement.tagName);
  assert.equal(await focused(), 'A');
  await page.keyboard.press('Escape');
  assert.equal(await focused(), 'INPUT');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('m2embed-search').locator('input').inputValue(), '');
  assert.deepEqual(await results(page), []);
  await ask(page, 'the time traveller shows his machine');
  await look(page, 'element');
  for (const theme of ['dark', 'light']) {
    await page.evaluate((value) => document.querySelector('m2embed-search').setAttribute('theme', value), theme);
    await page.evaluate(axe);
    assert.deepEqual(await page.evaluate(async () => (await window.axe.run('m2embed-search', { resultTypes: ['violations'] })).violations.map(({ id }) => id)), [], theme);
  }
  await page.locator('m2embed-search').locator('input').press('Enter');
  await page.waitForURL(/the-time-machine\/.*\.html/);
});

test('without the model, and without the files, it says so', async (t) => {
  const server = await startServer(t, site(t));
  const errors = [/503|404|search could not be loaded|index\.json/];
  server.hooks.before = (request, response) => request.url.endsWith('.safetensors') && (response.writeHead(503).end(), true);
  const { page } = await visit(t, { server, path: '', errors });
  await page.locator('m2embed-search').locator('input').fill('lentil soup');
  await told(page, /by words alone$/);
  assert.ok((await results(page)).length > 0);
  await page.evaluate(() => document.querySelector('m2embed-search').setAttribute('src', '/nowhere/'));
  await page.locator('m2embed-search').locator('input').fill('lentils');
  await told(page, /^The search could not be loaded .*404/);
  const loads = [];
  page.on('request', (request) => loads.push(request.url()));
  await page.evaluate(() => {
    const element = document.querySelector('m2embed-search');
    element.setAttribute('words', '');
    element.setAttribute('src', 'search');
  });
  await page.locator('m2embed-search').locator('input').fill('lentil');
  await told(page, /pages?$/);
  await page.evaluate(() => document.querySelector('m2embed-search').ask('<img src=x onerror=alert(1)>'));
  await told(page, /page|match/);
  assert.ok(!loads.some((url) => /model|wasm/.test(url)));
});

test('Firefox finds the same', async (t) => {
  const server = await startServer(t, site(t));
  const browser = await firefox(server.url);
  t.after(() => browser.close());
  const ask = (query) => browser.evaluate(async ([text, patience]) => {
    const element = document.querySelector('m2embed-search');
    let last;
    const done = new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error('no answer by meaning')), patience);
      element.addEventListener('m2embed-search', ({ detail }) => (last = detail).meaning && resolve());
    });
    await element.ask(text);
    await done;
    return [...element.shadowRoot.querySelectorAll('li > a b')].map((b) => b.textContent);
  }, [query, PATIENCE]);
  assert.ok((await ask('a one-legged pirate who prepares meals')).slice(0, 3).some((title) => /Treasure Island/.test(title)));
  assert.match((await ask('lentil soup'))[0], /Lentil|Dal|Soup/i);
});

test('the npm package goes through a bundler, and its model and words are found', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'm2embed-bundled-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { version } = JSON.parse(readFileSync(`${repository}wasm/js/package.json`, 'utf8'));
  const own = JSON.parse(readFileSync(`${repository}wasm/build/packages/m2embed-search/package.json`, 'utf8'));
  assert.deepEqual([own.version, own.dependencies], [version, { m2embed: version }]);
  mkdirSync(`${folder}/node_modules/m2embed`, { recursive: true });
  cpSync(`${repository}wasm/build/packages/m2embed-search`, `${folder}/node_modules/m2embed-search`, { recursive: true });
  for (const part of ['package.json', 'dist']) cpSync(`${repository}wasm/js/${part}`, `${folder}/node_modules/m2embed/${part}`, { recursive: true });
  writeFileSync(`${folder}/main.js`, "import 'm2embed-search';\n");
  writeFileSync(`${folder}/index.html`, '<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>A site</title><m2embed-search src="/search/"></m2embed-search><script type="module" src="/main.js"></script></html>');
  await build({ root: folder, configFile: false, logLevel: 'warn', build: { chunkSizeWarningLimit: 4096 } });
  cpSync(join(site(t), 'search'), `${folder}/dist/search`, { recursive: true });
  writeFileSync(`${folder}/dist/_headers`, '');
  const { page } = await visit(t, { server: await startServer(t, `${folder}/dist`), path: '' });
  await ask(page, 'a one-legged sailor who cooks', false);
  const [first] = await ask(page, 'a one-legged sailor who cooks');
  assert.match(first.title, /Treasure Island/);
});

test('a site is indexed again: unchanged files stay, what is gone goes, and wrong folders are refused', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'm2embed-site-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const run = (...args) => {
    const { status, stderr } = spawnSync(program, ['site-index', ...args], { encoding: 'utf8' });
    return { status, stderr };
  };
  const page = (name, body, head = '') => writeFileSync(`${folder}/${name}`, html(name, body, { head }));
  page('a.html', '<h1>Tides</h1><section id="moon"><h2>The moon</h2><p>The moon pulls the sea.</p></section>');
  page('hidden.html', '<h1>Draft</h1><p>Not to be found.</p>', '<meta name="robots" content="noindex">');
  writeFileSync(`${folder}/notes.md`, '# Notes\n\nA kettle sings.\n');
  const into = `${folder}/search`;
  const kept = `${folder}/.kept.db`;
  assert.match(run(folder, '--into', into, '--keep', kept).stderr, /^2 pages, [23] passages/);
  const before = readdirSync(into);
  const texts = () => readdirSync(into).filter((name) => name.startsWith('texts')).length;
  assert.equal(run(folder, '--into', into, '--keep', kept).status, 0);
  assert.deepEqual(readdirSync(into), before);
  rmSync(`${folder}/notes.md`);
  page('b.html', '<p>Another page.</p>');
  assert.equal(run(folder, '--into', into, '--keep', kept).status, 0);
  assert.equal(texts(), 1);
  assert.notDeepEqual(readdirSync(into), before);
  assert.match(run(`${folder}/missing`, '--into', into).stderr, /no such file/);
  assert.match(run(kept, '--into', into).stderr, /is a file, want the folder/);
  assert.equal(run(folder).status, 2);
  assert.match(run(into, '--into', `${folder}/other`).stderr, /no HTML or Markdown page/);
  assert.ok(!existsSync(`${folder}/other`));
  const after = readdirSync(into).map((name) => [name, statSync(`${into}/${name}`).mtimeMs]);
  writeFileSync(`${folder}/a.html`, '');
  writeFileSync(`${folder}/b.html`, '');
  assert.match(run(folder, '--into', into).stderr, /no page with text/);
  assert.deepEqual(readdirSync(into).map((name) => [name, statSync(`${into}/${name}`).mtimeMs]), after);
  assert.ok(JSON.parse(readFileSync(`${into}/index.json`, 'utf8')).passages > 0);
});
