/**
 * The library as one file: safetensors, so that other tools read it too. Each
 * document has two tensors, "vectors.i" (n, D) and "passages.i" (n, 3: start,
 * end, tokens); names and texts are in the header's metadata.
 */

import { builtIn } from '../engine.js';
import { report } from '../notice.js';
import type { Passage } from './cut.js';
import { library, type Document, type Removed } from './library.js';
import type { Place } from './place.js';

const FORMAT = 'm2embed library 1';

interface TensorEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

type About = Pick<Document, 'name' | 'text' | 'places' | 'readAs' | 'mode' | 'size' | 'model' | 'dimension' | 'added'>;

/** Writes the documents that have vectors, with all of their passages or those that are wanted. */
export function exportLibrary(documents: readonly Document[] = library.documents, wanted: (document: Document, index: number) => boolean = () => true): BlobPart[] {
  const header: Record<string, TensorEntry | Record<string, string>> = {};
  const data: Uint8Array[] = [];
  let at = 0;
  const add = (name: string, dtype: string, shape: number[], bytes: Uint8Array): void => {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    data.push(bytes);
    at += bytes.length;
  };
  const written = documents.map((document) => ({ document, kept: document.passages.flatMap((_, index) => (index < document.done && wanted(document, index) ? [index] : [])) })).filter(({ kept }) => kept.length > 0);
  const about = written.map(({ document: { name, text, places, readAs, mode, size, model, dimension, added } }): About => ({ name, text, ...(places && { places }), ...(readAs && { readAs }), mode, ...(size && { size }), model, dimension, added }));
  header['__metadata__'] = { format: FORMAT, documents: JSON.stringify(about) };
  for (const [i, { document, kept }] of written.entries()) {
    const { dimension: d } = document;
    const all = library.vectorsOf(document);
    const vectors = kept.length === document.done ? all : new Float32Array(kept.length * d);
    if (vectors !== all) for (const [k, index] of kept.entries()) vectors.set(all.subarray(index * d, (index + 1) * d), k * d);
    const spans = new Int32Array(kept.flatMap((index) => [document.passages[index]!.start, document.passages[index]!.end, document.passages[index]!.tokens]));
    add(`vectors.${i}`, 'F32', [kept.length, d], new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength));
    add(`passages.${i}`, 'I32', [kept.length, 3], new Uint8Array(spans.buffer));
  }
  let text = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  text = padded;
  const size = new DataView(new ArrayBuffer(8));
  size.setBigUint64(0, BigInt(text.length), true);
  return [size.buffer, text, ...(data as Uint8Array<ArrayBuffer>[])];
}

interface Whole {
  about: About;
  /** (n, D) */
  vectors: Float32Array;
  passages: Passage[];
}

/** A file of which parts can be had: one that the visitor chose stays on the disk. */
type Parts = Blob | ArrayBuffer;

const sizeOf = (file: Parts): number => (file instanceof Blob ? file.size : file.byteLength);

const part = async (file: Parts, from: number, to: number): Promise<ArrayBuffer> => (file instanceof Blob ? file.slice(from, to).arrayBuffer() : file.slice(from, to));

/** Reads a library file; everything in it is checked. The page's own has the words of its passages, too. */
async function readLibrary(file: Parts): Promise<{ whole: Whole[]; words: Uint8Array | undefined }> {
  const fail = (what: string): never => {
    throw new Error(`This is not a library that was exported here: ${what}. Choose a file that “Export” wrote.`);
  };
  const size = sizeOf(file);
  if (size < 8) fail('it is too short');
  const length = Number(new DataView(await part(file, 0, 8)).getBigUint64(0, true));
  if (length > size - 8) fail('its header is longer than the file');
  let header: Record<string, unknown>;
  let about: unknown;
  try {
    header = JSON.parse(new TextDecoder().decode(await part(file, 8, 8 + length))) as Record<string, unknown>;
    const metadata = header['__metadata__'] as { format?: unknown; documents?: unknown } | undefined;
    if (metadata?.format !== FORMAT || typeof metadata.documents !== 'string') return fail('its metadata is of something else');
    about = JSON.parse(metadata.documents);
  } catch (error) {
    if (error instanceof SyntaxError) return fail('its header is not JSON');
    throw error;
  }
  if (!Array.isArray(about)) return fail('it lists no documents');
  const data = 8 + length;
  const read = async (name: string, dtype: string, columns: number, bytes = 4): Promise<ArrayBuffer> => {
    const entry = header[name] as Partial<TensorEntry> | undefined;
    const [from, to] = entry?.data_offsets ?? [];
    const [rows, wide] = entry?.shape ?? [];
    if (entry?.dtype !== dtype || wide !== columns || !Number.isInteger(rows) || !Number.isInteger(from) || !Number.isInteger(to) || from! < 0 || to! > size - data || to! - from! !== bytes * rows! * columns) {
      fail(`${name} is missing or damaged`);
    }
    return part(file, data + from!, data + to!);
  };
  const whole: Whole[] = [];
  for (const [i, one] of (about as Partial<About>[]).entries()) {
    const { name, text, mode, model, dimension } = one ?? {};
    if (typeof name !== 'string' || typeof text !== 'string' || typeof model !== 'string' || (mode !== 'passages' && mode !== 'whole') || !Number.isInteger(dimension) || dimension! < 1 || dimension! > 65536) {
      return fail(`document ${i + 1} is damaged`);
    }
    const entry = header[`vectors.${i}`] as Partial<TensorEntry> | undefined;
    const vectors = entry?.dtype === 'I8' ? unit(new Int8Array(await read(`vectors.${i}`, 'I8', dimension!, 1)), dimension!) : new Float32Array(await read(`vectors.${i}`, 'F32', dimension!));
    const spans = new Int32Array(await read(`passages.${i}`, 'I32', 3));
    if (vectors.length / dimension! !== spans.length / 3) return fail(`document ${i + 1} has another number of vectors than of passages`);
    const passages: Passage[] = [];
    for (let k = 0; k < spans.length; k += 3) {
      const [start, end, tokens] = [spans[k]!, spans[k + 1]!, spans[k + 2]!];
      if (start < 0 || end < start || end > text.length) return fail(`a passage of document ${i + 1} lies outside its text`);
      passages.push({ start, end, tokens });
    }
    if (entry?.dtype !== 'I8' && !vectors.every(Number.isFinite)) return fail(`a vector of document ${i + 1} is not finite`);
    whole.push({ about: one as About, vectors, passages });
  }
  return { whole, words: header['words'] ? new Uint8Array(await read('words', 'U8', 1, 1)) : undefined };
}

/** Vectors (n, D) of unit length in the direction of integers. */
function unit(integers: Int8Array, d: number): Float32Array {
  const vectors = new Float32Array(integers.length);
  for (let at = 0; at < integers.length; at += d) {
    let squares = 0;
    for (let j = at; j < at + d; j++) squares += integers[j]! * integers[j]!;
    const scale = 1 / Math.sqrt(squares || 1);
    for (let j = at; j < at + d; j++) vectors[j] = integers[j]! * scale;
  }
  return vectors;
}

/**
 * Brings in a file that exportLibrary wrote. Documents that are here already,
 * cut and embedded in the same way, are left out.
 * @throws Error with a sentence for the visitor
 */
export async function importLibrary(file: Parts): Promise<Document[]> {
  const { whole } = await readLibrary(file);
  await library.open();
  const added: Document[] = [];
  // Only a file that is good to its end changes the library.
  for (const { about: one, vectors, passages } of whole) {
    const { name, text, readAs, mode, size, model, dimension } = one;
    const places = arePlaces(one.places) ? one.places : undefined;
    if (library.same({ text, mode, model, ...(places && { places }), ...(size && { size }) })) continue;
    const document = await library.add({ name, text, ...(places && { places }), ...(typeof readAs === 'string' && { readAs }), mode, ...(Number.isInteger(size) && { size: size! }), model, dimension, passages });
    await library.append(document, passages.map((_, k) => vectors.subarray(k * dimension, (k + 1) * dimension)));
    added.push(document);
  }
  return added;
}

let shipped: Promise<void> | undefined;

/** Opens the library that the address names, or else the one that comes with the page; once. */
export function openShipped(): Promise<void> {
  return (shipped ??= open());
}

async function open(): Promise<void> {
  const linked = new URLSearchParams(location.search).get('library');
  if (linked !== null) {
    try {
      return await openLinked(linked);
    } catch (error) {
      void report(error);
    }
  }
  try {
    const { whole, words } = await readLibrary(await fetched(new URL(`./${__LIBRARY__}`, document.baseURI), 'The library that comes with the page'));
    library.ship(whole.map((one, i) => shippedAs(`shipped ${i}`, one, builtIn.id)), { words });
  } catch (error) {
    void report(error);
  }
}

/** A document with its vectors that is searched, but not kept. */
function shippedAs(id: string, { about: { name, text, places, readAs, mode, model, dimension }, vectors, passages }: Whole, space = model): Removed {
  return { document: { id, name, text, ...(arePlaces(places) && { places }), ...(typeof readAs === 'string' && { readAs }), mode, model: space, dimension, passages, done: passages.length, added: 0 }, vectors };
}

async function fetched(address: URL, what: string): Promise<ArrayBuffer> {
  let response: Response;
  try {
    response = await fetch(address, { credentials: 'same-origin' });
  } catch (cause) {
    throw new Error(`${what} could not be fetched (${(cause as Error).message}).`, { cause });
  }
  if (!response.ok) throw new Error(`${what} could not be fetched (status ${response.status}).`);
  return response.arrayBuffer();
}

/** The file of the library that the address names, while it is open. */
let linkedFile: Blob | undefined;

/**
 * Opens a library by its address, which has to be of this page's origin, or of
 * one that it was built to allow.
 * @throws Error with a sentence for the visitor
 */
async function openLinked(linked: string): Promise<void> {
  const shown = linked.slice(0, 200);
  const address = URL.canParse(linked, document.baseURI) ? new URL(linked, document.baseURI) : undefined;
  if (!address || !/^https?:$/.test(address.protocol)) throw new Error(`The library of this link is no address: ${shown}`);
  if (address.origin !== location.origin && !__LIBRARIES__.includes(address.origin)) throw new Error(`The library of this link lies on ${address.host.slice(0, 100)}. This page opens libraries of ${[location.host, ...__LIBRARIES__].join(', ')} only. Download the file and import it.`);
  const file = await fetched(address, `The library of this link, ${shown},`);
  const { whole } = await readLibrary(file);
  // What a Blob holds need not be in memory.
  linkedFile = new Blob([file]);
  library.ship(whole.map((one, i) => shippedAs(`linked ${i}`, one)), { linked: decodeURIComponent(address.pathname.split('/').at(-1) ?? '').slice(0, 100) });
}

/** Keeps the library of the link in this browser. */
export async function keepLinked(): Promise<Document[]> {
  const added = linkedFile ? await importLibrary(linkedFile) : [];
  leaveLinked();
  return added;
}

/** Goes back to the visitor's own library. */
export function leaveLinked(): void {
  linkedFile = undefined;
  const address = new URL(location.href);
  address.searchParams.delete('library');
  history.replaceState(null, '', address);
  library.ship([]);
  shipped = undefined;
  void openShipped();
}

function arePlaces(places: unknown): places is Place[] {
  return Array.isArray(places) && places.every((place: Partial<Place> | null, i) => typeof place?.label === 'string' && Number.isInteger(place.at) && (i === 0 || place.at! >= (places[i - 1] as Place).at));
}
