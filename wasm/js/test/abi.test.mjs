// The module behind the package: several models in one instance, and misuse of the calls that a GPU uses.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Instance } from '../dist/abi.js';
import { M2Embed, M2EmbedError } from '../dist/index.js';

const module = await WebAssembly.compile(readFileSync(new URL('../dist/m2embed.wasm', import.meta.url)));
const folder = (name) => new URL(`../../../${name}/`, import.meta.url);
const read = (name, file) => new Uint8Array(readFileSync(new URL(file, folder(name))));

function open(instance, name) {
  const model = instance.createModel(read(name, 'config.json'), read(name, 'tokenizer.json'));
  const weights = read(name, 'model.safetensors');
  instance.bytes(instance.reserve(model, weights.length), weights.length).set(weights);
  instance.received(model, weights.length);
  instance.open(model, 0);
  return model;
}

function prepare(instance, run) {
  while (!instance.prepare(run));
  return run;
}

const fails = (f, code, text) =>
  assert.throws(f, (error) => {
    assert.ok(error instanceof M2EmbedError, `${error.name}: ${error.message}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });

test('two models in one instance, with runs side by side', async () => {
  const instance = await Instance.create(module);
  const names = ['testdata/tiny', 'host/small'];
  const models = names.map((name) => open(instance, name));
  const texts = ['a text', 'another text '.repeat(20)];
  const runs = models.map((model) => instance.start(model, texts, { padding: 'none' }));
  runs.forEach((run) => prepare(instance, run));
  for (const done = [false, false]; !(done[0] && done[1]); ) runs.forEach((run, i) => (done[i] ||= instance.step(run)));
  const found = runs.map((run) => instance.finish(run).map((e) => e.vector));
  for (const [i, name] of names.entries()) {
    const alone = await M2Embed.load(folder(name), { module });
    assert.deepEqual(found[i], await alone.embed(texts, { padding: 'none' }));
  }
  runs.forEach((run) => instance.freeRun(run));
  instance.freeModel(models[0]);
  fails(() => instance.start(models[0], texts, {}), 'bad_handle', /model/);
  const run = prepare(instance, instance.start(models[1], texts, { padding: 'none' }));
  while (!instance.step(run));
  assert.deepEqual(instance.finish(run).map((e) => e.vector), found[1]);
});

test('misuse of the calls of a GPU', async () => {
  const instance = await Instance.create(module);
  const model = open(instance, 'testdata/tiny');
  const limits = { maxStorageBufferBindingSize: 1 << 27, maxBufferSize: 1 << 28, maxComputeWorkgroupsPerDimension: 65535 };
  const run = instance.start(model, ['one', 'two'], { padding: 8 });
  fails(() => instance.pass(run, 4096), 'not_ready', /not prepared/);
  prepare(instance, run);
  const d = instance.info(model).hiddenSize;
  fails(() => instance.plan(run, limits, false), 'not_ready', /pass/);
  const one = { texts: 1, length: 8, pooling: 0, states: false };
  fails(() => instance.vectors(run, new Float32Array(d), one, d), 'bad_argument', /64 values for a pass of 0 texts/);
  const pass = instance.pass(run, 4096);
  assert.equal(pass.texts, 2);
  fails(() => instance.vectors(run, new Float32Array(d), one, d), 'bad_argument', /64 values for a pass of 2 texts of 8 positions, want 128/);
  fails(() => instance.vectors(run, new Float32Array(2 * d).fill(NaN), pass, d), 'bad_weights', /not finite/);
  fails(() => instance.finish(run), 'not_ready', /not done/);
  fails(() => instance.plan(run, { ...limits, maxStorageBufferBindingSize: 16, maxBufferSize: 16 }, false), 'gpu_out_of_memory', /16/);
  const { handle, plan } = instance.plan(run, limits, false);
  fails(() => instance.weight(handle, 10_000), 'bad_argument', /no weights/);
  const weight = plan.buffers.findIndex((buffer) => buffer.kind === 'weight');
  assert.equal(instance.weight(handle, weight).length, plan.buffers[weight].size);
  instance.freePlan(handle);
  fails(() => instance.weight(handle, weight), 'bad_handle', /plan/);
  instance.freeRun(run);
  fails(() => instance.pass(run, 1), 'bad_handle', /run/);
  // The instance is as good as before.
  const next = prepare(instance, instance.start(model, ['one'], { padding: 'none' }));
  while (!instance.step(next));
  assert.equal(instance.finish(next)[0].vector.length, d);
});
