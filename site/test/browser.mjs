/** What all tests share: the built page behind a real server, and Chromium. */

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { createServer } from 'node:http';
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { serve } from '../serve.mjs';

export const dist = fileURLToPath(new URL('../dist', import.meta.url));
export const repository = fileURLToPath(new URL('../..', import.meta.url));
export const screenshots = fileURLToPath(new URL('./screenshots', import.meta.url));
mkdirSync(screenshots, { recursive: true });

export const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The folder of the built-in model, such as m2-bert-small-0123abcd. */
export const builtIn = readdirSync(`${dist}/models`).find((name) => !name.endsWith('.json') && !name.startsWith('m2-bert-base'));
export const trained = !builtIn.startsWith('tiny');
/** How long anything may take on a busy machine, in ms. */
export const PATIENCE = 300_000;

const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

let browser;
export const open = async () => (browser ??= await chromium.launch({ executablePath, args: ARGUMENTS }));
export const openWithGpu = () => chromium.launch({ executablePath, args: [...ARGUMENTS, '--enable-unsafe-webgpu'] });
after(async () => browser?.close());

/** Starts a server for one test. `hooks.before` may be set at any time. */
export async function startServer(t, folder = dist, hooks = {}) {
  const server = existsSync(`${folder}/_headers`) ? serve(folder, { before: (request, response) => hooks.before?.(request, response) }) : createServer((request, response) => hooks.before(request, response));
  await new Promise((resolve) => server.listen(0, resolve));
  let stopped = false;
  const stop = () => {
    if (stopped) return;
    stopped = true;
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  // Visitors leave before the server goes.
  const visitors = [];
  t.after(async () => {
    try {
      for (const leave of visitors) await leave();
    } finally {
      await stop();
    }
  });
  return { url: `http://localhost:${server.address().port}/`, hooks, stop, visitors };
}

/**
 * A visitor in a fresh profile. After the test: no request went elsewhere, the
 * security policy was not broken, and no error was thrown.
 */
export async function visit(t, { server, path = '#try', elsewhere = [], errors = [], in: within, ...options } = {}) {
  server ??= await startServer(t);
  const context = await (within ?? (await open())).newContext({ viewport: { width: 1280, height: 860 }, permissions: ['clipboard-read', 'clipboard-write'], acceptDownloads: true, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(PATIENCE);
  const outside = [];
  const broken = [];
  context.on('request', (request) => {
    const url = request.url();
    if (/^https?:/.test(url) && !url.startsWith(server.url) && !elsewhere.some((base) => url.startsWith(base))) outside.push(url);
  });
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const page = await context.newPage();
  page.on('pageerror', (error) => broken.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !errors.some((pattern) => pattern.test(message.text()))) broken.push(message.text());
  });
  server.visitors.push(async () => {
    const violations = page.isClosed() ? [] : await page.evaluate(() => window.violations).catch(() => []);
    await context.close();
    assert.deepEqual(outside, [], 'requests that left the page');
    assert.deepEqual(violations, [], 'violations of the security policy');
    assert.deepEqual(broken, [], 'errors');
  });
  if (path !== undefined) await page.goto(server.url + path);
  return { page, context, server };
}

/** Waits until what was changed is on the screen; visitors of tests want no motion. */
export const drawn = (page) => page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));

/** Waits until the model is ready. */
export const ready = (page) => page.waitForSelector('#model-button[data-phase="ready"]', { timeout: PATIENCE });

/** Reads what a copy button put on the clipboard. */
export async function copied(page, button) {
  await page.click(button);
  await page.waitForFunction((selector) => document.querySelector(selector).textContent === 'Copied', button);
  return page.evaluate(() => navigator.clipboard.readText());
}

/** Waits until a text matches. */
export const says = (page, selector, pattern) => page.waitForFunction(([s, source, flags]) => new RegExp(source, flags).test(document.querySelector(s)?.textContent ?? ''), [selector, pattern.source, pattern.flags], { timeout: PATIENCE });

/** Waits until no documents are being embedded. */
export const idle = (page) => page.waitForFunction(() => document.querySelector('#job').hidden, null, { timeout: PATIENCE });

/** Gives the page files, [name, bytes] each, where the browser has no call for it: Firefox under Puppeteer. */
export const chooseFiles = (page, files) =>
  page.evaluate((all) => {
    const transfer = new DataTransfer();
    for (const [name, base64] of all) transfer.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
    const input = document.querySelector('#files');
    input.files = transfer.files;
    input.dispatchEvent(new Event('change'));
  }, files.map(([name, bytes]) => [name, bytes.toString('base64')]));

/** Pastes a text into the library. */
export async function addText(page, name, text) {
  await page.click('#paste');
  await page.fill('#paste-name', name);
  await page.evaluate((value) => (document.querySelector('#paste-text').value = value), text);
  await page.click('#dialog button.primary');
}

/** Plain sentences, all different, of about the given number of words. */
export function prose(words, seed = 1) {
  const parts = 'river stone winter market song ladder copper garden harbour engine letter mountain window bread captain forest clock painter salt bridge'.split(' ');
  let state = seed;
  const pick = () => parts[(state = (state * 48271) % 2147483647) % parts.length];
  const sentences = [];
  for (let n = 0; n < words; n += 9) sentences.push(`The ${pick()} and the ${pick()} near the ${pick()} ${pick()}.`);
  return sentences.join(' ').replace(/(.{400,}?\.) /g, '$1\n\n');
}

/** Looks at a state in light, dark and at 320 px: axe finds nothing, and nothing scrolls sideways. */
export async function look(page, name) {
  for (const [colorScheme, width] of [['light', 1280], ['dark', 1280], ['light', 320]]) {
    await page.setViewportSize({ width, height: 860 });
    await page.emulateMedia({ colorScheme });
    await drawn(page);
    await page.screenshot({ path: `${screenshots}/${name}-${width < 500 ? 'narrow' : colorScheme}.png` });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} ${width}: no sideways scrolling`);
    await page.evaluate(axe);
    const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ['violations'] })).violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join('; ')}`));
    assert.deepEqual(found, [], `${name} ${colorScheme} ${width}`);
  }
  await page.setViewportSize({ width: 1280, height: 860 });
}
