/** Streams of bytes: read chunk by chunk, joined, or without their start. */

/** Something being read. It has to be closed, however far its chunks were read. */
export interface Reading {
  chunks: AsyncIterable<Uint8Array>;
  close(): void | Promise<void>;
}

export function read(stream: ReadableStream<Uint8Array>, signal: AbortSignal | undefined): Reading {
  const reader = stream.getReader();
  const abort = (): void => void reader.cancel(signal?.reason).catch(() => {});
  signal?.addEventListener('abort', abort, { once: true });
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) return;
      yield value;
    }
  }
  const close = (): void => {
    signal?.removeEventListener('abort', abort);
    void reader.cancel().catch(() => {});
  };
  return { chunks: chunks(), close };
}

/** Reads on until so many bytes are here, before anybody asks for them. */
export function ahead<R extends Reading>(reading: R, most: number): R {
  const source = reading.chunks[Symbol.asyncIterator]();
  const here: Uint8Array[] = [];
  let failure: { error: unknown } | undefined;
  let done = false;
  let asked = false;
  const reader = (async () => {
    for (let bytes = 0; !asked && bytes < most; ) {
      const next = await source.next();
      if (next.done) return void (done = true);
      here.push(next.value);
      bytes += next.value.length;
    }
  })().catch((error: unknown) => (failure = { error }));
  async function* chunks(): AsyncGenerator<Uint8Array> {
    asked = true;
    await reader;
    for (let chunk = here.shift(); chunk; chunk = here.shift()) yield chunk;
    if (failure) throw failure.error;
    while (!done) {
      const next = await source.next();
      if (next.done) return;
      yield next.value;
    }
  }
  const close = (): void | Promise<void> => {
    asked = true;
    return reading.close();
  };
  return { ...reading, chunks: chunks(), close };
}

export async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

export function join(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A stream without its first bytes. */
export function skip(stream: ReadableStream<Uint8Array>, count: number): ReadableStream<Uint8Array> {
  let left = count;
  return stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        if (left < chunk.length) controller.enqueue(chunk.subarray(left));
        left = Math.max(0, left - chunk.length);
      },
    }),
  );
}

/** Whether bytes are a page of HTML, as servers answer for files that they do not have. */
export function isPage(bytes: Uint8Array): boolean {
  return /^\s*<(!doctype|html|head|!--)/i.test(new TextDecoder().decode(bytes.subarray(0, 256)));
}
