/** Search my documents: bringing files in, the library, and searching it. */

import { acceptDrops } from '../model/drawer.js';
import { $, count, counted, duration, h, isAbort, openDialog, saveFile, size, throttle } from '../dom.js';
import { engine } from '../engine.js';
import { explain, notify, report } from '../notice.js';
import { exportLibrary, importLibrary, keepLinked, leaveLinked, openShipped } from './exchange.js';
import { Job } from './job.js';
import { areSame, library, type Document } from './library.js';
import { isTable } from './place.js';
import { openPassage } from './reader.js';
import { Reading, type Source } from './read.js';
import { search, startResults } from './results.js';

/** How often the list of documents and the results follow a job, in ms. */
const FOLLOW = 250;

/** Bytes from which on a file's size is told while it is read. */
const LARGE = 1e6;

/** Questions to the library that comes with the page. */
const QUESTIONS = ['a one-legged sailor who cooks', 'what has become of people in the far future', 'something warm with lentils'];

let job: Job | undefined;

/** Starts the section; done when what the library holds is shown. */
export function startSearch(): Promise<void> {
  startResults(drawEmpty);
  const files = $<HTMLInputElement>('files');
  $('choose').addEventListener('click', () => files.click());
  files.addEventListener('change', () => {
    bring([...(files.files ?? [])]);
    files.value = '';
  });
  acceptDrops($('drop'), bring);
  acceptDrops($('search'), bring);
  $('paste').addEventListener('click', pasteText);
  $('reading-cancel').addEventListener('click', () => reading?.abort(new DOMException('cancelled', 'AbortError')));
  $('job-pause').addEventListener('click', () => job?.toggle());
  $('job-cancel').addEventListener('click', () => job?.cancel());
  $('export').addEventListener('click', () => {
    try {
      saveFile('library.safetensors', exportLibrary(), 'application/octet-stream');
    } catch (error) {
      void report(error); // what a library of hundreds of megabytes may need, the browser may not have
    }
  });
  const importFile = $<HTMLInputElement>('import-file');
  $('import').addEventListener('click', () => importFile.click());
  importFile.addEventListener('change', () => {
    const file = importFile.files?.[0];
    importFile.value = '';
    if (file) importLibrary(file).then(imported, (error: unknown) => report(error));
  });
  $('clear').addEventListener('click', confirmClear);
  $('linked-keep').addEventListener('click', () => void keepLinked().then(imported, (error: unknown) => report(error)));
  $('linked-leave').addEventListener('click', leaveLinked);
  // Results of a query follow the library more slowly than the list of documents.
  const again = throttle(1000, () => void search());
  const relist = throttle(FOLLOW, () => {
    drawDocuments();
    if (job && $<HTMLInputElement>('query').value.trim() !== '') again();
    else void search();
  });
  library.addEventListener('change', relist);
  const unkept = async (error: unknown): Promise<void> => {
    $('unkept').textContent = `${await explain(error)} What you add can be searched until this tab is closed; export it to keep it.`;
    $('unkept').hidden = false;
  };
  library.addEventListener('unkept', (event) => void unkept((event as CustomEvent).detail));
  if (library.unkept !== undefined) void unkept(library.unkept);
  let phase = '';
  engine.addEventListener('change', () => {
    if (engine.state.phase !== phase) relist();
    phase = engine.state.phase;
  });
  $('questions').append(
    ...QUESTIONS.map((question) =>
      h('button', { type: 'button', class: 'question', onclick: () => {
        $<HTMLInputElement>('query').value = question;
        void search();
      } }, question),
    ),
  );
  return Promise.all([library.open(), openShipped()]).then(() => {
    drawDocuments();
    return search();
  });
}

// Bringing documents in

/** Drops are read one after the other, since one may ask a question. */
let bringing: Promise<void> = Promise.resolve();

function bring(files: readonly File[]): void {
  bringing = bringing.then(() => read(files)).catch((error: unknown) => report(error));
}

let reading: AbortController | undefined;
/** Files that cannot be read up to which each is told by itself. */
const FEW = 2;

async function read(files: readonly File[]): Promise<void> {
  const abort = (reading = new AbortController());
  const sources: Source[] = [];
  const failed: { file: File; error: unknown }[] = [];
  const readings = new Reading(abort.signal, notify);
  $('reading').hidden = false;
  for (const [i, file] of files.entries()) {
    const follow = (about = ''): void => {
      const of = files.length > 1 ? `, ${count(i + 1)} of ${counted(files.length, 'file')}` : '';
      $('reading-name').textContent = `Reading ${file.name}${file.size > LARGE ? ` (${size(file.size)})` : ''}${of}${about}`;
    };
    try {
      follow();
      for (const content of await readings.read(file, (done, total, part) => follow(total > 1 ? `, ${part} ${count(done)} of ${count(total)}` : ''))) {
        if ('text' in content) sources.push(content);
        else {
          const { chooseColumns } = await import('./columns.js');
          const source = await chooseColumns(content.name, content.table);
          if (source) sources.push({ ...source, ...(content.readAs && { readAs: content.readAs }) });
        }
      }
    } catch (error) {
      if (isAbort(error)) break;
      failed.push({ file, error });
    }
  }
  readings.close();
  $('reading').hidden = true;
  reading = undefined;
  if (failed.length <= FEW) for (const { error } of failed) void report(error);
  else notify(`${failed.length} of ${files.length} files could not be read: ${failed.slice(0, 3).map(({ file }) => file.name).join(', ')}${failed.length > 3 ? ', …' : ''}. ${(failed[0]!.error as Error).message}`);
  // Reading goes on while earlier documents are embedded.
  if (sources.length > 0) void embed(sources, []);
}

function pasteText(): void {
  const dialog = $<HTMLDialogElement>('dialog');
  const name = h('input', { type: 'text', id: 'paste-name', value: 'Pasted text' });
  const area = h('textarea', { id: 'paste-text', rows: 12, placeholder: 'Paste as much as you like' });
  const add = (): void => {
    if (area.value.trim() === '') return area.focus();
    dialog.close();
    void embed([{ name: name.value.trim() || 'Pasted text', text: area.value }], []);
  };
  openDialog(
    dialog,
    'Paste text',
    h('div', { class: 'field' }, h('label', { for: 'paste-name' }, 'Name'), name),
    h('div', { class: 'field' }, h('label', { for: 'paste-text' }, 'Text'), area),
    h('div', { class: 'row' }, h('button', { type: 'button', class: 'primary', onclick: add }, 'Embed')),
  );
  area.focus();
}

/** Work that waits for the job under way. */
const queue: (() => Promise<void>)[] = [];

async function embed(sources: readonly Source[], unfinished: readonly Document[]): Promise<void> {
  if (job) {
    return new Promise((resolve) => {
      queue.push(() => embed(sources, unfinished).then(resolve));
      drawJob();
    });
  }
  if (library.linked !== undefined) leaveLinked();
  const mine = (job = new Job());
  const mode = document.querySelector<HTMLInputElement>('#cutting input[name="cut"]:checked')?.value === 'whole' ? 'whole' : 'passages';
  const asked = Number($<HTMLInputElement>('passage-size').value);
  const settings = { mode, size: Number.isFinite(asked) ? Math.max(16, Math.min(2048, Math.round(asked))) : 160 } as const;
  void navigator.storage?.persist?.().catch(() => {});
  $('job').hidden = false;
  mine.addEventListener('change', throttle(FOLLOW, drawJob));
  drawJob();
  try {
    await library.open();
    const model = engine.choice.id;
    const kept = ({ text, places }: Source): Document | undefined => library.same({ text, ...(places && { places }), model, ...settings });
    const fresh = sources.filter((source, i) => !kept(source) && sources.findIndex((other) => other.text === source.text && areSame(other.places, source.places)) === i);
    const known = sources.filter((source) => !fresh.includes(source));
    if (known.length > 0) notify(known.length === 1 ? `${known[0]!.name} is in the library already.` : `${known.length} of these documents are in the library already.`);
    const partly = known.map(kept).filter((document) => document !== undefined && document.done < document.passages.length);
    const rest = [...new Set([...unfinished, ...partly])] as Document[];
    if (fresh.length + rest.length > 0) await mine.run(fresh, rest, settings);
    const [foreign] = mine.foreign;
    if (foreign !== undefined) notify(`${foreign.slice(0, 80)}${mine.foreign.length > 1 ? ` and ${mine.foreign.length - 1} more` : ''}: this model reads English. The words are found, the meaning hardly.`);
  } catch (error) {
    engine.recover(error);
    if (!isAbort(error)) void report(error);
  } finally {
    job = undefined;
    $('job').hidden = true;
    drawDocuments();
    void search();
    void queue.shift()?.();
  }
}

function drawJob(): void {
  if (!job) return;
  const { title, doneTokens, totalTokens, donePassages, totalPassages, waiting, rate, paused, cutting } = job.state;
  $('job-title').textContent = paused ? `Paused: ${title}` : title;
  const bar = $<HTMLProgressElement>('job-progress');
  if (totalTokens > 0) bar.value = doneTokens / totalTokens;
  else if (cutting) bar.value = cutting.done;
  else bar.removeAttribute('value');
  $('job-pause').textContent = paused ? 'Go on' : 'Pause';
  if (queue.length > 0) $('job-title').append(`, then ${counted(queue.length, 'more drop')}`);
  const parts = [totalTokens > 0 ? `${count(doneTokens)} of ${counted(totalTokens, 'token')}` : counted(waiting, 'document')];
  if (cutting && totalTokens === 0) parts.push(`${Math.floor(100 * cutting.done)} % cut into passages`);
  if (cutting && totalTokens === 0 && cutting.left > 0) parts.push(`${duration(cutting.left)} left`);
  if (totalPassages > 1) parts.push(`${count(donePassages)} of ${counted(totalPassages, 'passage')}`);
  if (rate > 0) parts.push(`${count(rate)} tokens/s`);
  if (rate > 0 && !paused && totalTokens > doneTokens) parts.push(`${duration((1000 * (totalTokens - doneTokens)) / rate)} left`);
  $('job-detail').textContent = parts.join(' · ');
}

// The library

function drawDocuments(): void {
  const documents = library.searched;
  const shipped = documents === library.shipped;
  const passages = documents.reduce((sum, { done }) => sum + done, 0);
  $('library-size').textContent = documents.length > 0 ? `${counted(passages, 'passage')}` : '';
  $<HTMLButtonElement>('export').disabled = passages === 0 || shipped;
  $<HTMLButtonElement>('clear').disabled = documents.length === 0 || shipped;
  const { linked } = library;
  $('shipped').hidden = !shipped || documents.length === 0 || linked !== undefined;
  $('questions').hidden = $('shipped').hidden;
  $('linked').hidden = linked === undefined;
  $('linked-name').textContent = linked ?? '';
  const rows = documents.map((document) => drawDocument(document, shipped));
  const there = new Set(documents);
  for (const document of drawn.keys()) if (!there.has(document)) drawn.delete(document);
  const list = $('documents');
  const wanted = rows.length > 0 ? rows : [h('li', { class: 'none' }, 'Nothing here yet.')];
  if (wanted.length !== list.childElementCount || wanted.some((row, i) => list.children[i] !== row)) list.replaceChildren(...wanted);
}

/** The rows of the list with what they say; one that would say the same stays. */
const drawn = new Map<Document, { row: HTMLElement; says: string }>();

function drawDocument(document: Document, shipped: boolean): HTMLElement {
  const { done, passages, mode, readAs } = document;
  const other = document.model !== engine.choice.id;
  const unfinished = done < passages.length;
  const says = JSON.stringify([done, other, shipped, job !== undefined]);
  const before = drawn.get(document);
  if (before?.says === says) return before.row;
  const tokens = passages.reduce((sum, passage) => sum + passage.tokens, 0);
  const about = unfinished
    ? `${count(done)} of ${counted(passages.length, 'passage')}`
    : other
      ? 'embedded with another model'
      : passages.length === 1
        ? `whole document, ${counted(tokens, 'token')}`
        : `${counted(passages.length, mode === 'whole' ? 'part' : 'passage')}, ${counted(tokens, 'token')}`;
  const again = async (): Promise<void> => {
    await embed([sourceOf(document)], []);
    if (complete(document)) await library.remove(document.id);
  };
  const row = h(
    'li',
    null,
    h('button', { type: 'button', class: 'title', onclick: () => openPassage(document) }, h('b', null, document.name), h('span', null, readAs ? `${about}, read as ${readAs}` : about)),
    !job && unfinished && !other && h('button', { type: 'button', class: 'quiet', onclick: () => void embed([], [document]) }, 'Go on'),
    !job && other && !shipped && h('button', { type: 'button', class: 'quiet', onclick: () => void again(), 'aria-label': `Embed ${document.name} again` }, 'Embed again'),
    !shipped && h('button', { type: 'button', class: 'quiet danger', onclick: () => void remove(document.id), 'aria-label': `Delete ${document.name}` }, '×'),
  );
  drawn.set(document, { row, says });
  return row;
}

/** Whether all of a document's text is here with vectors of the model in use. */
function complete({ text }: Document): boolean {
  return library.documents.some((other) => other.text === text && other.model === engine.choice.id && other.done === other.passages.length);
}

/** A document as it came, to be embedded again; rows stay passages of their own. */
function sourceOf({ name, text, places, readAs }: Document): Source {
  const rows = places && isTable(places) ? places.flatMap(({ at }, i) => [at, places[i + 1] ? places[i + 1]!.at - 2 : text.length]) : undefined;
  return { name, text, ...(places && { places }), ...(readAs && { readAs }), ...(rows && { rows }) };
}

/** Deletes documents; a notice takes it back. */
async function remove(...ids: Document['id'][]): Promise<void> {
  const removed = await library.remove(...ids);
  const [first] = removed;
  if (first) notify(removed.length === 1 ? `${first.document.name} is deleted.` : `${counted(removed.length, 'document')} are deleted.`, { label: 'Undo', run: () => void library.restore(removed) });
}

/** Says what came in; vectors of another model can be made anew. */
function imported(added: readonly Document[]): void {
  if (library.linked !== undefined) leaveLinked();
  const others = added.filter(({ model }) => model !== engine.choice.id);
  const told = added.length === 0 ? 'All of these documents are in the library already.' : `${counted(added.length, 'document')} imported.`;
  if (others.length === 0) return notify(told);
  const again = async (): Promise<void> => {
    await embed(others.map(sourceOf), []);
    await library.remove(...others.filter(complete).map(({ id }) => id));
  };
  notify(`${told} ${others.length === 1 ? 'One was' : `${others.length} were`} embedded with another model, whose vectors do not compare.`, { label: 'Embed again', run: () => void again() });
}

function confirmClear(): void {
  const dialog = $<HTMLDialogElement>('dialog');
  const all = library.documents.length;
  const go = h('button', { type: 'button', class: 'danger', onclick: () => (dialog.close(), void remove(...library.documents.map(({ id }) => id))) }, `Delete ${counted(all, 'document')}`);
  openDialog(dialog, 'Delete the whole library?', h('p', null, 'The documents and their vectors are removed from this browser. Export them first if you want to keep them.'), h('div', { class: 'row' }, go));
}

function drawEmpty(root: HTMLElement): void {
  if (library.searched.length > 0) {
    root.replaceChildren(job ? 'The first passages will show here.' : `These documents were embedded with another model. Choose it in the drawer, or ${library.linked === undefined ? '' : 'keep them and '}embed them again.`);
    return;
  }
  root.replaceChildren(h('p', null, 'Drop a document, and ask it something. The words need not match.'));
}
