// Embedding: options, reports, odd texts, aborts, memory, the pipeline's shape.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { cosine, M2Embed, M2EmbedError } from '../dist/index.js';

const folder = new URL('../../../testdata/tiny/', import.meta.url);
const model = await M2Embed.load(folder);
const fails = (work, code, text) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof M2EmbedError, `${error.name}: ${error.message}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });

test('info', () => {
  assert.equal(model.info.hiddenSize, 64);
  assert.equal(model.info.maxLength, 512);
  assert.equal(model.info.kernels, 'wasm-simd');
  assert.equal(model.info.backend, 'wasm');
  assert.ok(model.memory > model.info.weightBytes);
});

test('one text, several, none', async () => {
  const one = await model.embed('a text');
  assert.ok(one instanceof Float32Array && one.length === 64);
  const [first, second] = await model.embed(['a text', 'another']);
  assert.deepEqual(first, one);
  assert.notDeepEqual(second, one);
  assert.deepEqual(await model.embed([]), []);
});

test('token ids', async () => {
  const { ids } = await model.tokenize('a text');
  assert.deepEqual(await model.embed(ids), await model.embed('a text'));
  const [fromList] = await model.embed([[...ids]]);
  assert.deepEqual(fromList, await model.embed('a text'));
  await fails(model.embed(Int32Array.of(5000)), 'bad_argument', /id 5000/);
  await fails(model.embed(new Int32Array()), 'bad_argument', /no tokens/);
  await fails(model.embed([[1.5]]), 'bad_argument', /input 0/);
  await fails(model.embed([null]), 'bad_argument', /input 0/);
  await fails(model.embed(7), 'bad_argument', /number/);
});

test('reports say what was run', async () => {
  const [short, cut] = await model.embedDetailed(['hello', 'word '.repeat(2000)], { padding: 'none' });
  assert.deepEqual([short.truncated, short.length], [false, short.tokens]);
  assert.deepEqual([cut.truncated, cut.length, cut.tokens > 512], [true, 512, true]);
  const [padded] = await model.embedDetailed(['hello']);
  assert.equal(padded.length, 512);
  const [to] = await model.embedDetailed(['hello'], { padding: 40 });
  assert.equal(to.length, 40);
  const [limited] = await model.embedDetailed(['one two three four five'], { padding: 'none', maxLength: 4 });
  assert.deepEqual([limited.length, limited.truncated], [4, true]);
  await fails(model.embed('word '.repeat(2000), { truncation: 'refuse' }), 'too_long', /at most 512/);
  await assert.rejects(model.embed(['one', 'word '.repeat(2000)], { truncation: 'refuse' }), (e) => e.input === 1);
  await fails(model.embed('x', { maxLength: 1 }), 'bad_argument', /2 to 512/);
  await fails(model.embed('x', { padding: 513 }), 'bad_argument', /512/);
  for (const bad of [{ padding: 'most' }, { padding: 0 }, { padding: 1.5 }, { maxLength: -1 }, { truncation: 'middle' }, { truncate: 'error' }, { pooling: 'max' }]) {
    await fails(model.embed('x', bad), 'bad_argument', /want/);
  }
});

test('padding none keeps bits in any batch, longest need not', async () => {
  const alone = await model.embed('short', { padding: 'none' });
  const [together] = await model.embed(['short', 'a much longer text '.repeat(9)], { padding: 'none' });
  assert.deepEqual(together, alone);
  const [longest] = await model.embed(['short', 'a much longer text '.repeat(9)], { padding: 'longest' });
  assert.notDeepEqual(longest, alone);
});

test('normalize and pooling', async () => {
  const unit = await model.embed('length', { normalize: true });
  assert.ok(Math.abs(Math.hypot(...unit) - 1) < 1e-6);
  const raw = await model.embed('length', { normalize: false });
  assert.ok(Math.abs(cosine(unit, raw) - 1) < 1e-6);
  const poolings = await Promise.all(['cls', 'mean', 'cls_hidden', 'mean_hidden'].map((pooling) => model.embed('length', { pooling })));
  assert.deepEqual(poolings[0], raw);
  assert.equal(new Set(poolings.map((v) => v.join())).size, 4);
});

test('odd texts', async () => {
  for (const text of ['', ' \n\t', '\0', '\ufeff', 'e\u0301'.repeat(300), '\u0301'.repeat(100_000), '\u{1f600}', '日本語'.repeat(100)]) {
    assert.ok((await model.embed(text)).every(Number.isFinite));
  }
  // A lone surrogate is U+FFFD on its way to UTF-8.
  assert.deepEqual(await model.embed('a \ud800 b'), await model.embed('a \ufffd b'));
  assert.deepEqual(await model.embed('\udc00'), await model.embed('\ufffd'));
  const [long] = await model.embedDetailed(['ten megabytes '.repeat(750_000)]);
  assert.equal(long.truncated, true);
  const [blob] = await model.embedDetailed(['x'.repeat(10 << 20)]);
  assert.equal(blob.tokens, 3);
});

test('tokenize: offsets are in code units', async () => {
  const text = 'Héllo 😀 worlds';
  const { ids, tokens, offsets } = await model.tokenize(text);
  assert.equal(tokens[0], '[CLS]');
  assert.equal(tokens.at(-1), '[SEP]');
  assert.equal(ids.length, tokens.length);
  const at = tokens.indexOf('[UNK]');
  assert.equal(text.slice(offsets[2 * at], offsets[2 * at + 1]), '😀');
  assert.equal(text.slice(offsets[2], offsets[3]), 'Héllo');
  assert.equal((await model.tokenize('')).tokens.length, 2);
  await fails(model.tokenize(3), 'bad_argument', /text/);
});

test('tokenize: offsets around lone surrogates', async () => {
  for (const text of ['a \ud800 word', '\udc00word 😀 a', 'a\ud83d', '\ud800\ud800 word']) {
    const { tokens, offsets } = await model.tokenize(text);
    const parts = tokens.map((_, i) => text.slice(offsets[2 * i], offsets[2 * i + 1]));
    assert.deepEqual(parts.at(-1), '');
    // The model's text has no U+FFFD, which is what they become.
    assert.equal(parts.join(''), text.replace(/\p{Cs}| /gu, ''), JSON.stringify([text, tokens, parts]));
  }
});

test('similarity', async () => {
  assert.ok(Math.abs((await model.similarity('same', 'same')) - 1) < 1e-6);
  const vector = await model.embed('same');
  assert.ok(Math.abs((await model.similarity(vector, 'same')) - 1) < 1e-6);
  await fails(model.similarity(vector, new Float32Array(3)), 'bad_argument', /64 and 3/);
});

test('progress, abort, and calls at once', async () => {
  const seen = [];
  const many = Array.from({ length: 40 }, (_, i) => `text ${i}`);
  await model.embed(many, { onProgress: (p) => seen.push(p.done / p.total) });
  assert.ok(seen.length > 3);
  assert.ok(seen.every((share, i) => share >= (seen[i - 1] ?? 0) && share <= 1));
  assert.equal(seen.at(-1), 1);

  await assert.rejects(model.embed('x', { signal: AbortSignal.abort(new Error('before')) }), /before/);
  const controller = new AbortController();
  const onProgress = (p) => p.done > 0.1 && controller.abort(new Error('in the middle'));
  await assert.rejects(model.embed(many, { signal: controller.signal, onProgress }), /in the middle/);

  const vector = await model.embed('text 3');
  const [a, b] = await Promise.all([model.embed(many), model.embed('text 3')]);
  assert.deepEqual(a[3], vector);
  assert.deepEqual(b, vector);
});

test('an abort while others are in work, and in a report of a short text', async () => {
  const many = Array.from({ length: 300 }, (_, i) => `text ${i} ${'more '.repeat(60)}`);
  let working = true;
  const long = model.embed(many, { padding: 512 }).finally(() => (working = false));
  const controller = new AbortController();
  const queued = model.embed('waits', { signal: controller.signal });
  setTimeout(() => controller.abort(new Error('no longer')), 20);
  await assert.rejects(queued, /no longer/);
  assert.ok(working, 'the abort waited for the work before it');
  // The next one still waits its turn.
  const next = model.embed('text 3');
  await long;
  assert.deepEqual(await next, await model.embed('text 3'));
  const short = new AbortController();
  await assert.rejects(model.embed('x', { padding: 'none', signal: short.signal, onProgress: () => short.abort(new Error('at once')) }), /at once/);
});

test('a disposed model holds no memory', async () => {
  const gone = await M2Embed.load(folder);
  const work = gone.embed(Array(50).fill('text'));
  const refused = assert.rejects(work, (error) => error.code === 'bad_handle');
  await gone.dispose();
  await refused;
  assert.equal(gone.memory, 0);
  assert.equal(gone.info.hiddenSize, 64);
  await fails(gone.tokenize('x'), 'bad_handle', /disposed/);
});

test('memory limit', async () => {
  const small = await M2Embed.load(folder, { memoryLimit: 24e6 });
  const vector = await small.embed('fits');
  await fails(small.embed('y '.repeat(15e6)), 'out_of_memory', /limit/);
  assert.deepEqual(await small.embed('fits'), vector);
  assert.ok(small.memory < 40e6);
});

test('memory that cannot grow: the instance says that it is lost', async () => {
  // The same module with a memory of at most 10 MB, as a runtime may impose.
  const bytes = readFileSync(new URL('../dist/m2embed.wasm', import.meta.url));
  const module = await WebAssembly.compile(withMaximum(bytes, 160));
  const victim = await M2Embed.load(folder, { module });
  await victim.embed('fits');
  await fails(victim.embed('y '.repeat(8e6)), 'instance_lost', /memory ran out.*load it again/);
  await fails(victim.embed('x'), 'instance_lost', /load it again/);
  await victim.dispose();
  assert.ok((await model.embed('others go on')).every(Number.isFinite));
});

/** Gives the memory of a module a maximum in pages. */
function withMaximum(bytes, pages) {
  const leb = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >> 7)]);
  for (let at = 8; at < bytes.length; ) {
    const start = at;
    const id = bytes[at++];
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const b = bytes[at++];
      size |= (b & 127) << shift;
      if (b < 128) break;
    }
    if (id === 5) {
      const body = [1, 1, ...bytes.subarray(at + 2, at + size), ...leb(pages)];
      return Buffer.concat([bytes.subarray(0, start), Buffer.from([5, ...leb(body.length), ...body]), bytes.subarray(at + size)]);
    }
    at += size;
  }
  throw new Error('no memory');
}
