/** What runs inside a worker: one model, driven by messages (see protocol.ts). Each kind of worker has an entry of its own. */

import { compile } from './compile.js';
import type { ModelEmbedder } from './embedder.js';
import { Gpu } from './gpu.js';
import { load } from './load.js';
import type { Call, Embedded, Failure, Loaded, Reply, Sent, SentFiles, Standing } from './protocol.js';
import { M2EmbedError, type Embedder, type LoadOptions, type Source } from './types.js';

/** The worker's end of the line. */
export interface Port {
  post(reply: Reply, transfer: Transferable[]): void;
  listen(f: (call: Call) => void): void;
}

/** Serves one model over a port, for as long as the worker lives. */
export function serve(port: Port): void {
  const aborts = new Map<number, AbortController>();
  let model: ModelEmbedder | undefined;
  const post = (reply: Reply, transfer: Transferable[] = []): void => port.post(reply, transfer);

  async function handle(call: Exclude<Call, { call: 'abort' }>, signal: AbortSignal): Promise<void> {
    const { id } = call;
    if (call.call === 'load') {
      const { config, tokenizer, weights } = call.source;
      const { module, ...rest } = call.options;
      const options: LoadOptions = { ...rest, signal, onProgress: (progress) => post({ id, progress }) };
      let files: SentFiles | undefined;
      const share = call.share ? (found: SentFiles): void => void (files = found) : undefined;
      const compiled = module instanceof WebAssembly.Module ? module : compile(received(module), options);
      // The GPU's half is part of the worker's script: a worker of one file needs no other.
      model = await load({ config: received(config), tokenizer: received(tokenizer), weights: received(weights) }, compiled, options, async () => Gpu, share);
      const result: Loaded = standing(model);
      try {
        post({ id, result: { ...result, ...(files && { files }) } });
      } catch {
        post({ id, result }); // not every runtime can send a Blob
      }
      return;
    }
    if (!model) throw new M2EmbedError('not_ready', 'the worker has no model');
    if (call.call === 'keep') {
      await model.kept();
      post({ id, result: standing(model) });
      return;
    }
    if (call.call === 'tokenize') {
      post({ id, result: await model.tokenize(call.text, { signal }) });
      return;
    }
    if (call.call === 'passages') {
      post({ id, result: await model.passages(call.text, { ...call.options, signal }) });
      return;
    }
    if (call.call === 'decode') {
      post({ id, result: await model.decode(call.ids, call.options) });
      return;
    }
    const embeddings = await model.embedDetailed(call.texts, {
      ...call.options,
      signal,
      ...(call.progress && { onProgress: (progress) => post({ id, progress }) }),
    });
    const result: Embedded = { embeddings, ...standing(model) };
    post(
      { id, result },
      embeddings.flatMap(({ vector, spans = [] }) => [vector, ...spans.map((s) => s.vector)].flatMap((v) => (v ? [v.buffer as ArrayBuffer] : []))),
    );
  }

  port.listen((call) => {
    if (call.call === 'abort') {
      aborts.get(call.id)?.abort(new DOMException('aborted', 'AbortError'));
      return;
    }
    const abort = new AbortController();
    aborts.set(call.id, abort);
    handle(call, abort.signal)
      .catch((error: unknown) => post({ id: call.id, failure: failure(error), ...(model && { standing: standing(model) }) }))
      .finally(() => aborts.delete(call.id));
  });
  // Calls may have arrived before the listener: they are asked for again.
  post({ id: 0, progress: { done: 0, total: 0 } });
}

/** A source as it was before it was sent. */
function received(source: Sent): Source {
  if (typeof source !== 'object' || !('headers' in source)) return source;
  const { url, ...init } = source;
  return new Request(url, init);
}

function standing({ info, memory, gpuMemory }: Embedder): Standing {
  return { info, memory, gpuMemory };
}

function failure(error: unknown): Failure {
  if (error instanceof M2EmbedError) return { code: error.code, name: error.name, message: error.message, input: error.input };
  return { name: (error as Error)?.name ?? 'Error', message: (error as Error)?.message ?? String(error) };
}
