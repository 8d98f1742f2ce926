// Real browsers, headless: Chromium through playwright-core, Firefox through
// puppeteer-core and WebDriver BiDi. Each returns { version, evaluate, close }.
import { existsSync } from 'node:fs';

/** How long anything may take on a busy machine, in ms. */
const PATIENCE = 180_000;

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

function find(variable, ...paths) {
  const path = [process.env[variable], ...paths].find((p) => p && existsSync(p));
  if (!path) throw new Error(`not found: ${paths.join(', ')} (or set ${variable})`);
  return path;
}

export async function chromium(url, o = {}) {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({ executablePath: find('CHROMIUM', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'), args: flags, ...o });
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(url);
  return { version: browser.version(), page, evaluate: (f, argument) => page.evaluate(f, argument), close: () => browser.close() };
}

export async function firefox(url) {
  const { default: puppeteer } = await import('puppeteer-core');
  const launch = () => puppeteer.launch({ browser: 'firefox', executablePath: find('FIREFOX', '/usr/bin/firefox-esr', '/usr/bin/firefox'), headless: true, timeout: PATIENCE, protocolTimeout: 600_000 });
  // On a busy machine its first connection may break while it starts.
  const browser = await launch().catch(launch);
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(url);
  return { version: (await browser.version()).replace(/^firefox\//, ''), page, evaluate: (f, argument) => page.evaluate(f, argument), close: () => browser.close() };
}
