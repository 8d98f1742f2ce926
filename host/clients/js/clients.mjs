// JavaScript clients of other servers, against m2embed serve: node clients.mjs URL.
// The server runs with --alias text-embedding-3-small.
import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { OpenAIEmbeddings } from '@langchain/openai';
import { embedMany } from 'ai';
import OpenAI from 'openai';

const url = `${process.argv[2]}/v1`;
const model = 'text-embedding-3-small';
const texts = ['one', 'two words', 'and three more, naïve café 東京'];
const plain = await fetch(`${url}/embeddings`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ input: texts }) });
const want = (await plain.json()).data.map((d) => Float32Array.from(d.embedding));

/** Vectors are equal to the bit as float32. */
const same = (got, wanted = want) => assert.deepEqual(got.map((v) => Float32Array.from(v)), wanted);

const tests = {
  async 'openai.js'() {
    const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 });
    same((await client.embeddings.create({ model, input: texts })).data.map((d) => d.embedding));
    same((await client.embeddings.create({ model, input: texts, encoding_format: 'float' })).data.map((d) => d.embedding));
    assert.equal((await client.models.retrieve(model)).id, model);
    await assert.rejects(client.embeddings.create({ model: 'other', input: 'x' }), (e) => e instanceof OpenAI.NotFoundError && e.code === 'model_not_found');
    await assert.rejects(client.embeddings.create({ model, input: 'x', dimensions: 7 }), (e) => e instanceof OpenAI.BadRequestError && e.param === 'dimensions');
  },
  async 'LangChain.js'() {
    const embeddings = new OpenAIEmbeddings({ model, apiKey: 'none', configuration: { baseURL: url } });
    same(await embeddings.embedDocuments(texts));
    same([await embeddings.embedQuery('one')], want.slice(0, 1));
  },
  async 'Vercel AI SDK'() {
    const provider = createOpenAICompatible({ name: 'm2embed', baseURL: url });
    const found = await embedMany({ model: provider.textEmbeddingModel(model), values: texts });
    same(found.embeddings);
    assert.ok(found.usage.tokens > 0);
  },
};

for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log('ok  ', name);
  } catch (e) {
    process.exitCode = 1;
    console.log('FAIL', name, e);
  }
}
