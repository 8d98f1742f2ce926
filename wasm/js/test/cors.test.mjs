// Files on another origin than the page, whose server allows reading and says no more.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { M2Embed } from '../dist/index.js';
import { chromium, firefox } from './browsers.mjs';
import { serve } from './serve.mjs';

const folder = new URL('../../../testdata/tiny/', import.meta.url);
const want = Array.from(await (await M2Embed.load(folder)).embed('a text'));

const cases = {
  'as they are': () => ({}),
  compressed: () => ({ gzip: true }),
  'cut, taken up by Range': (name, asked) => (name === 'model.safetensors' && asked === 1 ? { cut: 300_000 } : {}),
  'cut, without Range': (name, asked) => (name === 'model.safetensors' ? { noRange: true, ...(asked === 1 && { cut: 300_000 }) } : {}),
  'compressed and cut': (name, asked, { headers }) => ({ gzip: headers['accept-encoding'] !== 'identity', ...(name === 'model.safetensors' && asked === 1 && { cut: 300_000 }) }), // a range is asked for as it is
  'a checkpoint, compressed': () => ({ gzip: true }),
};

for (const start of [chromium, firefox]) {
  test(start.name, async (t) => {
    const home = await serve();
    t.after(() => home.close());
    const browser = await start(`${home.url}/wasm/js/parity/blank.html`);
    t.after(() => browser.close());
    for (const [name, change] of Object.entries(cases)) {
      // Firefox ends such a body as if it were whole: then the header of the file tells.
      if (name === 'compressed and cut' && start === firefox) continue;
      await t.test(name, async () => {
        const asked = {};
        const away = await serve((request, path) => {
          const file = path.split('/').at(-1);
          return change(file, (asked[file] = (asked[file] ?? 0) + 1), request);
        });
        try {
          const weights = name.startsWith('a checkpoint') ? 'pytorch_model.bin' : 'model.safetensors';
          const load = (cache) =>
            browser.evaluate(
              async ({ base, weights, cache }) => {
                const { M2Embed } = await import('/wasm/js/dist/index.js');
                const seen = [];
                const model = await M2Embed.load({ config: `${base}config.json`, tokenizer: `${base}tokenizer.json`, weights: `${base}${weights}` }, { cache, onProgress: (p) => p.stage === 'weights' && seen.push(p) });
                const vector = Array.from(await model.embed('a text'));
                await model.dispose(); // which waits until the files are kept
                return { vector, seen };
              },
              { base: `${away.url}/testdata/tiny/`, weights, cache },
            );
          const { vector, seen } = await load(false);
          assert.deepEqual(vector, want);
          assert.ok(seen.every((p, i) => p.loaded >= (seen[i - 1]?.loaded ?? 0) && (p.total === 0 || p.loaded <= p.total)), JSON.stringify(seen));
          if (name === 'as they are') {
            // Twice, so that the second asks about what is kept.
            await load(true);
            const kept = await load(true);
            assert.deepEqual(kept.vector, want);
            assert.ok(kept.seen.every((p) => p.cached));
          }
          assert.ok(away.requests.every((r) => r.method === 'GET'), 'no preflight');
        } finally {
          await away.close();
        }
      });
    }
  });
}

test('weights that changed on a server that shows when', async (t) => {
  const home = await serve();
  t.after(() => home.close());
  const browser = await chromium(`${home.url}/wasm/js/parity/blank.html`);
  t.after(() => browser.close());
  const bytes = readFileSync(new URL('model.safetensors', folder));
  let modified = 'Mon, 02 Nov 2026 10:00:00 GMT';
  let body = bytes;
  const away = await serve((_, path) => ({ headers: { 'last-modified': modified }, ...(path.endsWith('.safetensors') && { body }) }));
  t.after(() => away.close());
  const load = () =>
    browser.evaluate(async (base) => {
      const { M2Embed } = await import('/wasm/js/dist/index.js');
      let cached;
      const model = await M2Embed.load(base, { onProgress: (p) => p.stage === 'weights' && (cached = p.cached) });
      const vector = Array.from(await model.embed('a text'));
      await model.dispose();
      return { cached, vector };
    }, `${away.url}/testdata/tiny/`);
  await load();
  assert.deepEqual(await load(), { cached: true, vector: want });
  modified = 'Tue, 03 Nov 2026 10:00:00 GMT';
  body = Buffer.from(bytes).fill(0, bytes.length - 4096);
  const changed = await load();
  assert.equal(changed.cached, false);
  assert.notDeepEqual(changed.vector, want);
});
