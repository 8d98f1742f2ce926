// Where a built project is looked at: a page in Chromium, an extension, a file, workerd.
import { createServer } from 'node:http';
import { readFileSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { pathToFileURL } from 'node:url';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Log, LogLevel, Miniflare } from 'miniflare';
import { chromium } from 'playwright-core';

/** How long anything may take on a busy machine, in ms. */
const PATIENCE = 180_000;
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const args = ['--no-sandbox', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };

async function serveFolder(folder, use) {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    try {
      const name = path.endsWith('/') ? `${path}index.html` : path;
      const bytes = await readFile(join(folder, name));
      response.writeHead(200, { 'content-type': types[extname(name)] ?? 'application/octet-stream' }).end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  try {
    return await use(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function page(url, use) {
  const browser = await chromium.launch({ executablePath, args: [...args, '--disable-gpu'] });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE);
    const problems = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('requestfailed', (request) => problems.push(`${request.url()}: ${request.failure()?.errorText}`));
    await page.goto(url);
    return await use(page).catch((error) => {
      throw new Error(`${error.message}\n${problems.join('\n')}`);
    });
  } finally {
    await browser.close();
  }
}

async function result(page) {
  await page.waitForFunction(() => globalThis.result !== undefined, undefined, { timeout: PATIENCE });
  return page.evaluate(() => globalThis.result);
}

/** What the page of a folder or an address finds. */
export function inPage(where) {
  return where.startsWith('http') ? page(where, result) : serveFolder(where, (url) => page(url, result));
}

/** What a page of a file finds with the files of a folder. */
export function onDisk(folder, model) {
  return page(pathToFileURL(join(folder, 'index.html')).href, async (page) => {
    await page.setInputFiles('input', readdirSync(model).map((name) => join(model, name)));
    await page.waitForFunction(() => globalThis.embed !== undefined);
    return page.evaluate(() => globalThis.embed(document.querySelector('input')));
  });
}

/** What a page and the service worker of an extension find. */
export async function inExtension(folder) {
  const profile = mkdtempSync(join(tmpdir(), 'm2embed-'));
  const context = await chromium.launchPersistentContext(profile, { executablePath, headless: false, args: [...args, '--headless=new', '--disable-gpu', `--disable-extensions-except=${folder}`, `--load-extension=${folder}`] });
  try {
    const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker', { timeout: PATIENCE }));
    const background = await worker.evaluate(() => globalThis.result);
    const page = await context.newPage();
    await page.goto(new URL('page.html', worker.url()).href);
    const { page: inPage, worker: inWorker } = await result(page);
    return { page: inPage, worker: inWorker, 'service worker': background.page, 'service worker, auto': background.auto };
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** What a built Cloudflare Worker answers. */
export async function inWorkerd(folder) {
  const names = readdirSync(folder).filter((name) => !/\.map$|README/.test(name));
  const kind = (name) => (name.endsWith('.wasm') ? 'CompiledWasm' : name.endsWith('.js') ? 'ESModule' : 'Data');
  const modules = names.sort((a, b) => (b === 'main.js') - (a === 'main.js')).map((name) => ({ type: kind(name), path: join(folder, name), contents: readFileSync(join(folder, name)) }));
  const worker = new Miniflare({ log: new Log(LogLevel.NONE), compatibilityDate: '2026-01-01', modulesRoot: folder, modules });
  try {
    return { worker: await (await worker.dispatchFetch('http://localhost/?text=A%20text')).json() };
  } finally {
    await worker.dispose();
  }
}
