/** Compiles the module, and says what to do where that fails. */

import { checkStatus, download, request, sizeOf, type Address, type Opened } from './download.js';
import { address, checkSource, describe, open, readAll } from './source.js';
import { isPage } from './stream.js';
import { M2EmbedError, type LoadOptions, type Source } from './types.js';

/** What a page's server answers in place of a module that its bundler left behind. */
const NOT_EMITTED = 'the bundler did not emit m2embed.wasm: copy node_modules/m2embed/dist/m2embed.wasm to where pages are served from and pass its address as { module }, see "Bundlers" in the README';

/** Compiles the module unless it is compiled already; while it arrives where the server gives it its type. */
export async function compile(source: Source | WebAssembly.Module, o: LoadOptions): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  checkSource('module', source);
  const what = describe(source);
  const report = (loaded: number, total: number): void => o.onProgress?.({ stage: 'module', loaded, total, cached: false });
  let opened: Opened | undefined;
  if (address(source) !== undefined) {
    const answer = await request(source as Address, what, {}, o);
    const type = answer.headers.get('content-type')?.toLowerCase() ?? '';
    if (answer.status === 404 || answer.status === 410) checkStatus(answer, what, NOT_EMITTED);
    checkStatus(answer, what);
    if (typeof WebAssembly.compileStreaming === 'function' && type === 'application/wasm') {
      report(0, sizeOf(answer).hint);
      try {
        // The answer itself, not a stream that counts its bytes: browsers keep what they compiled with it.
        return await WebAssembly.compileStreaming(answer);
      } catch (error) {
        if (error instanceof WebAssembly.CompileError) throw refused(what, error);
        o.signal?.throwIfAborted(); // else it was cut: the download below takes up again
      }
    } else {
      opened = await download(source as Address, what, o, answer);
    }
  }
  const bytes = await readAll(opened ?? (await open(source, o)), report);
  if (isPage(bytes)) throw new M2EmbedError('network', `compile ${what}: the answer is a page of HTML and no module: ${NOT_EMITTED}`);
  try {
    return await WebAssembly.compile(bytes as BufferSource);
  } catch (cause) {
    throw refused(what, cause);
  }
}

/** Why a runtime does not compile, with the next step. */
function refused(what: string, cause: unknown): M2EmbedError {
  const why = (cause as Error)?.message ?? String(cause);
  const step = /content.security.policy|unsafe-eval|\bcsp\b/i.test(why)
    ? " (the page's Content-Security-Policy has to allow script-src 'wasm-unsafe-eval')"
    : /disallowed by embedder/i.test(why)
      ? ' (this runtime takes a compiled module only: import it from "m2embed/m2embed.wasm" and load with "m2embed/edge")'
      : '';
  return new M2EmbedError('bad_argument', `compile ${what}: ${why}${step}`, { cause });
}
