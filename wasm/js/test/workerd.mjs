// A Cloudflare Worker under workerd, through miniflare.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Log, LogLevel, Miniflare } from 'miniflare';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const root = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * Starts a worker script. The package stands beside it as a bundler would put
 * it: `m2embed/edge` and `m2embed/m2embed.wasm`. More modules are given as
 * { type, path beside the script, contents }.
 */
export async function workerd(script, contents, modules = [], options = {}) {
  const beside = (name) => join(dirname(script), name);
  const library = readdirSync(dist).filter((name) => name.endsWith('.js') && !/^(worker|index|pipeline|node|bun|inline|langchain|ai-sdk|workerd)/.test(name));
  const worker = new Miniflare({
    log: new Log(LogLevel.NONE),
    compatibilityDate: '2026-01-01',
    modulesRoot: root,
    modules: [
      { type: 'ESModule', path: script, contents },
      ...library.map((name) => ({ type: 'ESModule', path: beside(`m2embed/${name}`), contents: readFileSync(join(dist, name), 'utf8') })),
      { type: 'ESModule', path: beside('m2embed/edge'), contents: "export * from './edge.js';" },
      { type: 'CompiledWasm', path: beside('m2embed/m2embed.wasm'), contents: readFileSync(join(dist, 'm2embed.wasm')) },
      ...modules.map((m) => ({ ...m, path: beside(m.path) })),
    ],
    ...options,
  });
  await worker.ready;
  return worker;
}
