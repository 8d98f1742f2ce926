/**
 * Models that the visitor brought, in the browser's private file system: one
 * folder each with meta.json, config.json, tokenizer.json and weights.
 */

import type { ModelChoice } from '../engine.js';

/** What meta.json says. It is written last, so that a folder with it is complete. */
export interface StoredModel {
  id: string;
  name: string;
  source: 'file' | 'url';
  url?: string;
  weights: string;
  bytes: number;
  added: number;
}

export interface StoreProgress {
  loaded: number;
  total: number;
}

async function root(): Promise<FileSystemDirectoryHandle> {
  const top = await navigator.storage.getDirectory();
  return top.getDirectoryHandle('models', { create: true });
}

/** Whether this browser lets pages keep files. */
export const canStore = typeof navigator.storage?.getDirectory === 'function';

async function readJson<T>(folder: FileSystemDirectoryHandle, name: string): Promise<T | undefined> {
  try {
    const file = await (await folder.getFileHandle(name)).getFile();
    return JSON.parse(await file.text()) as T;
  } catch {
    return undefined;
  }
}

async function writeFile(folder: FileSystemDirectoryHandle, name: string, content: string | Uint8Array): Promise<void> {
  const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
  await stream.write(content as FileSystemWriteChunkType);
  await stream.close();
}

export async function listModels(): Promise<StoredModel[]> {
  if (!canStore) return [];
  const found: StoredModel[] = [];
  for await (const handle of (await root()).values()) {
    if (handle.kind !== 'directory') continue;
    const meta = await readJson<StoredModel>(handle as FileSystemDirectoryHandle, 'meta.json');
    if (meta && typeof meta.name === 'string') found.push({ ...meta, id: handle.name });
  }
  return found.sort((a, b) => a.added - b.added);
}

/** Folders of downloads that were broken off. */
export async function listParts(): Promise<{ id: string; url: string; bytes: number }[]> {
  if (!canStore) return [];
  const found = [];
  for await (const handle of (await root()).values()) {
    if (handle.kind !== 'directory') continue;
    const folder = handle as FileSystemDirectoryHandle;
    const part = await readJson<{ url: string }>(folder, 'part.json');
    if (!part || (await readJson(folder, 'meta.json'))) continue;
    const bytes = await folder.getFileHandle('weights').then(async (file) => (await file.getFile()).size, () => 0);
    found.push({ id: folder.name, url: part.url, bytes });
  }
  return found;
}

export async function deleteModel(id: string): Promise<void> {
  await (await root()).removeEntry(id, { recursive: true });
}

/** Writes the small files of a model whose weights are in place. */
export async function finishModel(meta: StoredModel, config: string, tokenizer: Uint8Array): Promise<void> {
  const folder = await (await root()).getDirectoryHandle(meta.id, { create: true });
  await writeFile(folder, 'config.json', config);
  await writeFile(folder, 'tokenizer.json', tokenizer);
  await writeFile(folder, 'meta.json', JSON.stringify(meta));
  await folder.removeEntry('part.json').catch(() => {});
}

/** The weights of a model as a file; reading it takes no memory. */
export async function weightsOf(id: string): Promise<File> {
  const folder = await (await root()).getDirectoryHandle(id);
  return (await folder.getFileHandle('weights')).getFile();
}

export function choiceOf(meta: StoredModel): ModelChoice {
  return {
    id: meta.id,
    name: meta.name,
    bytes: meta.bytes,
    files: async () => {
      const folder = await (await root()).getDirectoryHandle(meta.id);
      const file = async (name: string): Promise<File> => (await folder.getFileHandle(name)).getFile();
      return { config: await file('config.json'), tokenizer: await file('tokenizer.json'), weights: await file('weights') };
    },
  };
}

/** A folder name that depends on the address alone, so that a download finds what it left. */
export async function idOf(text: string): Promise<string> {
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return [...sum.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

type Task = { task: 'keep'; id: string; file: File } | { task: 'fetch'; id: string; urls: string[] } | { task: 'read'; url: string };

/**
 * Has the storage worker copy a file or fetch an address into a model's
 * folder, or read a small file. What a broken download left is gone on with.
 */
export function store(task: Task, signal: AbortSignal, onProgress?: (progress: StoreProgress) => void): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./storage-worker.ts', import.meta.url), { type: 'module', name: 'storage' });
    const end = (): void => {
      worker.terminate();
      signal.removeEventListener('abort', stop);
    };
    const stop = (): void => {
      end();
      reject(signal.reason);
    };
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop);
    worker.onerror = (event) => {
      event.preventDefault();
      end();
      reject(new Error(`The storage worker stopped: ${event.message}`));
    };
    worker.onmessage = ({ data }: MessageEvent<{ progress?: StoreProgress; done?: true; bytes?: Uint8Array; error?: { name: string; message: string; code?: string } }>) => {
      if (data.progress) return onProgress?.(data.progress);
      end();
      if (data.error) {
        const { name, message, code } = data.error;
        reject(code === undefined ? new DOMException(message, name) : Object.assign(new Error(message), { code }));
      } else resolve(data.bytes);
    };
    worker.postMessage(task);
  });
}
