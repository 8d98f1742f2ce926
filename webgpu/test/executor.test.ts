/** The executor by itself, with plans of one copy: caching, errors, abort. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { create, globals } from 'webgpu';
import { Executor, GPUError, type Plan } from '../executor.js';

Object.assign(globalThis, globals);
const gpu = create([]);
Object.assign(globalThis, { keptGPU: gpu }); // the package crashes once it is collected

const copy = readFileSync(new URL('../../kernels/copy.wgsl', import.meta.url), 'utf8');

/** A plan that copies 64 ids through a weight's and a shared buffer's neighbours to the output. */
function plan(source = copy): Plan {
  const params = new Array<number>(64).fill(0);
  params[0] = 16;
  const dispatch = (from: number, to: number): Plan['dispatches'][number] =>
    ({ pipeline: 0, params: 0, bindings: [1, from, 256, 2, to, 256], groups: [1, 1, 1], work: 1, label: 'copy' });
  return {
    texts: 2, length: 32, ids: 0, mask: -1, output: 3, sharedLimit: 256, kernels: ['copy'], sources: [source],
    pipelines: [{ kernel: 'copy', entry: 'main', constants: {} }],
    buffers: [
      { kind: 'input', size: 256 }, { kind: 'weight', size: 256, key: 'w' }, { kind: 'shared', size: 256, key: 's' },
      { kind: 'scratch', size: 256 }, { kind: 'uniform', size: 256 },
    ],
    params, setup: [{ key: 's', dispatches: [dispatch(1, 2)] }], dispatches: [dispatch(0, 3)],
  };
}

const ids = Uint32Array.from({ length: 64 }, (_, i) => 1000 + i);
const weight = (): Uint8Array => new Uint8Array(256).fill(7);
const kind = (expected: string) => (error: unknown): boolean => error instanceof GPUError && error.kind === expected;

test('no GPU and no adapter are unsupported', async () => {
  await assert.rejects(Executor.open(undefined), kind('unsupported'));
  await assert.rejects(Executor.open({ requestAdapter: async () => null } as unknown as GPU), kind('unsupported'));
  await assert.rejects(Executor.open({ requestAdapter: async () => { throw new Error('blocked'); } } as unknown as GPU), kind('unsupported'));
});

test('runs, uploads weights once, fills shared buffers once', async () => {
  const executor = await Executor.open(gpu);
  assert.ok(executor.limits.maxBufferSize >= 256 << 20);
  let packed = 0;
  const pack = (): Uint8Array => {
    packed++;
    return weight();
  };
  const first = await executor.load(plan(), pack);
  const second = await executor.load(plan(), pack);
  assert.equal(packed, 1);
  assert.equal(executor.residentBytes, 512);
  const fractions: number[] = [];
  const [a, b] = await Promise.all([
    executor.run(first, ids, undefined, { onProgress: (f) => fractions.push(f) }),
    executor.run(second, ids.map((x) => x + 1)),
  ]);
  assert.deepEqual(new Uint32Array(a.buffer), ids);
  assert.equal(new Uint32Array(b.buffer)[5], ids[5]! + 1);
  assert.deepEqual(fractions, [1]);
  executor.unload(first);
  assert.deepEqual(new Uint32Array((await executor.run(second, ids)).buffer), ids);
  executor.clear();
  assert.equal(executor.residentBytes, 0);
  await executor.load(plan(), pack);
  assert.equal(packed, 2);
  executor.destroy();
});

test('a set-up that the device refuses is done again', async () => {
  const executor = await Executor.open(gpu);
  const loaded = await executor.load(plan(), weight);
  const step = loaded.setup[0]!.steps[0]!;
  const groups = step.groups;
  step.groups = [1 << 20, 1, 1]; // more workgroups than any device takes
  await assert.rejects(executor.run(loaded, ids), kind('invalid'));
  step.groups = groups;
  let submissions = 0;
  const submit = executor.device.queue.submit.bind(executor.device.queue);
  executor.device.queue.submit = (commands) => {
    submissions++;
    return submit(commands);
  };
  await executor.run(loaded, ids);
  assert.equal(submissions, 2); // the set-up, the pass with the copy to read
  await executor.run(loaded, ids);
  assert.equal(submissions, 3);
  executor.destroy();
});

test('shared buffers of all plans keep to one budget', async () => {
  const executor = await Executor.open(gpu);
  const other = (): Plan => {
    const p = plan();
    p.buffers[2]!.key = p.setup[0]!.key = 't';
    return p;
  };
  const first = await executor.load(plan(), weight);
  await executor.run(first, ids);
  assert.ok(!executor.exceedsShared(plan()), 'the same length again');
  assert.ok(!executor.exceedsShared({ ...other(), sharedLimit: 512 }), 'room for two');
  assert.ok(executor.exceedsShared(other()), 'another length in a full budget');
  assert.ok(!executor.exceedsShared({ ...other(), buffers: other().buffers.filter((b) => b.kind !== 'shared') }), 'a length that keeps none');
  executor.unload(first);
  executor.dropShared(other());
  assert.equal(executor.residentBytes, 256); // the weight alone
  assert.ok(!executor.exceedsShared(other()));
  const second = await executor.load(other(), weight);
  assert.deepEqual(new Uint32Array((await executor.run(second, ids)).buffer), ids);
  executor.dropShared(other());
  assert.equal(executor.residentBytes, 512);
  // What was dropped is filled anew.
  const again = await executor.load(plan(), weight);
  let submissions = 0;
  const submit = executor.device.queue.submit.bind(executor.device.queue);
  executor.device.queue.submit = (commands) => {
    submissions++;
    return submit(commands);
  };
  await executor.run(again, ids);
  assert.equal(submissions, 2);
  executor.destroy();
});

test('a model beside another has its own weights', async () => {
  const executor = await Executor.open(gpu);
  const sibling = executor.sibling();
  await executor.load(plan(), weight);
  assert.equal(sibling.residentBytes, 0);
  const loaded = await sibling.load(plan(), weight);
  assert.deepEqual(new Uint32Array((await sibling.run(loaded, ids)).buffer), ids);
  executor.destroy();
});

test('bad arguments are refused before the GPU sees them', async () => {
  const executor = await Executor.open(gpu);
  const loaded = await executor.load(plan(), weight);
  await assert.rejects(executor.run(loaded, new Uint32Array(3)), RangeError);
  const masked = await executor.load({ ...plan(), mask: 0 }, weight);
  await assert.rejects(executor.run(masked, ids), RangeError);
  assert.deepEqual(new Uint32Array((await executor.run(loaded, ids)).buffer), ids);
  executor.destroy();
});

test('an abort ends a run with its reason and harms no later one', async () => {
  const executor = await Executor.open(gpu);
  const loaded = await executor.load(plan(), weight);
  const reason = new Error('changed my mind');
  await assert.rejects(executor.run(loaded, ids, undefined, { signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  await assert.rejects(executor.run(loaded, ids, undefined, { signal: controller.signal, onProgress: () => controller.abort(reason) }), reason);
  assert.deepEqual(new Uint32Array((await executor.run(loaded, ids)).buffer), ids);
  executor.destroy();
});

test('a failed load leaves nothing half done', async () => {
  const executor = await Executor.open(gpu);
  await assert.rejects(executor.load(plan(), () => { throw new Error('no such tensor'); }), /no such tensor/);
  assert.equal(executor.residentBytes, 0);
  await assert.rejects(executor.load({ ...plan('not WGSL') }, weight), kind('invalid'));
  assert.equal(executor.residentBytes, 0);
  const large = plan();
  large.buffers[3] = { kind: 'scratch', size: executor.limits.maxBufferSize + 4 };
  await assert.rejects(executor.load(large, weight), (error: unknown) => error instanceof Error);
  assert.equal(executor.residentBytes, 0);
  executor.destroy();
});

test('a lost device ends runs with a typed error', async () => {
  const executor = await Executor.open(gpu);
  const loaded = await executor.load(plan(), weight);
  executor.destroy();
  await assert.rejects(executor.run(loaded, ids), kind('device-lost'));
  await assert.rejects(executor.load(plan(), weight), kind('device-lost'));
});

test.after(() => setTimeout(() => process.exit(), 100).unref());
