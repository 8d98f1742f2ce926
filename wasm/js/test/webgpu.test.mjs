// The webgpu back end on a software adapter: in Node through the npm package
// "webgpu", in a page and a worker of Chromium.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cosine, M2Embed } from '../dist/index.js';
import { M2EmbedWorker } from 'm2embed/worker';
import { chromium } from './browsers.mjs';
import { serve } from './serve.mjs';
import * as cases from './webgpu-cases.mjs';

const tiny = fileURLToPath(new URL('../../../testdata/tiny', import.meta.url));
// Chromium's software driver serves Node as well, where the machine has no GPU.
const driver = '/usr/lib/chromium/vk_swiftshader_icd.json';
if (existsSync(driver)) process.env.VK_ICD_FILENAMES ??= driver;

test('no WebGPU at all', async () => {
  await assert.rejects(M2Embed.load(tiny, { backend: 'webgpu' }), (e) => e.code === 'gpu_unsupported' && /no WebGPU/.test(e.message));
  const model = await M2Embed.load(tiny, { backend: 'auto' });
  assert.equal(model.info.backend, 'wasm');
  assert.match(model.info.fallback, /no WebGPU/);
  await model.dispose();
  const threads = await M2EmbedWorker.load(tiny, { backend: 'auto', workers: 2 });
  assert.deepEqual([threads.info.backend, threads.gpuMemory], ['wasm', 0]);
  assert.match(threads.info.fallback, /no WebGPU/);
  assert.ok(threads.memory > 2 * threads.info.weightBytes);
  await threads.dispose();
  for (const bad of [{ backend: 'cuda' }, { backend: 'webgpu', precision: 'f8' }]) await assert.rejects(M2Embed.load(tiny, bad), (e) => e.code === 'bad_argument');
});

test('Node', async (t) => {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create([]);
  if (!(await gpu.requestAdapter())) {
    const library = readdirSync('/usr/lib').some((folder) => existsSync(`/usr/lib/${folder}/libvulkan.so.1`));
    const missing = [!library && 'libvulkan1', !existsSync(driver) && `chromium's driver ${driver}`].filter(Boolean).join(' and ');
    // build.sh installs both where it may.
    if (missing && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) assert.fail(`no adapter: ${missing} could have been installed`);
    return t.skip(`no adapter: ${missing || 'the driver gave none'}`);
  }
  const server = await serve();
  t.after(() => server.close());
  // Chromium runs all cases, by the same code of ours and of Dawn: a software adapter takes minutes for them.
  t.diagnostic(JSON.stringify(await cases.brief({ M2Embed, cosine, gpu, base: server.url })));
});

test('Chromium', async (t) => {
  const server = await serve();
  t.after(() => server.close());
  const browser = await chromium(`${server.url}/wasm/js/parity/blank.html`, { args: ['--no-sandbox', '--enable-unsafe-webgpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  t.after(() => browser.close());
  for (const name of ['options', 'auto', 'lengths']) {
    await t.test(name, async (t) => {
      const found = await browser.evaluate(async (name) => {
        const { cosine, M2Embed } = await import('/wasm/js/dist/index.js');
        const cases = await import('/wasm/js/test/webgpu-cases.mjs');
        return cases[name]({ M2Embed, cosine, gpu: navigator.gpu, base: location.origin });
      }, name);
      t.diagnostic(JSON.stringify(found));
    });
  }
  await t.test('in a worker', async () => {
    const found = await browser.evaluate(async () => {
      const { cosine, M2EmbedWorker } = await import('/wasm/js/dist/worker.js');
      const load = (options) => M2EmbedWorker.load('/testdata/tiny/', options);
      const texts = ['one', 'two and three', 'four'];
      const cpu = await load({});
      const gpu = await load({ backend: 'webgpu', workers: 2 });
      const [want, got] = [await cpu.embed(texts, { padding: 'none' }), await gpu.embed(texts, { padding: 'none' })];
      const auto = await load({ backend: 'auto' });
      return { cosines: got.map((v, i) => cosine(v, want[i])), info: gpu.info, memory: [cpu.memory, gpu.memory, gpu.gpuMemory], auto: auto.info };
    });
    assert.ok(found.cosines.every((c) => c > 1 - 1e-6), found.cosines.join());
    assert.equal(found.info.backend, 'webgpu');
    const [cpu, memory, gpuMemory] = found.memory;
    assert.ok(memory < 1.7 * cpu && gpuMemory > 0, `one worker drives the GPU: ${found.memory}`);
    assert.equal(found.auto.backend, 'wasm');
    assert.match(found.auto.fallback, /software/);
  });
});

// Dawn keeps Node alive.
after(() => setTimeout(() => process.exit(), 100).unref());
