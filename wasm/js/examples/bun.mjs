// bun examples/bun.mjs MODEL_FOLDER "a text" "another text"
import { pipeline } from 'm2embed/pipeline';

const [folder, ...texts] = process.argv.slice(2);
const extract = await pipeline('feature-extraction', folder);
const out = await extract(texts, { normalize: true });
console.log(out.dims.join(' x '));
console.log(out.tolist()[0].slice(0, 4));
