/**
 * The visitor's documents with their passages and vectors: in memory for
 * search, in IndexedDB across visits.
 */

import type { Passage } from './cut.js';

export interface Document {
  id: number;
  name: string;
  text: string;
  mode: 'passages' | 'whole';
  /** The id of the model that made the vectors. */
  model: string;
  /** D */
  dimension: number;
  passages: Passage[];
  /** How many passages have a vector. */
  done: number;
  added: number;
}

/** One passage of the library. */
export interface Entry {
  document: Document;
  index: number;
  passage: Passage;
  vector: Float32Array;
}

interface Stored extends Omit<Document, 'passages' | 'done'> {
  /** start, end, tokens of each passage. */
  spans: Int32Array;
}

class Library extends EventTarget {
  documents: Document[] = [];
  /** Why documents are not kept across visits, if they are not. */
  unkept: unknown;
  private vectors = new Map<number, Float32Array>();
  private database: Promise<IDBDatabase> | undefined;
  private lastId = 0;
  private flat: Entry[] | undefined;

  /** Reads what earlier visits left. */
  async open(): Promise<void> {
    try {
      const database = await this.db();
      const reading = database.transaction(['documents', 'vectors']);
      const documents = (await done(reading.objectStore('documents').getAll())) as Stored[];
      for (const stored of documents) {
        const { spans, ...rest } = stored;
        const passages: Passage[] = [];
        for (let i = 0; i + 2 < spans.length; i += 3) passages.push({ start: spans[i]!, end: spans[i + 1]!, tokens: spans[i + 2]! });
        const document: Document = { ...rest, passages, done: 0 };
        const vectors = new Float32Array(passages.length * document.dimension);
        const pieces = (await done(database.transaction('vectors').objectStore('vectors').getAll(IDBKeyRange.bound([document.id, 0], [document.id, Infinity])))) as { first: number; vectors: Float32Array }[];
        for (const piece of pieces) {
          if (piece.first !== document.done) break;
          vectors.set(piece.vectors, piece.first * document.dimension);
          document.done += piece.vectors.length / document.dimension;
        }
        this.vectors.set(document.id, vectors);
        this.documents.push(document);
        this.lastId = Math.max(this.lastId, document.id);
      }
    } catch (error) {
      this.unkept = error;
    }
    this.changed();
  }

  /** Adds a document without vectors yet; they follow by `append`. */
  async add(document: Omit<Document, 'id' | 'done' | 'added'>): Promise<Document> {
    const added: Document = { ...document, id: ++this.lastId, done: 0, added: Date.now() };
    this.documents.push(added);
    this.vectors.set(added.id, new Float32Array(added.passages.length * added.dimension));
    this.changed();
    const { passages, done: _, ...rest } = added;
    const spans = new Int32Array(passages.flatMap(({ start, end, tokens }) => [start, end, tokens]));
    await this.write(['documents'], (get) => get('documents').put({ ...rest, spans } satisfies Stored));
    return added;
  }

  /** Adds the vectors (n, D) of the next n passages of a document. */
  async append(document: Document, vectors: readonly Float32Array[]): Promise<void> {
    const all = this.vectors.get(document.id);
    if (!all || vectors.length === 0) return;
    const first = document.done;
    const piece = new Float32Array(vectors.length * document.dimension);
    vectors.forEach((vector, i) => piece.set(vector, i * document.dimension));
    all.set(piece, first * document.dimension);
    document.done += vectors.length;
    this.changed();
    await this.write(['vectors'], (get) => get('vectors').put({ document: document.id, first, vectors: piece }));
  }

  async remove(id: number): Promise<void> {
    this.documents = this.documents.filter((document) => document.id !== id);
    this.vectors.delete(id);
    this.changed();
    await this.write(['documents', 'vectors'], (get) => {
      get('documents').delete(id);
      get('vectors').delete(IDBKeyRange.bound([id, 0], [id, Infinity]));
    });
  }

  async clear(): Promise<void> {
    this.documents = [];
    this.vectors.clear();
    this.changed();
    await this.write(['documents', 'vectors'], (get) => {
      get('documents').clear();
      get('vectors').clear();
    });
    this.unkept = undefined;
  }

  /** The vectors (n, D) of a document's first n = done passages. */
  vectorsOf(document: Document): Float32Array {
    return (this.vectors.get(document.id) ?? new Float32Array()).subarray(0, document.done * document.dimension);
  }

  /** All passages that have a vector of this model. */
  entries(model: string): readonly Entry[] {
    if (this.flat && this.flatOf === model) return this.flat;
    const flat: Entry[] = [];
    for (const document of this.documents) {
      if (document.model !== model) continue;
      const vectors = this.vectorsOf(document);
      const d = document.dimension;
      for (let index = 0; index < document.done; index++) flat.push({ document, index, passage: document.passages[index]!, vector: vectors.subarray(index * d, (index + 1) * d) });
    }
    this.flat = flat;
    this.flatOf = model;
    return flat;
  }
  private flatOf = '';

  private changed(): void {
    this.flat = undefined;
    this.dispatchEvent(new Event('change'));
  }

  private async write(stores: string[], work: (get: (name: string) => IDBObjectStore) => void): Promise<void> {
    try {
      const transaction = (await this.db()).transaction(stores, 'readwrite');
      await new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error ?? new Error('the browser refused to keep the documents'));
        work((name) => transaction.objectStore(name));
      });
    } catch (error) {
      // Told once: from here on the library lives in memory.
      const first = this.unkept === undefined;
      this.unkept = error;
      if (first) this.dispatchEvent(new CustomEvent('unkept', { detail: error }));
    }
  }

  private db(): Promise<IDBDatabase> {
    return (this.database ??= new Promise((resolve, reject) => {
      const request = indexedDB.open('library', 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore('documents', { keyPath: 'id' });
        request.result.createObjectStore('vectors', { keyPath: ['document', 'first'] });
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error('the browser refused to open the library'));
      request.onblocked = () => reject(new Error('The library is open in another tab of an older version. Close that tab.'));
    }));
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the library could not be read'));
  });
}

export const library = new Library();

/** Ranks passages for a unit query vector (D): their order, best first, and the cosine of each. */
export function rank(entries: readonly Entry[], query: Float32Array): { order: Uint32Array; scores: Float32Array } {
  const scores = new Float32Array(entries.length);
  for (let i = 0; i < entries.length; i++) {
    const { vector } = entries[i]!;
    let sum = 0;
    for (let j = 0; j < query.length; j++) sum += query[j]! * vector[j]!;
    scores[i] = sum;
  }
  const order = Uint32Array.from(entries, (_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b);
  return { order, scores };
}
