// The users' code that every bundler is given.
import { readFileSync } from 'node:fs';

/** Embeds in this thread and in a worker, with the package m2embed-small. */
export const page = (entry = 'm2embed', worker = `M2EmbedWorker.load(small)`, imports = `import { M2EmbedWorker } from 'm2embed/worker';`) => `
import { M2Embed } from '${entry}';
import small from 'm2embed-small';
${imports}
globalThis.result = (async () => {
  const found = {};
  const attempt = async (name, load) => {
    try {
      const model = await load();
      found[name] = Array.from(await model.embed('A text'));
      await model.dispose();
    } catch (error) {
      found[name] = \`\${error.code} \${error.message}\`;
    }
  };
  await attempt('page', () => M2Embed.load(small));
  await attempt('worker', () => ${worker});
  return found;
})();
`;

export const html = (script) => `<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>m2embed</title>${script}</html>\n`;

/** Prints the vector as JSON. */
export const program = (options = '') => `
import { M2Embed } from 'm2embed';
import small from 'm2embed-small';
const model = await M2Embed.load(small${options});
console.log(JSON.stringify({ program: Array.from(await model.embed('A text')) }));
await model.dispose();
`;

export const route = `
import { M2Embed } from 'm2embed';
import small from 'm2embed-small';
let model;
export async function GET() {
  try {
    model ??= M2Embed.load(small);
    return Response.json({ route: Array.from(await (await model).embed('A text')) });
  } catch (error) {
    model = undefined;
    return Response.json({ route: \`\${error.code} \${error.message}\` });
  }
}
export const dynamic = 'force-dynamic';
`;

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const block = (kind) => new RegExp(`^\`\`\`${kind}\\n([\\s\\S]*?)^\`\`\``, 'm').exec(readme)[1];

/** What the README gives for Cloudflare. */
export const cloudflare = block('js worker');

export const wrangler = `name = "m2embed-test"
main = "main.js"
compatibility_date = "2026-01-01"

${block('toml')}`;
