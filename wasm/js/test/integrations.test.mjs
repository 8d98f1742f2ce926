// LangChain.js and the Vercel AI SDK themselves, over a model.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Embeddings } from '@langchain/core/embeddings';
import { cosineSimilarity, embed, embedMany } from 'ai';
import { cosine, M2Embed } from 'm2embed';
import { embeddingModel } from 'm2embed/ai-sdk';
import { M2EmbedEmbeddings } from 'm2embed/langchain';

const model = await M2Embed.load(fileURLToPath(new URL('../../../testdata/tiny', import.meta.url)));
const texts = ['one', 'two words', 'and three more'];
const want = (await model.embed(texts)).map((v) => Array.from(v));
after(() => model.dispose());

test('LangChain.js', async () => {
  const embeddings = new M2EmbedEmbeddings({ model, maxConcurrency: 2 });
  assert.ok(embeddings instanceof Embeddings);
  assert.deepEqual(await embeddings.embedDocuments(texts), want);
  assert.deepEqual(await embeddings.embedQuery('one'), want[0]);
  assert.deepEqual(await embeddings.embedDocuments([]), []);
  const unit = new M2EmbedEmbeddings({ model, options: { normalize: true } });
  assert.ok(Math.abs(Math.hypot(...(await unit.embedQuery('one'))) - 1) < 1e-6);
  // What is refused once would be refused again.
  let calls = 0;
  const counted = { embed: (...given) => (calls++, model.embed(...given)) };
  const strict = new M2EmbedEmbeddings({ model: counted, options: { truncation: 'refuse', maxLength: 3 } });
  await assert.rejects(strict.embedQuery('far too many words'), (e) => e.code === 'too_long');
  assert.equal(calls, 1);
});

test('prompts of queries', async (t) => {
  const read = (name) => readFileSync(new URL(`../../../testdata/tiny/${name}`, import.meta.url));
  const model = await M2Embed.load({ config: read('config.prompts.json'), tokenizer: read('tokenizer.json'), weights: read('model.safetensors') });
  t.after(() => model.dispose());
  const [asked, plain] = (await model.embed(['ask for: x', 'x'])).map((v) => Array.from(v));
  const embeddings = new M2EmbedEmbeddings({ model });
  assert.deepEqual(await embeddings.embedQuery('x'), asked);
  assert.deepEqual(await embeddings.embedDocuments(['x']), [plain]);
  assert.deepEqual((await embed({ model: embeddingModel(model), value: 'x' })).embedding, plain);
  assert.deepEqual((await embed({ model: embeddingModel(model), value: 'x', providerOptions: { m2embed: { task: 'query' } } })).embedding, asked);
  assert.deepEqual((await embedMany({ model: embeddingModel(model, { task: 'query' }), values: ['x'] })).embeddings, [asked]);
});

test('the Vercel AI SDK', async () => {
  const found = await embedMany({ model: embeddingModel(model), values: texts });
  assert.deepEqual(found.embeddings, want);
  assert.ok(found.usage.tokens >= 3 * texts.length);
  assert.deepEqual(found.warnings, []);
  const one = await embed({ model: embeddingModel(model, { normalize: true }), value: 'one' });
  assert.ok(Math.abs(Math.hypot(...one.embedding) - 1) < 1e-6);
  assert.ok(Math.abs(cosineSimilarity(want[0], want[1]) - cosine(Float32Array.from(want[0]), Float32Array.from(want[1]))) < 1e-6);
  await assert.rejects(embed({ model: embeddingModel(model), value: 'x', abortSignal: AbortSignal.abort(new Error('stop')), maxRetries: 0 }), /stop/);
});
