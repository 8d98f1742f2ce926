/** The page's ranking against host/search's, on the same documents and queries with the shipped model. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { meaning, parse, rank, stem, Vectors, WordIndex } from './parts.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('words and meaning rank as in host/search', async (t) => {
  const { Documents: n, Queries: queries } = JSON.parse(readFileSync(`${root}host/search/testdata/ranking.json`, 'utf8'));
  const { texts } = JSON.parse(gunzipSync(readFileSync(`${root}testdata/eval/heldout.json.gz`)));
  const { M2Embed } = await import(`${root}wasm/js/dist/index.js`);
  const model = await M2Embed.load(`${root}host/small/`);
  t.after(() => model.dispose());
  const documents = texts.slice(0, n).map(({ title, text }) => ({ title, text: `${title}\n\n${[...text].slice(0, 400).join('')}` }));
  const passages = documents.map(({ title, text }) => ({ text: text.trim(), heading: title }));
  const counted = new WordIndex();
  for (const passage of passages) counted.add(passage);
  // As the library that the page comes with has it; an index of other passages is refused.
  const saved = counted.save();
  const index = WordIndex.load(saved, passages);
  assert.deepEqual(index.save(), saved);
  assert.throws(() => WordIndex.load(saved, passages.slice(1)), /of other passages/);
  const vectors = await model.embed(documents.map(({ text }) => text.trim()), { normalize: true });
  // As they lie in the index there, in 8 bits.
  const rounded = vectors.map((vector) => {
    const largest = Math.max(...vector.map(Math.abs));
    const integers = Float32Array.from(vector, (x) => Math.round((x / largest) * 127));
    const length = Math.sqrt(integers.reduce((sum, x) => sum + x * x, 0));
    return integers.map((x) => x / length);
  });
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  let different = 0;
  for (const { Query: query, Mode: mode, Want: want, Good: good } of queries) {
    const vector = mode === 'words' ? undefined : await model.embed(meaning(query), { task: 'query', normalize: true });
    const hits = rank(index, vector && Float32Array.from(rounded, (other) => dot(vector, other)), { terms: parse(query), mode, group: (row) => row });
    const found = hits.slice(0, 10);
    // Queries are rounded there, as the processor has it: near ties may change places.
    const scores = new Map(hits.map(({ row, score }) => [row, score]));
    const last = found.at(-1)?.score ?? 0;
    const close = want.length === found.length && want.every((row, i) => Math.abs((scores.get(row) ?? -9) - found[i].score) < (mode === 'words' ? 1e-6 : 0.012) && (scores.get(row) ?? -9) >= last - 0.012);
    if (found.some(({ row }, i) => row !== want[i])) different++;
    assert.ok(close, `${query}, ${mode}: ${found.map(({ row, score }) => `${row} ${score.toFixed(3)}`)}; want ${want.map((row) => `${row} ${scores.get(row)?.toFixed(3)}`)}`);
    const near = found.filter((hit) => hit.good).length;
    assert.ok(Math.abs(near - good) <= (mode === 'words' ? 0 : 1), `${query}, ${mode}: ${near} good, want ${good}`);
  }
  t.diagnostic(`${queries.length} queries, of which ${different} have near ties of their first ten in another order`);
});

test('stems are those of host/search, of data without spaces too', () => {
  // What host/search/stems.go says: bytes from 64 on are left as they are, those from 256 on are not looked at.
  for (const [word, want] of [
    ['Sailing', 'sail'], ['by', 'by'], ['Émigrés', 'emigr'], ['\u0301', ''],
    [`${'a'.repeat(61)}ing`, 'a'.repeat(61)], [`${'a'.repeat(62)}ing`, `${'a'.repeat(62)}ing`],
    ['x'.repeat(256), 'x'.repeat(256)], ['x'.repeat(1e6), 'x'.repeat(256)],
    ['語'.repeat(90), '語'.repeat(85)], [`a${'é'.repeat(200)}`, `a${'e'.repeat(127)}`],
  ]) assert.equal(stem(word), want, word.slice(0, 80));
  const index = new WordIndex();
  index.add({ text: `a row of data ${'ab'.repeat(1e6)} and words`, heading: '' });
  index.add({ text: 'words alone', heading: '' });
  assert.deepEqual([...index.find({ stems: [stem('ab'.repeat(1e6))], prefix: false, parts: false }).keys()], [0]);
});

test('cosines of vectors in 8 bits are near the exact ones, whatever their length and number', () => {
  const unit = (d) => {
    const vector = Float32Array.from({ length: d }, () => Math.random() - 0.5);
    const length = Math.hypot(...vector);
    return vector.map((x) => x / length);
  };
  const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  for (const [d, n] of [[1, 3], [16, 1], [100, 1024], [256, 5000], [1024, 1025]]) {
    const all = Array.from({ length: n }, () => unit(d));
    const vectors = new Vectors(d);
    vectors.reserve(n >> 1);
    for (const vector of all) vectors.push(vector);
    vectors.push(unit(d + 1));
    vectors.remove(n >> 1);
    for (const query of [unit(d), all.at(-1)]) {
      const found = vectors.cosines(query);
      assert.equal(found.length, n + 1);
      for (const [row, vector] of all.entries()) {
        if (row === n >> 1) assert.ok(Number.isNaN(found[row]));
        else assert.ok(Math.abs(found[row] - dot(query, vector)) < 0.01, `D ${d}, row ${row}: ${found[row]}, want ${dot(query, vector)}`);
      }
      assert.ok(Number.isNaN(found[n]), 'a vector of another length');
    }
  }
  assert.equal(new Vectors(256).cosines(unit(256)).length, 0);
});
