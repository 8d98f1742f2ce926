/**
 * Writes weights into the private file system, in place, so that a download
 * that is cut goes on where it stopped, even after the page was closed. This
 * is the only part of the page that fetches from elsewhere, and only what the
 * visitor asked for.
 */

type Task = { task: 'keep'; id: string; file: File } | { task: 'fetch'; id: string; urls: string[] } | { task: 'read'; url: string };

interface Part {
  url: string;
  tag: string | null;
  total: number;
}

const TRIES = 5;
const SMALL = 64e6;

class NetworkError extends Error {}

/** There is nothing at an address. */
class Missing extends NetworkError {}

self.onmessage = ({ data }: MessageEvent<Task>) => {
  run(data).then(
    (bytes) => self.postMessage({ done: true, bytes }),
    (error: unknown) => {
      const { name, message } = error as Error;
      self.postMessage({ error: error instanceof NetworkError ? { name: 'Error', message, code: 'network' } : { name, message } });
    },
  );
};

async function run(task: Task): Promise<Uint8Array | undefined> {
  if (task.task === 'read') return read(task.url);
  const top = await navigator.storage.getDirectory();
  const models = await top.getDirectoryHandle('models', { create: true });
  const folder = await models.getDirectoryHandle(task.id, { create: true });
  await (task.task === 'keep' ? keep(folder, task.file) : downloadFirst(folder, task.urls));
  return undefined;
}

async function read(url: string): Promise<Uint8Array> {
  const response = await get(url, {});
  if (!response.ok) throw new NetworkError(`${url}: the server answered ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length > SMALL) throw new NetworkError(`${url}: ${bytes.length} bytes, too many for this kind of file`);
  return bytes;
}

async function open(folder: FileSystemDirectoryHandle, name: string): Promise<FileSystemSyncAccessHandle> {
  return (await folder.getFileHandle(name, { create: true })).createSyncAccessHandle();
}

async function keep(folder: FileSystemDirectoryHandle, file: File): Promise<void> {
  const to = await open(folder, 'weights');
  try {
    to.truncate(0);
    let at = 0;
    for await (const chunk of file.stream() as unknown as AsyncIterable<Uint8Array>) {
      at += write(to, chunk, at);
      self.postMessage({ progress: { loaded: at, total: file.size } });
    }
    to.flush();
  } catch (error) {
    to.truncate(0);
    throw error;
  } finally {
    to.close();
  }
}

function write(to: FileSystemSyncAccessHandle, chunk: Uint8Array, at: number): number {
  const written = to.write(chunk as Uint8Array<ArrayBuffer>, { at });
  if (written < chunk.length) throw new DOMException(`only ${at + written} bytes could be kept`, 'QuotaExceededError');
  return written;
}

/** Fetches the first address that exists. */
async function downloadFirst(folder: FileSystemDirectoryHandle, urls: readonly string[]): Promise<void> {
  for (const [i, url] of urls.entries()) {
    try {
      return await download(folder, url);
    } catch (error) {
      if (!(error instanceof Missing) || i + 1 === urls.length) throw error;
    }
  }
}

async function download(folder: FileSystemDirectoryHandle, url: string): Promise<void> {
  const to = await open(folder, 'weights');
  try {
    let part = await readPart(folder, url);
    if (!part) to.truncate(0);
    for (let tries = 0; ; tries++) {
      const had = to.getSize();
      if (part && part.total > 0 && had === part.total) break;
      try {
        const response = await get(url, had > 0 && part ? { Range: `bytes=${had}-`, ...(part.tag !== null && { 'If-Range': part.tag }) } : {});
        if (response.status >= 500) throw new Error(`the server answered ${response.status}`);
        if (response.status === 404) throw new Missing(`${url}: the server has no such file`);
        if (!response.ok) throw new NetworkError(`${url}: the server answered ${response.status}`);
        let at = had;
        const begins = Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? -1);
        if (response.status !== 206 || begins !== had || !part) {
          at = 0;
          to.truncate(0);
          const encoded = response.headers.get('content-encoding') !== null;
          part = { url, tag: response.headers.get('etag') ?? response.headers.get('last-modified'), total: encoded ? 0 : Number(response.headers.get('content-length') ?? 0) };
          await writePart(folder, part);
        }
        for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
          at += write(to, chunk, at);
          tries = 0;
          self.postMessage({ progress: { loaded: at, total: part.total } });
        }
        if (part.total === 0 || at === part.total) break;
        throw new Error('the connection was cut');
      } catch (error) {
        if (error instanceof NetworkError || (error as Error).name === 'QuotaExceededError') throw error;
        if (tries + 1 >= TRIES) throw new NetworkError(`${url}: ${(error as Error).message}, ${to.getSize()} bytes are here`);
        await new Promise((resolve) => setTimeout(resolve, 150 * 2 ** tries));
      }
    }
    to.flush();
  } finally {
    to.close();
  }
}

async function get(url: string, headers: Record<string, string>): Promise<Response> {
  return fetch(url, { headers, credentials: 'omit', referrerPolicy: 'no-referrer', cache: 'no-store' });
}

async function readPart(folder: FileSystemDirectoryHandle, url: string): Promise<Part | undefined> {
  try {
    const part = JSON.parse(await (await (await folder.getFileHandle('part.json')).getFile()).text()) as Part;
    return part.url === url ? part : undefined;
  } catch {
    return undefined;
  }
}

async function writePart(folder: FileSystemDirectoryHandle, part: Part): Promise<void> {
  const to = await open(folder, 'part.json');
  try {
    to.truncate(0);
    to.write(new TextEncoder().encode(JSON.stringify(part)));
  } finally {
    to.close();
  }
}
