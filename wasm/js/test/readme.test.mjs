// Every snippet of the READMEs runs as it stands, with the packages installed beside it.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from './browsers.mjs';
import { serve } from './serve.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
const snippets = ['README.md', '../../README.md'].flatMap((name) => [...readFileSync(join(here, name), 'utf8').matchAll(/^```js\n([\s\S]*?)^```/gm)].map((found) => found[1]));

test(`${snippets.length} snippets`, async (t) => {
  assert.ok(snippets.length > 3);
  const folder = mkdtempSync(join(tmpdir(), 'm2embed-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'node_modules/@langchain'), { recursive: true });
  for (const [name, to] of Object.entries({ m2embed: '', 'm2embed-small': '../build/packages/m2embed-small', ai: 'node_modules/ai', '@langchain/core': 'node_modules/@langchain/core' })) symlinkSync(join(here, to), join(folder, 'node_modules', name));
  for (const [i, code] of snippets.entries()) {
    writeFileSync(join(folder, `${i}.mjs`), code);
    const { stdout } = await promisify(execFile)(process.execPath, [`${i}.mjs`], { cwd: folder });
    assert.match(stdout, /\d/);
    t.diagnostic(stdout.trim().slice(0, 120));
  }
});

const own = readFileSync(join(here, 'README.md'), 'utf8');
const snippet = (kind) => new RegExp(`^\`\`\`${kind}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(own)[1];

test('the page without a bundler', async (t) => {
  const installed = { m2embed: '/wasm/js', 'm2embed-small': '/wasm/build/packages/m2embed-small' };
  const server = await serve((_, path) => {
    if (path === '/site/index.html') return { body: Buffer.from(snippet('html')) };
    const [, name, rest] = /^\/site\/node_modules\/([^/]+)(\/.*)$/.exec(path) ?? [];
    return name ? { body: readFileSync(join(here, '../..', installed[name], rest)) } : {};
  });
  t.after(() => server.close());
  const browser = await chromium(`${server.url}/site/index.html`);
  t.after(() => browser.close());
  await browser.page.waitForFunction(() => /^-?0\.\d+$/.test(document.body.textContent.trim()));
});
