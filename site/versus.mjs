/**
 * Sets the search of a site beside Pagefind's, on the demonstration site, as the
 * README's table has it: node versus.mjs. Needs ./build.sh build, and npm for
 * Pagefind.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { html, writeSite } from './demo.mjs';
import { serve } from './serve.mjs';

const ROUNDS = Number(process.argv[2] ?? 7);
const island = (n) => `treasure-island/${n}-`;
const machine = (n) => `the-time-machine/chapter-${n}.html`;
const recipe = (name) => `recipes/${name}`;

/** What a visitor asks, and the pages that answer. */
const QUESTIONS = [
  ['where does Jim hide when he overhears the mutiny', island('xi')],
  ['the blind beggar is trampled by horses', island('v')],
  ['who was left alone on the island and longs for cheese', island('xv')],
  ['the cook keeps a parrot that cries about coins', island('x')],
  ['the captain dies of a stroke', island('iii')],
  ['what was found in the dead man\'s trunk', island('iv')],
  ['the boy cuts the ship loose', island('xxiii')],
  ['fight with the coxswain in the rigging', island('xxvi')],
  ['a skeleton that points the way', island('xxxi')],
  ['truce talks with the pirates', island('xx')],
  ['who has stolen his machine', machine('v')],
  ['the girl who was saved from drowning', machine('v')],
  ['giant crabs on a beach at the end of the world', machine('xi')],
  ['a ruined museum with old bones and engines', machine('viii')],
  ['cheese pasta from the Swiss mountains', recipe('a-lplermagronen')],
  ['cold Russian summer soup', recipe('russian-okroshka')],
  ['eggs in tomato sauce from the Middle East', recipe('shakshouka')],
  ['raw fish marinated in lime juice', recipe('ceviche')],
  ['what to eat after drinking too much', recipe('hangover-eggs')],
  ['fried potatoes as a snack, better than from a bag', recipe('kettle-chips')],
];
const KEYWORDS = [
  ['apple barrel', island('xi')], ['Israel Hands', island('xxvi')], ['coracle', island('xxiv')], ['Ben Gunn', island('xv')], ['flag of truce', island('xx')],
  ['palace of green porcelain', machine('viii')], ['giant crab', machine('xi')], ['okroshka', recipe('russian-okroshka')], ['sourdough starter', recipe('sourdough-starter')], ['beef wellington', recipe('beef-wellington')],
];

const folder = mkdtempSync(join(tmpdir(), 'm2embed-site-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const pages = writeSite(folder);
writeFileSync(`${folder}/_headers`, '');
writeFileSync(`${folder}/favicon.ico`, '');
writeFileSync(`${folder}/ours.html`, html('Search', '<m2embed-search src="/search/"></m2embed-search>', { up: './', head: '<meta name="robots" content="noindex"><script type="module" src="/search/m2embed-search.js"></script>' }));
writeFileSync(`${folder}/theirs.html`, '<!doctype html><meta name="robots" content="noindex"><title>Search</title>');
const timed = (program, ...args) => {
  const started = performance.now();
  execFileSync(program, args, { stdio: 'pipe' });
  return (performance.now() - started) / 1000;
};
const program = [`${fileURLToPath(new URL('.built/m2embed', import.meta.url))}`, `${fileURLToPath(new URL('../bin/m2embed', import.meta.url))}`].find(existsSync);
const ourTime = timed(program, 'site-index', folder, '--into', `${folder}/search`);
// "ours.html" and "theirs.html" are no pages of the site.
const theirTime = timed('npm', 'exec', '--yes', 'pagefind@1.6.0', '--', '--site', folder, '--glob', '{the-time-machine,treasure-island,recipes}/**/*.html');

const bytes = (path) => (statSync(path).isDirectory() ? readdirSync(path).reduce((sum, name) => sum + bytes(`${path}/${name}`), 0) : statSync(path).size);
const size = (names) => names.reduce((sum, name) => sum + bytes(`${folder}/search/${name}`), 0);
const ours = readdirSync(`${folder}/search`);

const server = serve(folder);
/** Bytes that the server has sent, headers included. */
const sockets = [];
server.on('connection', (socket) => sockets.push(socket));
const sent = () => sockets.reduce((sum, socket) => sum + socket.bytesWritten, 0);
await new Promise((resolve) => server.listen(0, resolve));
const url = `http://localhost:${server.address().port}/`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });

/** Runs in a page: asks, and tells when the first ten are there, and which they are. */
const asking = {
  ours: async ([query, mind]) => {
    await customElements.whenDefined('m2embed-search');
    const element = document.querySelector('m2embed-search');
    const started = performance.now();
    let first;
    await new Promise((resolve) => {
      const listen = ({ detail }) => {
        if (detail.query !== query) return;
        first ??= performance.now() - started;
        if (detail.meaning || !mind) resolve(element.removeEventListener('m2embed-search', listen));
      };
      element.addEventListener('m2embed-search', listen);
      void element.ask(query);
    });
    return { first, last: performance.now() - started, found: [...element.shadowRoot.querySelectorAll('li > a')].map((a) => a.href) };
  },
  theirs: async ([query]) => {
    const started = performance.now();
    const pagefind = await import('/pagefind/pagefind.js');
    const { results } = await pagefind.search(query);
    const found = (await Promise.all(results.slice(0, 8).map((one) => one.data()))).map((one) => new URL(one.url, location.href).href);
    return { first: performance.now() - started, last: performance.now() - started, found };
  },
};

/** A fresh visitor who asks once; the network as given, in bytes a second and ms. */
async function visit(whose, query, mind, network) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  const before = sent();
  await page.goto(`${url}${whose}.html`);
  if (whose === 'ours') await page.waitForFunction(() => customElements.get('m2embed-search'));
  if (network) await session.send('Network.emulateNetworkConditions', { offline: false, latency: network.latency, downloadThroughput: network.rate, uploadThroughput: network.rate });
  if (whose === 'ours' && !mind) await page.evaluate(() => document.querySelector('m2embed-search').setAttribute('words', ''));
  const answer = await page.evaluate(asking[whose], [query, mind]);
  await context.close();
  return { ...answer, received: sent() - before };
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const kb = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(1)} MB` : `${Math.round(n / 1000)} kB`);
const rows = [];
const row = (...cells) => rows.push(`| ${cells.join(' | ')} |`);
row('', 'm2embed-search, by words', 'm2embed-search, with the model', 'Pagefind 1.6.0');
row('---', '---:', '---:', '---:');
row(`making the index of ${pages.size} pages`, `${ourTime.toFixed(1)} s`, '', `${theirTime.toFixed(1)} s`);
row('index on the server', kb(size(ours.filter((name) => /^(index|rows|words|texts)/.test(name)))), `${kb(size(ours.filter((name) => /^(index|rows|words|texts|vectors)/.test(name))))}, and the model, ${kb(size(ours.filter((name) => name.startsWith('model'))))}`, kb(readdirSync(`${folder}/pagefind`).filter((name) => !/ui|highlight|playground/.test(name)).reduce((sum, name) => sum + bytes(`${folder}/pagefind/${name}`), 0)));
for (const [name, network] of [['localhost', undefined], ['10 Mbit/s, 40 ms', { rate: 10e6 / 8, latency: 40 }]]) {
  const times = { words: [], meaning: [], theirs: [] };
  const received = { words: [], meaning: [], theirs: [] };
  for (let i = 0; i < ROUNDS; i++) {
    for (const [kind, whose, mind] of [['words', 'ours', false], ['theirs', 'theirs', false], ['meaning', 'ours', true]]) {
      const answer = await visit(whose, 'lentil soup', mind, network);
      times[kind].push(answer.last);
      received[kind].push(answer.received);
    }
  }
  row(`first result from an empty cache, ${name}`, ...['words', 'meaning', 'theirs'].map((kind) => `${Math.round(median(times[kind]))} ms`));
  if (!network) row('fetched for it', ...['words', 'meaning', 'theirs'].map((kind) => kb(median(received[kind]))));
}

const pagesOf = { ours: await browser.newPage(), words: await browser.newPage(), theirs: await browser.newPage() };
await pagesOf.ours.goto(`${url}ours.html`);
await pagesOf.words.goto(`${url}ours.html`);
await pagesOf.words.evaluate(() => document.querySelector('m2embed-search').setAttribute('words', ''));
await pagesOf.theirs.goto(`${url}theirs.html`);
for (const [name, list] of [['twenty questions', QUESTIONS], ['ten keywords', KEYWORDS]]) {
  const ranks = { words: [], ours: [], theirs: [] };
  for (const [query, want] of list) {
    if (![...pages.keys()].some((page) => page.startsWith(want))) throw new Error(`no page ${want}`);
    for (const kind of ['words', 'ours', 'theirs']) {
      const { found } = await pagesOf[kind].evaluate(asking[kind === 'theirs' ? 'theirs' : 'ours'], [query, kind === 'ours']);
      ranks[kind].push(found.findIndex((href) => href.slice(url.length).startsWith(want)));
    }
    console.error(`${query}: words ${ranks.words.at(-1) + 1}, with meaning ${ranks.ours.at(-1) + 1}, Pagefind ${ranks.theirs.at(-1) + 1}`);
  }
  const among = (kind, n) => ranks[kind].filter((rank) => rank >= 0 && rank < n).length;
  row(`${name}: the page is first, among the first 3, 8`, ...['words', 'ours', 'theirs'].map((kind) => [1, 3, 8].map((n) => among(kind, n)).join(', ')));
}
console.log(`${cpus().length} cores of ${cpus()[0].model}, Chromium ${browser.version()}, load ${loadavg()[0].toFixed(1)}, medians of ${ROUNDS}, taken in turns\n`);
console.log(rows.join('\n'));
await browser.close();
server.close();
