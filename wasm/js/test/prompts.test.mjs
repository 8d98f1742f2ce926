// Prompts of a model by the task of texts, in this thread and in workers, with the same bits.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { M2Embed, M2EmbedError } from 'm2embed';

const folder = new URL('../../../testdata/tiny/', import.meta.url);
const read = (name) => readFileSync(new URL(name, folder));
const files = { config: read('config.prompts.json'), tokenizer: read('tokenizer.json'), weights: read('model.safetensors') };
const { prompts } = JSON.parse(files.config);

for (const workers of [0, 2]) {
  test(`prompts in ${workers ? `${workers} workers` : 'this thread'}`, async (t) => {
    const model = await M2Embed.load(files, workers ? { workers } : {});
    t.after(() => model.dispose());
    assert.deepEqual(model.info.prompts, prompts);
    const texts = ['', 'ending', 'a lone \ud800 half', '🙂 '.repeat(300)];
    for (const task of [undefined, '', 'document', 'query', 'title of']) {
      const prompt = prompts[task] ?? '';
      for (const options of [{}, { maxLength: 8 }, { pooling: 'none', maxLength: 20 }, { padding: 40 }]) {
        const found = await model.embedDetailed(texts, { ...options, task });
        assert.deepEqual(found, await model.embedDetailed(texts.map((text) => prompt + text), options), task);
      }
    }
    const spans = [{ start: 0, end: 3 }, { start: 2, end: 9 }];
    const moved = spans.map(({ start, end }) => ({ start: start + 9, end: end + 9 }));
    const [asked] = await model.embedDetailed([{ text: 'a parcel 🙂', spans }], { task: 'query' });
    const [whole] = await model.embedDetailed([{ text: 'ask for: a parcel 🙂', spans: moved }]);
    assert.deepEqual(asked.spans, whole.spans);
    const { ids } = await model.tokenize('a parcel');
    assert.deepEqual(await model.embed(ids, { task: 'query' }), await model.embed('a parcel'));
    for (const [task, text] of [['Query', /task "Query", want one of "query", "document", "title of"/], ['x'.repeat(1e6), /want one of/], [7, /task: want a name, not number/], [null, /task: want a name/]]) {
      await assert.rejects(model.embed('x', { task }), (e) => e instanceof M2EmbedError && e.code === 'bad_argument' && text.test(e.message) && e.message.length < 400);
    }
    assert.ok(await model.embed('x', { task: 'query' }), 'the model is of use after a refusal');
  });
}

test('a model without prompts takes query and document as they are', async (t) => {
  const model = await M2Embed.load({ ...files, config: read('config.json') });
  t.after(() => model.dispose());
  const want = await model.embed('x');
  assert.deepEqual(model.info.prompts, {});
  for (const task of ['query', 'document']) assert.deepEqual(await model.embed('x', { task }), want);
  await assert.rejects(model.embed('x', { task: 'title of' }), /want one of "query", "document"$/);
});

test('prompts that are none are refused', async () => {
  const config = JSON.parse(read('config.json'));
  for (const [prompts, text] of [[['x'], /not an object of texts/], [{ query: 7 }, /"query" is no text/], [{ query: 'x'.repeat(5000) }, /5000 bytes, want at most 4096/]]) {
    await assert.rejects(M2Embed.load({ ...files, config: Buffer.from(JSON.stringify({ ...config, prompts })) }), (e) => e.code === 'bad_config' && text.test(e.message));
  }
});
