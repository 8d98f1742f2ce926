// The pipeline's shape, and vectors in fewer bits.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cosine, cosineInt8, hamming, M2EmbedError, similarityBinary, toBinary, toInt8 } from 'm2embed';
import { pipeline } from 'm2embed/pipeline';

const folder = fileURLToPath(new URL('../../../testdata/tiny', import.meta.url));
const fails = (work, text) => assert.rejects(work, (e) => e instanceof M2EmbedError && e.code === 'bad_argument' && text.test(e.message));

test('pipeline has the shape of transformers.js', async (t) => {
  const seen = [];
  const extract = await pipeline('feature-extraction', folder, { device: 'cpu', dtype: 'fp32', progress_callback: (p) => seen.push(p) });
  t.after(() => extract.dispose());
  for (const file of ['m2embed.wasm', 'config.json', 'tokenizer.json', 'model.safetensors']) {
    const of = seen.filter((p) => p.file === file).map((p) => p.status);
    assert.deepEqual([...new Set(of)], ['initiate', 'download', 'progress', 'done'], file);
    assert.equal(of.filter((status) => status === 'done').length, 1);
  }
  assert.equal(seen.at(-1).status, 'ready');
  const out = await extract(['one', 'two'], { pooling: 'mean', normalize: true });
  assert.deepEqual([out.dims, out.type, out.size], [[2, 64], 'float32', 128]);
  const [want] = await extract.model.embed(['one'], { pooling: 'mean_hidden', normalize: true });
  assert.deepEqual(out.data.slice(0, 64), want);
  assert.deepEqual(out[0].data, want);
  assert.deepEqual([out[0].dims, out[2], 1 in out, 2 in out], [[64], undefined, true, false]);
  assert.deepEqual([...out].map((row) => row.tolist()), out.tolist());
  assert.deepEqual([...out[1]], Array.from(out.data.subarray(64)));
  assert.deepEqual(out.slice(1).tolist(), Array.from(out.data.subarray(64)));
  assert.deepEqual(out.slice(null, [0, 3]).tolist(), [0, 1].map((i) => Array.from(out.data.subarray(64 * i, 64 * i + 3))));
  assert.deepEqual(out.slice([-1, 2], -1).tolist(), [out.data[127]]);
  const cut = out.slice(null, [0, 16]).normalize(2, -1);
  assert.deepEqual(cut.dims, [2, 16]);
  for (const [i, row] of [...cut].entries()) assert.ok(Math.abs(Math.hypot(...row.data) - 1) < 1e-6 && cosine(row.data, out[i].data.slice(0, 16)) > 1 - 1e-6);
  assert.throws(() => out.normalize(1), /norm 2 along the last/);
  assert.throws(() => out.slice(2), /within 2/);
  assert.throws(() => out.slice(0, 0, 0), /3 slices/);
  assert.deepEqual((await extract('one')).dims, [1, 64]);
  const states = await extract(['one', 'one two three'], { pooling: 'none', normalize: true });
  const [, longest] = states.dims;
  assert.deepEqual(states.dims, [2, Math.max(...(await extract.model.embedDetailed(['one', 'one two three'])).map((e) => e.tokens)), 64]);
  const [alone] = await extract.model.embed(['one'], { pooling: 'none', normalize: true });
  assert.deepEqual(states.data.subarray(0, alone.length), alone);
  assert.ok(alone.length < 64 * longest && states.data.subarray(alone.length, 64 * longest).every((x) => x === 0));
  assert.deepEqual(states.tolist()[1][2], Array.from(states[1][2].data));
  assert.deepEqual((await extract(['one'], { pooling: 'none', quantize: true })).dims, [1, alone.length / 64, 8]);
  const bits = await extract(['one'], { quantize: true, precision: 'ubinary' });
  assert.deepEqual([bits.type, bits.dims, bits.data], ['uint8', [1, 8], toBinary((await extract('one')).data)]);
  const signed = await extract(['one'], { quantize: true });
  assert.deepEqual([signed.type, Array.from(signed.data)], ['int8', Array.from(bits.data, (x) => x - 128)]);
});

test('task puts the prompt of the model before texts', async (t) => {
  const read = (name) => readFileSync(`${folder}/${name}`);
  const extract = await pipeline('feature-extraction', { config: read('config.prompts.json'), tokenizer: read('tokenizer.json'), weights: read('model.safetensors') });
  t.after(() => extract.dispose());
  const { query } = extract.model.info.prompts;
  assert.ok(query.length > 0);
  assert.deepEqual((await extract(['a parcel'], { task: 'query' })).data, (await extract([`${query}a parcel`])).data);
  assert.deepEqual((await extract(['a parcel'], { task: 'document' })).data, (await extract(['a parcel'])).data);
  await fails(extract(['x'], { task: 'Query' }), /task "Query", want one of "query"/);
});

test('what a pipeline cannot honour is refused by name', async (t) => {
  await fails(pipeline('text-generation', folder), /feature-extraction/);
  await fails(pipeline('feature-extraction', folder, { device: 'coreml' }), /device "coreml": want auto, wasm/);
  await fails(pipeline('feature-extraction', folder, { dtype: 'q4' }), /dtype "q4"/);
  await fails(pipeline('feature-extraction', folder, { session_options: {} }), /"session_options" is not offered/);
  const extract = await pipeline('feature-extraction', folder);
  t.after(() => extract.dispose());
  await fails(extract('x', { pooling: 'last' }), /pooling "last"/);
  await fails(extract('x', { padding: true }), /"padding" is not offered/);
});

test('vectors in fewer bits keep their similarity', () => {
  const random = (seed) => Float32Array.from({ length: 768 }, (_, i) => Math.sin(seed * 1000 + i * i * 0.37) + Math.cos(i));
  const [a, b] = [random(1), random(2)];
  const exact = cosine(a, b);
  assert.ok(Math.abs(cosineInt8(toInt8(a), toInt8(b)) - exact) < 0.01);
  assert.ok(Math.abs(similarityBinary(toBinary(a), toBinary(b)) - exact) < 0.15, `${similarityBinary(toBinary(a), toBinary(b))} for ${exact}`);
  assert.deepEqual(toBinary(Float32Array.of(1, -1, 0, 2, 0, 0, 0, 1, 3)), Uint8Array.of(0b10010001, 0b10000000));
  assert.deepEqual(Array.from(toInt8(Float32Array.of(0.5, -1, 0)).data), [64, -127, 0]);
  assert.deepEqual(Array.from(toInt8(new Float32Array(2)).data), [0, 0]);
  assert.equal(hamming(Uint8Array.of(255, 0), Uint8Array.of(254, 1)), 2);
  assert.throws(() => hamming(new Uint8Array(1), new Uint8Array(2)), /1 and 2/);
});
