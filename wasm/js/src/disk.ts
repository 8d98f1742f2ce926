/**
 * Fetched files, kept on disk in Node, Deno and Bun: one file for each address,
 * which begins with a line of JSON that tells what the server said of it. An entry
 * appears, in the place of an earlier one, only once it is whole.
 */

import type { Store, Writer } from './cache.js';
import { Sha256 } from './sha256.js';

/** What the first line tells. */
interface Head {
  url: string;
  size: number;
  headers: Record<string, string>;
}

/** Longer first lines are not ours. */
const HEAD = 16 << 10;

// Named by variables so that bundlers for pages leave them alone.
const [fsName, pathName, osName] = ['node:fs/promises', 'node:path', 'node:os'];

/** The process; bundlers for pages would put a stand-in where they see its name alone. */
const here = (): { pid: number; env: Record<string, string | undefined> } => (globalThis as unknown as { process: { pid: number; env: Record<string, string | undefined> } }).process;

/** The entry for an address, in a folder of this name below M2EMBED_CACHE, or else the user's cache folder. */
export async function openDisk(name: string, url: string): Promise<Store> {
  const [fs, path, os] = await Promise.all([
    import(/* @vite-ignore */ /* webpackIgnore: true */ fsName!) as Promise<typeof import('node:fs/promises')>,
    import(/* @vite-ignore */ /* webpackIgnore: true */ pathName!) as Promise<typeof import('node:path')>,
    import(/* @vite-ignore */ /* webpackIgnore: true */ osName!) as Promise<typeof import('node:os')>,
  ]);
  const sum = new Sha256();
  sum.update(new TextEncoder().encode(url));
  const { M2EMBED_CACHE: own, XDG_CACHE_HOME: xdg } = here().env;
  const folder = path.join(own || path.join(xdg || path.join(os.homedir(), '.cache'), 'm2embed'), encodeURIComponent(name).replace(/^\.+$/, '_'));
  const file = path.join(folder, sum.hex().slice(0, 32));

  /** What is kept, if it is whole. */
  async function kept(): Promise<{ head: Head; from: number } | undefined> {
    const handle = await fs.open(file);
    try {
      const start = new Uint8Array(HEAD);
      const { bytesRead } = await handle.read(start, 0, HEAD, 0);
      const line = start.subarray(0, bytesRead).indexOf(10);
      const head = JSON.parse(new TextDecoder().decode(start.subarray(0, Math.max(line, 0)))) as Head;
      if (head.url === url && (await handle.stat()).size === line + 1 + head.size) return { head, from: line + 1 };
    } catch {
      // Not ours, or damaged.
    } finally {
      await handle.close();
    }
    return undefined;
  }

  return {
    async match() {
      const found = await kept().catch(() => undefined);
      if (!found) return undefined;
      let at = found.from;
      let handle: import('node:fs/promises').FileHandle | undefined;
      const stream = new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            handle ??= await fs.open(file);
            const buffer = new Uint8Array(1 << 20);
            const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
            at += bytesRead;
            if (bytesRead > 0) return controller.enqueue(buffer.subarray(0, bytesRead));
            controller.close();
            await handle.close();
          },
          cancel: () => handle?.close(),
        },
        { highWaterMark: 0 }, // opened only once it is read
      );
      return new Response(stream, { headers: { ...found.head.headers, 'content-length': String(found.head.size) } });
    },
    delete: () => fs.rm(file, { force: true }).catch(() => {}),
    writer: (_, answer) => openWriter(fs, folder, file, url, answer),
  };
}

/** How wide the size is written, before it is known. */
const WIDTH = 16;

function openWriter(fs: typeof import('node:fs/promises'), folder: string, file: string, url: string, answer: Headers | undefined): Writer {
  const part = `${file}.${here().pid}-${Math.random().toString(36).slice(2)}`;
  const headers: Record<string, string> = {};
  for (const name of ['etag', 'last-modified']) {
    const value = answer?.get(name);
    if (value) headers[name] = value;
  }
  // JSON takes spaces around a number.
  const line = (size: number): Uint8Array => new TextEncoder().encode(`{"size":${String(size).padStart(WIDTH)},${JSON.stringify({ url, headers }).slice(1)}\n`);
  let size = 0;
  let ended = false;
  // What cannot be kept, for want of space or leave, must not hold up the download.
  let failed = line(0).length > HEAD;
  const quietly = async (work: () => Promise<unknown>): Promise<void> => {
    if (!failed) await work().catch(() => (failed = true));
  };
  let handle: import('node:fs/promises').FileHandle | undefined;
  const start = quietly(async () => {
    await fs.mkdir(folder, { recursive: true });
    handle = await fs.open(part, 'wx');
    await handle.writeFile(line(0));
  });
  const end = async (keep: boolean): Promise<void> => {
    await start;
    if (ended) return;
    ended = true;
    if (keep) {
      await quietly(async () => {
        const head = line(size);
        await handle!.write(head, 0, head.length, 0);
      });
    }
    await handle?.close().catch(() => (failed = true));
    if (keep) await quietly(() => fs.rename(part, file));
    if (handle && (failed || !keep)) await fs.rm(part, { force: true }).catch(() => {});
  };
  return {
    async write(chunk) {
      await start;
      if (ended) return;
      await quietly(async () => {
        let at = 0;
        while (at < chunk.length) at += (await handle!.write(chunk, at)).bytesWritten;
        size += chunk.length;
      });
    },
    close: () => end(true),
    abort: () => void end(false),
  };
}
