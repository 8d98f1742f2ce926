// workerd: answers with the found bits.
import module from 'm2embed/m2embed.wasm';
import { M2Embed } from 'm2embed/edge';
import { run } from './client.mjs';

export default {
  async fetch(request) {
    const base = new URL(request.url).searchParams.get('base');
    try {
      return Response.json(await run((files) => M2Embed.load(module, files), base));
    } catch (error) {
      return new Response(`${error.name}: ${error.message}`, { status: 500 });
    }
  },
};
