// A Cloudflare Worker under workerd, through miniflare.
import { fileURLToPath } from 'node:url';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Log, LogLevel, Miniflare } from 'miniflare';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Starts a worker script; the package's modules and the wasm lie beside it as `m2embed/…`. */
export async function workerd(script, o = {}) {
  const files = ['abi', 'cache', 'edge', 'embedder', 'header', 'load', 'sha256', 'source', 'types', 'wasi'];
  const missing = files.filter((name) => !readdirSync(dist).includes(`${name}.js`));
  if (missing.length > 0) throw new Error(`not built: ${missing}`);
  const worker = new Miniflare({
    log: new Log(LogLevel.NONE),
    compatibilityDate: '2026-01-01',
    modulesRoot: root,
    modules: [
      { type: 'ESModule', path: join(root, 'wasm/js/examples/worker', 'main.js'), contents: script },
      ...files.map((name) => ({ type: 'ESModule', path: join(dist, `${name}.js`) })),
      { type: 'CompiledWasm', path: join(dist, 'm2embed.wasm') },
      ...(o.modules ?? []).map((path) => ({ type: 'ESModule', path })),
      ...(o.data ?? []).map((path) => ({ type: 'Data', path })),
    ],
    ...(o.options ?? {}),
  });
  await worker.ready;
  return worker;
}
