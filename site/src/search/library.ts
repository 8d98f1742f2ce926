/**
 * The visitor's documents with their passages and vectors: in memory for
 * search, in IndexedDB across visits.
 */

import type { Passage } from './cut.js';
import type { Place } from './place.js';

export interface Document {
  /** Unlike any other document's, in this tab and in others. */
  id: string | number;
  name: string;
  text: string;
  /** Pages, headings, rows or times, in order. */
  places?: Place[];
  /** The encoding, where it had to be recognised. */
  readAs?: string;
  mode: 'passages' | 'whole';
  /** Most tokens of a passage that were asked for, unknown in older libraries. */
  size?: number;
  /** The id of the model that made the vectors. */
  model: string;
  /** D */
  dimension: number;
  passages: Passage[];
  /** How many passages have a vector. */
  done: number;
  added: number;
}

/** A document with its vectors (done, D), taken out of the library. */
export interface Removed {
  document: Document;
  vectors: Float32Array;
}

/** One passage of the library. */
export class Entry {
  /** `of` has the vectors (n, D) of the whole document. */
  constructor(
    readonly document: Document,
    readonly index: number,
    readonly passage: Passage,
    private readonly of: Float32Array,
  ) {}

  /** D numbers. */
  get vector(): Float32Array {
    const d = this.document.dimension;
    return this.of.subarray(this.index * d, (this.index + 1) * d);
  }
}

interface Stored extends Omit<Document, 'passages' | 'done'> {
  /** start, end, tokens of each passage. */
  spans: Int32Array;
}

/** What tabs tell each other after a change has been written. */
type Message = { written: Document['id'] } | { removed: Document['id'][] };

class Library extends EventTarget {
  documents: Document[] = [];
  /** What comes with the page. It steps aside for the visitor's own documents, and is not kept. */
  shipped: Document[] = [];
  /** The name of the library that the address of the page names; while it is open, it alone is searched. */
  linked: string | undefined;
  /** Why documents are not kept across visits, if they are not. */
  unkept: unknown;
  /** The words of the shipped passages, as WordIndex saves them, where they came along. */
  private words: Uint8Array | undefined;
  private vectors = new Map<Document['id'], Float32Array>();
  private database: Promise<IDBDatabase> | undefined;
  private opened: Promise<void> | undefined;
  private readonly channel = typeof BroadcastChannel === 'function' ? new BroadcastChannel('m2embed library') : undefined;
  private following: Promise<void> = Promise.resolve();
  private flat: Entry[] | undefined;

  /** Reads what earlier visits left, once, and follows what other tabs do from then on. */
  open(): Promise<void> {
    return (this.opened ??= this.read());
  }

  private async read(): Promise<void> {
    if (this.channel) this.channel.onmessage = ({ data }: MessageEvent<Message>) => (this.following = this.following.then(() => this.follow(data)).catch(() => {}));
    try {
      const documents = (await done((await this.db()).transaction('documents').objectStore('documents').getAll())) as Stored[];
      for (const stored of documents.sort((a, b) => a.added - b.added)) await this.load(stored);
    } catch (error) {
      this.tell(error);
    }
    this.changed();
  }

  /** Reads a document that is not here yet, or the vectors that have been written since. */
  private async load(stored: Stored): Promise<void> {
    const { spans, ...rest } = stored;
    let document = this.get(stored.id);
    if (!document) {
      const passages: Passage[] = [];
      for (let i = 0; i + 2 < spans.length; i += 3) passages.push({ start: spans[i]!, end: spans[i + 1]!, tokens: spans[i + 2]! });
      document = { ...rest, passages, done: 0 };
      this.vectors.set(document.id, new Float32Array(passages.length * document.dimension));
      this.documents.push(document);
    }
    const range = IDBKeyRange.bound([document.id, document.done], [document.id, Infinity]);
    const pieces = (await done((await this.db()).transaction('vectors').objectStore('vectors').getAll(range))) as { first: number; vectors: Float32Array }[];
    const vectors = this.vectors.get(document.id);
    for (const piece of pieces) {
      if (piece.first !== document.done || !vectors) break;
      vectors.set(piece.vectors, piece.first * document.dimension);
      document.done += piece.vectors.length / document.dimension;
    }
  }

  /** Does here what another tab has done. */
  private async follow(message: Message): Promise<void> {
    if ('removed' in message) this.forget(message.removed);
    else {
      const stored = (await done((await this.db()).transaction('documents').objectStore('documents').get(message.written))) as Stored | undefined;
      if (stored) await this.load(stored);
    }
    this.changed();
  }

  /** The documents that are searched. */
  get searched(): readonly Document[] {
    return this.documents.length > 0 && this.linked === undefined ? this.documents : this.shipped;
  }

  /** Takes the documents that come with the page, or those of a link by the name of their library. */
  ship(documents: readonly Removed[], { linked, words }: { linked?: string; words?: Uint8Array | undefined } = {}): void {
    for (const { id } of this.shipped) this.vectors.delete(id);
    this.linked = linked;
    this.words = words;
    for (const { document, vectors } of documents) this.vectors.set(document.id, vectors);
    this.shipped = documents.map(({ document }) => document);
    this.changed();
  }

  /** The document with that id, unless it has been deleted. */
  get(id: Document['id']): Document | undefined {
    return this.documents.find((document) => document.id === id);
  }

  /** A document with the same text at the same places, embedded in the same way. */
  same({ text, places, mode, size, model }: Pick<Document, 'text' | 'places' | 'mode' | 'size' | 'model'>): Document | undefined {
    return this.documents.find((document) => document.text === text && document.model === model && document.mode === mode && (mode === 'whole' || size === undefined || document.size === undefined || document.size === size) && areSame(document.places, places));
  }

  /** Adds a document without vectors yet; they follow by `append`. */
  async add(document: Omit<Document, 'id' | 'done' | 'added'>): Promise<Document> {
    await this.open();
    const added: Document = { ...document, id: identifier(), done: 0, added: Date.now() };
    this.documents.push(added);
    this.vectors.set(added.id, new Float32Array(added.passages.length * added.dimension));
    this.changed();
    await this.write(['documents'], (get) => get('documents').put(stored(added)), { written: added.id });
    return added;
  }

  /** Adds the vectors (n, D) of the next n passages of a document. Those of a deleted document are dropped. */
  async append(document: Document, vectors: readonly Float32Array[]): Promise<void> {
    const all = this.vectors.get(document.id);
    if (!all || vectors.length === 0) return;
    const first = document.done;
    const piece = new Float32Array(vectors.length * document.dimension);
    vectors.forEach((vector, i) => piece.set(vector, i * document.dimension));
    all.set(piece, first * document.dimension);
    document.done += vectors.length;
    this.changed();
    await this.write(
      ['documents', 'vectors'],
      (get) => {
        // Another tab may have deleted it in this moment.
        const there = get('documents').getKey(document.id);
        there.onsuccess = () => there.result !== undefined && get('vectors').put({ document: document.id, first, vectors: piece });
      },
      { written: document.id },
    );
  }

  /** Deletes documents, and returns what `restore` needs to bring them back. */
  async remove(...ids: Document['id'][]): Promise<Removed[]> {
    await this.open();
    const removed = this.documents.filter(({ id }) => ids.includes(id)).map((document) => ({ document, vectors: this.vectorsOf(document) }));
    this.forget(ids);
    this.changed();
    await this.write(
      ['documents', 'vectors'],
      (get) => {
        for (const id of ids) {
          get('documents').delete(id);
          get('vectors').delete(IDBKeyRange.bound([id, 0], [id, Infinity]));
        }
      },
      { removed: ids },
    );
    return removed;
  }

  /** Brings deleted documents back, with their vectors. */
  async restore(removed: readonly Removed[]): Promise<void> {
    for (const { document, vectors } of removed) {
      if (this.get(document.id)) continue;
      const all = new Float32Array(document.passages.length * document.dimension);
      all.set(vectors);
      this.vectors.set(document.id, all);
      this.documents.push(document);
      await this.write(
        ['documents', 'vectors'],
        (get) => {
          get('documents').put(stored(document));
          if (vectors.length > 0) get('vectors').put({ document: document.id, first: 0, vectors: vectors.slice() });
        },
        { written: document.id },
      );
    }
    this.documents.sort((a, b) => a.added - b.added);
    this.changed();
  }

  private forget(ids: readonly Document['id'][]): void {
    this.documents = this.documents.filter(({ id }) => !ids.includes(id));
    for (const id of ids) this.vectors.delete(id);
  }

  /** The vectors (n, D) of a document's first n = done passages. */
  vectorsOf(document: Document): Float32Array {
    return (this.vectors.get(document.id) ?? new Float32Array()).subarray(0, document.done * document.dimension);
  }

  /** All passages that have a vector of this model. */
  entries(model: string): readonly Entry[] {
    if (this.flat && this.flatOf === model) return this.flat;
    const flat: Entry[] = [];
    for (const document of this.searched) if (document.model === model) for (const entry of this.entriesOf(document)) flat.push(entry);
    this.flat = flat;
    this.flatOf = model;
    return flat;
  }
  private flatOf = '';
  private readonly made = new WeakMap<Document, { of: Float32Array | undefined; entries: Entry[] }>();

  /** A document's passages that have a vector; those of earlier calls stay the same. */
  private entriesOf(document: Document): readonly Entry[] {
    const { id, done, passages } = document;
    const of = this.vectors.get(id);
    let made = this.made.get(document);
    if (!made || made.of !== of) this.made.set(document, (made = { of, entries: [] }));
    const { entries } = made;
    for (let index = entries.length; of && index < done; index++) entries.push(new Entry(document, index, passages[index]!, of));
    return entries;
  }

  /** The words of these passages, if they are all that came with the page. */
  wordsOf(entries: readonly Entry[]): Uint8Array | undefined {
    return entries[0] && this.shipped.includes(entries[0].document) && entries.length === this.shipped.reduce((sum, { done }) => sum + done, 0) ? this.words : undefined;
  }

  private changed(): void {
    this.flat = undefined;
    this.dispatchEvent(new Event('change'));
  }

  private async write(stores: string[], work: (get: (name: string) => IDBObjectStore) => void, message: Message): Promise<void> {
    try {
      const transaction = (await this.db()).transaction(stores, 'readwrite');
      await new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error ?? new Error('the browser refused to keep the documents'));
        work((name) => transaction.objectStore(name));
      });
      this.channel?.postMessage(message);
    } catch (error) {
      this.tell(error);
    }
  }

  /** Told once: from here on the library lives in memory. */
  private tell(error: unknown): void {
    const first = this.unkept === undefined;
    this.unkept = error;
    if (first) this.dispatchEvent(new CustomEvent('unkept', { detail: error }));
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

/** A random id. Pages without a secure context have no randomUUID. */
function identifier(): string {
  return crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint32Array(4))].map((n) => n.toString(16).padStart(8, '0')).join('-');
}

/** Of two tables with the same texts the other columns may differ. */
export const areSame = (a: readonly Place[] = [], b: readonly Place[] = []): boolean => a === b || (a.length === b.length && a.every(({ at, label }, i) => at === b[i]!.at && label === b[i]!.label));

function stored({ passages, done: _, ...rest }: Document): Stored {
  return { ...rest, spans: new Int32Array(passages.flatMap(({ start, end, tokens }) => [start, end, tokens])) };
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the library could not be read'));
  });
}

export const library = new Library();
