// Runs the parity cases in every JavaScript runtime: runtimes.mjs OUT.json [name…].
// A runtime that cannot run is reported with its reason.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium, firefox } from '../test/browsers.mjs';
import { serve } from '../test/serve.mjs';
import { workerd } from '../test/workerd.mjs';

const [out, ...only] = process.argv.slice(2);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const exec = promisify(execFile);
const server = await serve();
const script = here('script.mjs');
const limit = { maxBuffer: 1 << 28, timeout: 900_000, env: { ...process.env, NO_COLOR: '1' } };

async function command(file, args, versionArgs) {
  const version = /\d+\.\d+\.\d+/.exec((await exec(file, versionArgs, limit)).stdout)?.[0] ?? '';
  const { stdout } = await exec(file, [...args, server.url], limit);
  return { version, found: JSON.parse(stdout) };
}

async function inBrowser(start, worker) {
  const browser = await start(`${server.url}/wasm/js/parity/page.html`);
  try {
    const found = await browser.evaluate((w) => new Promise((resolve) => setTimeout(resolve, 50)).then(() => window.parity(w)), worker);
    return { version: browser.version, found };
  } finally {
    await browser.close();
  }
}

const runtimes = {
  Node: () => command(process.execPath, [script], ['--version']),
  Deno: () => command(here('../node_modules/@deno/linux-x64-glibc/deno'), ['run', '--allow-all', '--no-lock', '--node-modules-dir=none', script], ['--version']),
  Bun: () => command(here('../node_modules/bun/bin/bun.exe'), ['run', script], ['--version']),
  workerd: async () => {
    const worker = await workerd(here('worker.js'), readFileSync(here('worker.js'), 'utf8'), [{ type: 'ESModule', path: 'client.mjs', contents: readFileSync(here('client.mjs'), 'utf8') }]);
    try {
      const response = await worker.dispatchFetch(`http://localhost/?base=${encodeURIComponent(server.url)}`);
      if (!response.ok) throw new Error(await response.text());
      const { version } = JSON.parse(readFileSync(here('../node_modules/workerd/package.json'), 'utf8'));
      return { version, found: await response.json() };
    } finally {
      await worker.dispose();
    }
  },
  Chromium: () => inBrowser(chromium, false),
  'Chromium worker': () => inBrowser(chromium, true),
  Firefox: () => inBrowser(firefox, false),
};

const results = [];
for (const [name, start] of Object.entries(runtimes)) {
  if (only.length > 0 && !only.includes(name)) continue;
  const begun = performance.now();
  try {
    results.push({ name, ...(await start()), seconds: (performance.now() - begun) / 1000 });
  } catch (error) {
    results.push({ name, version: '', error: String(error.stderr || error.message).trim().slice(0, 2000), found: [] });
  }
}
writeFileSync(out, JSON.stringify(results));
await server.close();
process.exit(0);
