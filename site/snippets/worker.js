// A worker of your own. Post it { id, texts }; it posts { id, vectors } back.
import { M2Embed } from 'm2embed';

const model = M2Embed.load('model/');

onmessage = async ({ data: { id, texts } }) => {
  try {
    const vectors = await (await model).embed(texts, { normalize: true });
    postMessage({ id, vectors }, vectors.map((vector) => vector.buffer));
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
