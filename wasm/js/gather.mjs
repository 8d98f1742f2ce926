// Puts beside the package's sources what lies elsewhere in the repository: the
// executor of GPU plans, and the WGSL kernels as strings without their comments,
// in src/webgpu/; and beside the package LICENSE, and of NOTICE what is in it, for
// its tarball.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const from = fileURLToPath(new URL('../../webgpu/', import.meta.url));
const to = fileURLToPath(new URL('src/webgpu/', import.meta.url));
mkdirSync(to, { recursive: true });
copyFileSync(`${from}executor.ts`, `${to}executor.ts`);
const names = readdirSync(`${from}kernels`).filter((name) => name.endsWith('.wgsl')).sort();
const read = (name) => readFileSync(`${from}kernels/${name}`, 'utf8').replace(/^\/\/ include (\S+)$/gm, (_, part) => read(part));
const kernels = names.filter((name) => name !== 'product.wgsl').map((name) => {
  const lines = read(name).split('\n');
  const text = lines.map((line) => line.replace(/\/\/.*$/, '').trim()).filter(Boolean).join('\n');
  return `  ${name.replace(/\.wgsl$/, '')}: ${JSON.stringify(text)},`;
});
writeFileSync(`${to}kernels.ts`, `/** WGSL text of every GPU operation, by its name in a plan: webgpu/kernels without comments. */\nexport const kernels: Record<string, string> = {\n${kernels.join('\n')}\n};\n`);
copyFileSync(new URL('../../LICENSE', import.meta.url), new URL('LICENSE', import.meta.url));
const notice = readFileSync(new URL('../../NOTICE', import.meta.url), 'utf8');
const [, libraries] = /\n(Libraries in the command and the module\n[\s\S]*?)(?:\n\n\S|$)/.exec(notice) ?? [];
if (!libraries) throw new Error('NOTICE has no section about the libraries in the module');
writeFileSync(new URL('NOTICE', import.meta.url), `${notice.slice(0, notice.indexOf('\n\n\n'))}\n\n\n${libraries.trimEnd()}\n`);
