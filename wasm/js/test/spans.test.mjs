// Vectors of spans, hidden states, passages, tokens and texts of tokens: in this thread and in workers, with the same bits.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { M2Embed, M2EmbedError, cosine } from 'm2embed';

const folder = new URL('../../../testdata/tiny/', import.meta.url);
const read = (name) => readFileSync(new URL(name, folder));
const nested = { config: Buffer.from(JSON.stringify({ ...JSON.parse(read('config.json')), padding: 'none', matryoshka_dimensions: [16] })), tokenizer: read('tokenizer.json'), weights: read('model.safetensors') };

const story = 'Ein Grün 🙂 tea.\n\nSecond paragraph, é; with a lone \ud800 half and 🙂🙂 more. ';
const fails = (work, code, text, input) =>
  assert.rejects(work, (e) => e instanceof M2EmbedError && e.code === code && text.test(e.message) && e.input === input, `${text}`);

for (const workers of [0, 2]) {
  const where = workers ? `${workers} workers` : 'this thread';
  const load = (t) => M2Embed.load(nested, workers ? { workers } : {}).then((model) => (t.after(() => model.dispose()), model));

  test(`spans in ${where}`, async (t) => {
    const model = await load(t);
    const all = { start: 0, end: story.length };
    const [whole] = await model.embedDetailed([story]);
    assert.equal(whole.spans, undefined);
    const [alone] = await model.embedDetailed([{ text: story, spans: [{ start: 4, end: 12 }] }]);
    const others = Array.from({ length: 9 }, (_, i) => ({ text: story.slice(i), spans: [{ start: 0, end: 3 }] }));
    const found = await model.embedDetailed([...others, { text: story, spans: [all, { start: 4, end: 12 }, { start: 16, end: 18 }] }, 'plain']);
    const [every, one, none] = found[9].spans;
    assert.deepEqual(found[9].vector, whole.vector);
    assert.deepEqual(one, alone.spans[0]);
    assert.equal(every.tokens, whole.tokens - 2);
    assert.deepEqual(none, { vector: null, tokens: 0 });
    assert.ok(Math.abs(Math.hypot(...one.vector) - 1) < 1e-6);
    // The same by token ids.
    const { ids, offsets } = await model.tokenize(story);
    const first = Array.from(ids.keys()).filter((i) => offsets[2 * i + 1] > 0 && offsets[2 * i] >= 4 && offsets[2 * i] < 12);
    const [byIds] = await model.embedDetailed([{ ids, spans: [{ start: first[0], end: first.at(-1) + 1 }] }]);
    assert.deepEqual(byIds.spans[0], one);
    for (const [spans, text] of [
      [[{ start: 0, end: story.length + 1 }], new RegExp(`span 0 is of code units 0 to ${story.length + 1}, want an ascending range within 0 to ${story.length}`)],
      [[all, { start: 5, end: 4 }], /span 1/],
      [[{ start: -1, end: 4 }], /span 0/],
      [[{ start: 0.5, end: 4 }], /span 0/],
      [[null], /span 0/],
      ['all', /want a list/],
    ]) {
      await fails(model.embedDetailed(['a', ...others, { text: story, spans }]), 'bad_argument', text, 10);
    }
    await fails(model.embedDetailed(['a', { ids: [101, 5, 102], spans: [{ start: 0, end: 4 }] }]), 'bad_argument', /span 0 is of tokens 0 to 4/, 1);
    await fails(model.embedDetailed([{ spans: [] }]), 'bad_argument', /want a text/, 0);
  });

  test(`states and cut vectors in ${where}`, async (t) => {
    const model = await load(t);
    const d = model.info.hiddenSize;
    assert.deepEqual(model.info.dimensions, [16]);
    const [{ vector, tokens, spans }] = await model.embedDetailed([{ text: story, spans: [{ start: 0, end: story.length }] }], { pooling: 'none' });
    assert.equal(vector.length, tokens * d);
    assert.deepEqual((await model.embed(['x', story], { pooling: 'none' }))[1], vector);
    const mean = new Float32Array(d);
    for (let i = 1; i < tokens - 1; i++) for (let k = 0; k < d; k++) mean[k] += vector[i * d + k];
    assert.ok(cosine(mean, spans[0].vector) > 1 - 1e-9);
    const full = await model.embed(story, { normalize: false });
    assert.deepEqual(await model.embed(story, { normalize: false, dimensions: 16 }), full.slice(0, 16));
    const unit = await model.embed(story, { normalize: true, dimensions: 16 });
    assert.ok(unit.length === 16 && Math.abs(Math.hypot(...unit) - 1) < 1e-6 && cosine(unit, full.slice(0, 16)) > 1 - 1e-9);
    assert.equal((await model.embed([story], { pooling: 'none', dimensions: 16 }))[0].length, tokens * 16);
    for (const dimensions of [15, 65]) await fails(model.embed('a', { dimensions }), 'bad_argument', /\[16\]/);
    for (const dimensions of [0, -1, 1.5]) await fails(model.embed('a', { dimensions }), 'bad_argument', /dimensions/);
    if (workers === 0) {
      const plain = await M2Embed.load(folder);
      t.after(() => plain.dispose());
      assert.deepEqual(plain.info.dimensions, []);
      assert.equal(plain.info.space === model.info.space, false); // its padding is another
      await fails(plain.embed('a', { dimensions: 16 }), 'bad_argument', /matryoshka_dimensions/);
    }
  });

  test(`passages in ${where}`, async (t) => {
    const model = await load(t);
    const text = `# Tea 🙂\n\n${'One sentence of é. '.repeat(30)}\n\n## Green\n\n${'Another one, longer than that 🙂. '.repeat(30)}`;
    const found = await model.passages(text, { target: 40, format: 'markdown' });
    assert.ok(found.length > 5, `${found.length}`);
    for (const [i, p] of found.entries()) {
      assert.ok(p.tokens > 0 && p.tokens <= 60 && p.start < p.end && p.start >= (found[i - 1]?.end ?? 0), JSON.stringify(p));
      assert.equal(text.slice(found[i - 1]?.end ?? 0, p.start).trim(), '');
      assert.equal(p.text, `${p.context && `${p.context}\n`}${text.slice(p.start, p.end)}`);
      assert.equal(text.slice(p.start, p.end), text.slice(p.start, p.end).trim());
    }
    assert.deepEqual(found.at(-1).headings, ['Tea 🙂', 'Green']);
    assert.equal(found.at(-1).context, 'Tea 🙂 > Green');
    assert.equal(found[0].context, '');
    const [{ spans }] = await model.embedDetailed([{ text, spans: found }]);
    assert.deepEqual(spans.slice(0, 5).map((s) => s.tokens), found.slice(0, 5).map((p) => p.tokens));
    const plain = await model.passages(text, { target: 40, max: 50, overlap: 20 });
    assert.ok(plain.every((p) => p.tokens <= 50 && p.headings.length === 0 && p.context === ''));
    assert.ok(plain.some((p, i) => i > 0 && p.start < plain[i - 1].end), 'no overlap');
    assert.deepEqual(await model.passages(' \n '), []);
    await fails(model.passages(text, { target: 0 }), 'bad_argument', /target 0/);
    await fails(model.passages(text, { overlap: -1 }), 'bad_argument', /overlap -1/);
    await fails(model.passages(text, { format: 'html' }), 'bad_argument', /format "html"/);
    await fails(model.passages(7), 'bad_argument', /passages: want a text/);
  });

  test(`tokens and their text in ${where}`, async (t) => {
    const model = await load(t);
    const { ids, offsets, tokens } = await model.tokenize(story);
    for (const [i, token] of tokens.entries()) {
      const piece = story.slice(offsets[2 * i], offsets[2 * i + 1]);
      if (/^[a-z]+$/.test(token)) assert.equal(piece.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase(), token);
    }
    const plain = await model.tokenize('hello world');
    assert.equal(await model.decode(plain.ids), 'hello world');
    assert.equal(await model.decode([...plain.ids], { specialTokens: true }), '[CLS] hello world [SEP]');
    assert.equal(await model.decode([]), '');
    assert.equal(await model.decode(ids.subarray(0, 1)), '');
    await fails(model.decode(['a']), 'bad_argument', /decode: want/);
    await fails(model.decode(undefined), 'bad_argument', /decode: want/);
  });

  test(`long texts stop and yield in ${where}`, async (t) => {
    const model = await load(t);
    const long = 'words and words, '.repeat(150_000);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    t.after(() => clearInterval(timer));
    for (const call of [(o) => model.tokenize(long, o), (o) => model.passages(long, o), (o) => model.embed(long, { ...o, maxLength: 16 })]) {
      const stop = new AbortController();
      turns = 0;
      setTimeout(() => stop.abort(new Error('enough')), 20);
      await assert.rejects(call({ signal: stop.signal }), /enough/);
      assert.ok(turns > 0, 'nothing else had a turn');
      await assert.rejects(call({ signal: AbortSignal.abort(new Error('before')) }), /before/);
    }
    turns = 0;
    const { ids } = await model.tokenize(long.slice(0, 1_000_008));
    assert.equal(ids.length, (12 * 1_000_008) / 17 + 2);
    assert.ok(turns > 2, `${turns} turns`);
    assert.equal((await model.embed('after')).length, 64);
  });
}
