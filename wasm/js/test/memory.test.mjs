// Memory stays flat: over many texts in one model, and over many models.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { M2Embed } from 'm2embed';

const folder = fileURLToPath(new URL('../../../testdata/tiny', import.meta.url));
const texts = Array.from({ length: 20 }, (_, i) => `text ${i} ${'more '.repeat(i % 7)}`);

test('2,000 texts', async (t) => {
  const model = await M2Embed.load(folder);
  t.after(() => model.dispose());
  // Until the collector has found its pace.
  for (let i = 0; i < 1500; i++) await model.embed(texts[i % texts.length], { padding: 'none' });
  const before = model.memory;
  for (let i = 0; i < 2000; i++) await model.embed(texts[i % texts.length], { padding: 'none' });
  t.diagnostic(`${before} bytes before, ${model.memory} after`);
  // Memory grows in steps of 256 KiB; some 3 % are usual.
  assert.ok(model.memory <= 1.05 * before, `${before} bytes before, ${model.memory} after`);
});

test('30 models, one after the other', async (t) => {
  const script = `
    const { M2Embed } = await import('m2embed');
    const module = await WebAssembly.compile((await import('node:fs')).readFileSync('dist/m2embed.wasm'));
    const seen = [];
    for (let i = 0; i < 30; i++) {
      const model = await M2Embed.load(${JSON.stringify(folder)}, { module });
      await model.embed('A text');
      await model.dispose();
      for (let k = 0; k < 2; k++) { gc(); await new Promise((done) => setTimeout(done, 10)); }
      seen.push(process.memoryUsage().rss);
    }
    console.log(JSON.stringify(seen));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--input-type=module', '-e', script], { cwd: fileURLToPath(new URL('..', import.meta.url)) });
  const seen = JSON.parse(stdout);
  const most = (part) => Math.max(...part);
  t.diagnostic(seen.map((n) => Math.round(n / 1e6)).join(' '));
  // One instance that stays is some 20 MB; 1 % is usual.
  assert.ok(most(seen.slice(20)) < 1.1 * most(seen.slice(0, 10)), stdout);
});
