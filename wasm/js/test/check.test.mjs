// The README's "paste and check", pasted into every runtime: it prints what the README says.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from './browsers.mjs';
import { serve } from './serve.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
const [, code, want] = /## Paste and check[\s\S]*?```js\n([\s\S]*?)```[\s\S]*?it prints `([^`]*)`/.exec(readFileSync(join(here, 'README.md'), 'utf8'));

const runtimes = {
  Node: [process.execPath],
  Bun: [join(here, 'node_modules/bun/bin/bun.exe'), 'run'],
  Deno: [join(here, 'node_modules/@deno/linux-x64-glibc/deno'), 'run', '--allow-all', '--no-lock', '--node-modules-dir=manual'],
};

for (const [name, [program, ...options]] of Object.entries(runtimes)) {
  test(`in ${name}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'm2embed-'));
    t.after(() => rmSync(folder, { recursive: true }));
    mkdirSync(join(folder, 'node_modules'));
    for (const [name, to] of [['m2embed', ''], ['m2embed-small', '../build/packages/m2embed-small']]) symlinkSync(join(here, to), join(folder, 'node_modules', name));
    writeFileSync(join(folder, 'package.json'), '{"type":"module","dependencies":{"m2embed":"0.1.0","m2embed-small":"0.1.0"}}');
    writeFileSync(join(folder, 'check.mjs'), code);
    const { stdout } = await promisify(execFile)(program, [...options, 'check.mjs'], { cwd: folder });
    assert.equal(stdout.trim(), want);
  });
}

test('in Chromium', async (t) => {
  const server = await serve();
  t.after(() => server.close());
  const browser = await chromium(`${server.url}/wasm/js/parity/blank.html`);
  t.after(() => browser.close());
  const script = code.replace("'m2embed'", `'${server.url}/wasm/js/dist/index.js'`).replace("'m2embed-small'", `'${server.url}/wasm/build/packages/m2embed-small/index.js'`);
  const printed = await browser.evaluate(async (script) => {
    const lines = [];
    console.log = (...words) => lines.push(words.join(' '));
    await import(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })));
    return lines.join();
  }, script);
  assert.equal(printed, want);
});
