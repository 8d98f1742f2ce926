/** What runs inside a worker: one model, driven by messages (see protocol.ts). */

import { compile, load } from './load.js';
import type { Call, Embedded, Failure, Loaded, Reply, Sent, SentFiles, Standing } from './protocol.js';
import { M2EmbedError, type Embedder, type LoadOptions, type Source } from './types.js';

interface Port {
  post(reply: Reply, transfer?: Transferable[]): void;
  listen(f: (call: Call) => void): void;
}

const aborts = new Map<number, AbortController>();
let model: Embedder | undefined;

const port = await openPort();
port.listen((call) => {
  if (call.call === 'abort') {
    aborts.get(call.id)?.abort(new DOMException('aborted', 'AbortError'));
    return;
  }
  const abort = new AbortController();
  aborts.set(call.id, abort);
  handle(call, abort.signal)
    .catch((error: unknown) => port.post({ id: call.id, failure: failure(error), ...(model && { standing: standing(model) }) }))
    .finally(() => aborts.delete(call.id));
});

async function handle(call: Exclude<Call, { call: 'abort' }>, signal: AbortSignal): Promise<void> {
  const { id } = call;
  if (call.call === 'load') {
    const { config, tokenizer, weights } = call.source;
    const { module, ...rest } = call.options;
    const options: LoadOptions = { ...rest, signal, onProgress: (progress) => port.post({ id, progress }) };
    let files: SentFiles | undefined;
    const share = call.share ? (found: SentFiles): void => void (files = found) : undefined;
    const compiled = module instanceof WebAssembly.Module ? module : compile(module === undefined ? new URL('./m2embed.wasm', import.meta.url) : received(module), options);
    model = await load({ config: received(config), tokenizer: received(tokenizer), weights: received(weights) }, compiled, options, share);
    const result: Loaded = standing(model);
    try {
      port.post({ id, result: { ...result, ...(files && { files }) } });
    } catch {
      port.post({ id, result }); // not every runtime can send a Blob
    }
    return;
  }
  if (!model) throw new M2EmbedError('not_ready', 'the worker has no model');
  if (call.call === 'tokenize') {
    port.post({ id, result: await model.tokenize(call.text) });
    return;
  }
  const embeddings = await model.embedDetailed(call.texts, {
    ...call.options,
    signal,
    ...(call.progress && { onProgress: (progress) => port.post({ id, progress }) }),
  });
  const result: Embedded = { embeddings, ...standing(model) };
  port.post(
    { id, result },
    embeddings.map((e) => e.vector.buffer as ArrayBuffer),
  );
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
  if (error instanceof M2EmbedError) return { code: error.code, name: error.name, message: error.message };
  return { name: (error as Error)?.name ?? 'Error', message: (error as Error)?.message ?? String(error) };
}

async function openPort(): Promise<Port> {
  if (typeof (globalThis as { postMessage?: unknown }).postMessage === 'function') {
    const scope = globalThis as unknown as { postMessage(message: unknown, transfer: Transferable[]): void; onmessage: unknown };
    return {
      post: (reply, transfer = []) => scope.postMessage(reply, transfer),
      listen: (f) => {
        scope.onmessage = (event: MessageEvent<Call>) => f(event.data);
        // Calls may have arrived before the listener: they are asked for again.
        scope.postMessage({ id: 0, progress: { done: 0, total: 0 } }, []);
      },
    };
  }
  const name = 'node:worker_threads';
  const { parentPort } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as typeof import('node:worker_threads');
  return {
    post: (reply, transfer = []) => parentPort!.postMessage(reply, transfer as never),
    listen: (f) => {
      parentPort!.on('message', f);
      parentPort!.postMessage({ id: 0, progress: { done: 0, total: 0 } });
    },
  };
}
