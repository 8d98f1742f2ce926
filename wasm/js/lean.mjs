// Takes out of dist what nobody reads there: comments that have lines of their own
// in scripts, since the declarations beside them keep them for editors, and
// declarations that no entry leads to. Comments within a line are for bundlers, and stay.
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const reached = new Set();

/** Notes a declaration and those that it imports. */
function reach(name) {
  if (reached.has(name)) return;
  reached.add(name);
  const text = readFileSync(here + name, 'utf8');
  for (const [, from] of text.matchAll(/(?:from |import\()['"](\.[^'"]+)\.js['"]/g)) reach(join(dirname(name), `${from}.d.ts`));
}

const { exports } = JSON.parse(readFileSync(`${here}package.json`, 'utf8'));
for (const { types } of Object.values(exports)) if (types && !types.includes('.wasm.')) reach(join(types));

for (const file of readdirSync(`${here}dist`, { recursive: true })) {
  const name = join('dist', file);
  if (name.endsWith('.js')) writeFileSync(here + name, readFileSync(here + name, 'utf8').replace(/^[ \t]*(\/\*\*[\s\S]*?\*\/|\/\/(?![#@/]).*)\n/gm, ''));
  else if (/\.d\.ts$/.test(name) && !reached.has(name)) rmSync(here + name);
}
