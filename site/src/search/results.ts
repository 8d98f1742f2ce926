/** The query and what it finds. */

import type { Embedder } from 'm2embed/worker';
import { $, cosineText, count, counted, debounce, duration, h, isAbort, settings } from '../dom.js';
import { engine } from '../engine.js';
import { report } from '../notice.js';
import type { Span } from './cut.js';
import { CHOSEN, chosen } from './chosen.js';
import { Finder } from './finder.js';
import { bestSentence } from './highlight.js';
import { isForeign } from './language.js';
import { library, type Document, type Entry } from './library.js';
import { excerptFrom, marked } from './marked.js';
import { placeAt } from './place.js';
import type { Hit, Mode, Passage } from './rank.js';
import { openPassage } from './reader.js';
import { VirtualList } from './virtual-list.js';
import { marks, meaning, parse, type Term } from './words.js';

/** Milliseconds after the last key before a search starts, where searches take long. */
const PAUSE = 110;
/** Searches that take no longer than this, in ms, start with each key. */
const QUICK = 80;
/** Passages from which on a relevance floor makes sense. */
const FEW = 50;
const MODES: readonly (readonly [Mode, string, string])[] = [
  ['both', 'Both', 'By words and by meaning'],
  ['words', 'Words', 'By words alone'],
  ['meaning', 'Meaning', 'By meaning alone'],
];

/** Passages that are listed of one document, at least. */
const EACH = 3;
/** Rows that the first documents fill if they are few. */
const ENOUGH = 15;

interface Shown {
  hit: Hit;
  passage: Passage;
  /** Whether it is the first of its document. */
  first: boolean;
}

const finder = new Finder();
let list: VirtualList;
let drawEmpty: (root: HTMLElement) => void;
let entries: readonly Entry[] = [];
/** What was found; undefined while nothing is asked. */
let hits: Hit[] | undefined;
/** The rows of the list: the passages of each document together, the best document first. */
let shown: readonly Shown[] = [];
let terms: readonly Term[] = [];
let queryVector: Float32Array | undefined;
/** The model that made it. */
let vectorOf: Embedder | undefined;
/** Whether what is below the relevance floor is shown, too. */
let all = false;
let asked = '';
/** Whether the query is in a language that the model does not read. */
let foreign = false;
/** The best sentence of passages, by their key, for the query in hand. */
let best = new Map<string, Span>();
let searching: AbortController | undefined;
/** Milliseconds that the last search took, without waiting for the index. */
let took = 0;

export function startResults(empty: (root: HTMLElement) => void): void {
  drawEmpty = empty;
  list = new VirtualList({ root: $('results'), draw: drawRow, open: openRow, settled: (first, last) => void markBest(first, last) });
  const query = $<HTMLInputElement>('query');
  const later = debounce(PAUSE, () => void search());
  query.addEventListener('input', () => {
    searching?.abort(new DOMException('typed on', 'AbortError'));
    if (took <= QUICK) void search();
    else later();
  });
  query.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' && entries.length > 0) {
      event.preventDefault();
      $('results').focus();
    }
  });
  const link = new URLSearchParams(location.search);
  // Who types before this script is here goes before the address.
  if (query.value === '') query.value = link.get('q') ?? '';
  linkedMode = link.has('q') ? asMode(link.get('mode')) : undefined;
  const buttons = MODES.map(([mode, name, title]) => h('button', { type: 'button', title, 'data-mode': mode, onclick: () => choose(mode) }, name));
  const choose = (mode: Mode): void => {
    settings.set('mode', mode);
    linkedMode = undefined;
    remember();
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset['mode'] === mode));
    void search();
  };
  $('mode').append(...buttons);
  for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset['mode'] === modeInUse()));
  $('within').addEventListener('change', () => void search());
  chosen.addEventListener('change', () => void search());
  $('more').addEventListener('click', () => {
    all = !all;
    show(false);
  });
  document.addEventListener('section', () => list.show(hits ? shown.length : entries.length, true));
}

/** What the address of the page asks for, until the visitor chooses. */
let linkedMode: Mode | undefined;

const asMode = (name: string | null): Mode => (name === 'words' || name === 'meaning' ? name : 'both');

function modeInUse(): Mode {
  return linkedMode ?? asMode(settings.get('mode'));
}

/** Searches for what stands in the field; without a query all passages are listed. */
export async function search(): Promise<void> {
  const query = $<HTMLInputElement>('query').value.trim();
  searching?.abort(new DOMException('typed on', 'AbortError'));
  const mine = (searching = new AbortController());
  const before = entries;
  entries = library.entries(engine.choice.id);
  if (entries !== before) chosen.keep(entries);
  drawWithin();
  const within = $<HTMLSelectElement>('within').value;
  const mode = modeInUse();
  const key = JSON.stringify([query, mode, within, within === CHOSEN && chosen.size]);
  const same = key === asked;
  if (!same) {
    best = new Map();
    all = false;
  }
  asked = key;
  if (!same) rememberSoon();
  const time = $('query-time');
  if (query === '' || entries.length === 0) {
    hits = queryVector = undefined;
    time.textContent = '';
    show(same);
    // So that the first query need not wait for the index.
    await finder.follow(entries).catch(() => {});
    return;
  }
  try {
    terms = parse(query);
    await finder.follow(entries);
    if (mine.signal.aborted) return;
    const started = performance.now();
    let vector: Float32Array | undefined;
    if (!same) foreign = false;
    if (mode !== 'words' && engine.state.phase === 'ready') {
      const { model } = engine.state;
      // The library may have grown under the same query.
      if (same && model === vectorOf && queryVector) vector = queryVector;
      else [vector, foreign] = await Promise.all([model.embed(meaning(query), { task: 'query', normalize: true, signal: mine.signal }), isForeign(model, query)]);
      if (mine.signal.aborted) return;
    }
    hits = finder.search(query, mode, vector, within);
    queryVector = vector;
    vectorOf = engine.state.phase === 'ready' ? engine.state.model : undefined;
    took = performance.now() - started;
    time.textContent = duration(took);
    show(same);
  } catch (error) {
    if (isAbort(error)) return;
    engine.recover(error);
    void report(error);
  }
}

/** Searches in the passages that are chosen on the map. */
export function searchChosen(): void {
  drawWithin();
  $<HTMLSelectElement>('within').value = CHOSEN;
  void search();
}

/** Characters of a query that an address takes. */
const LINKED = 1000;

/** Keeps the query and how it is searched for in the address, so that it can be shared. */
function remember(): void {
  const query = $<HTMLInputElement>('query').value.trim();
  const mode = modeInUse();
  const address = new URL(location.href);
  for (const [name, value] of [['q', query.length > LINKED ? '' : query], ['mode', query === '' || mode === 'both' ? '' : mode]] as const) {
    if (value === '') address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  if (address.href !== location.href) history.replaceState(null, '', address);
}

/** After the last key, since browsers refuse many changes one behind the other. */
const rememberSoon = debounce(400, remember);

/** The documents of these passages. */
let documents: Document[] = [];
let listedOf: readonly Entry[] | undefined;

/** Documents to search in; the choice goes when its document goes. */
function drawWithin(): void {
  const select = $<HTMLSelectElement>('within');
  if (entries !== listedOf) {
    documents = [];
    for (const { document } of entries) if (documents.at(-1) !== document) documents.push(document);
  }
  listedOf = entries;
  const key = [chosen.size, ...documents.map(({ id }) => id)].join(' ');
  if (select.dataset['of'] === key) return;
  select.dataset['of'] = key;
  const { value } = select;
  const part = chosen.size > 0 && h('option', { value: CHOSEN }, `${counted(chosen.size, 'passage')} chosen on the map`);
  select.replaceChildren(h('option', { value: '' }, 'all documents'), ...(part ? [part] : []), ...documents.map(({ id, name }) => h('option', { value: String(id) }, name.length > 60 ? `${name.slice(0, 59)}…` : name)));
  select.value = (value === CHOSEN && part) || documents.some(({ id }) => String(id) === value) ? value : '';
  select.disabled = documents.length < 2 && !part;
}

function show(keepPlace: boolean): void {
  // Among few passages nothing stands out: then all are shown.
  const floor = entries.length >= FEW;
  const good = hits?.filter((hit) => hit.good || !floor) ?? [];
  const listed = all ? (hits ?? []) : good;
  const each = Math.max(EACH, Math.ceil(ENOUGH / Math.max(1, listed.length)));
  shown = listed.flatMap((hit) => hit.passages.filter((passage, i) => i === 0 || passage.good || (floor ? all && i < EACH : passage.score > 0)).slice(0, each).map((passage, i) => ({ hit, passage, first: i === 0 })));
  const matches = good.reduce((sum, hit) => sum + Math.max(1, hit.passages.filter((passage) => passage.good || !floor).length), 0);
  const total = hits ? shown.length : entries.length;
  const found = $('found');
  const more = $('more');
  if (hits) {
    found.textContent = !floor ? (matches === 0 ? 'No match' : counted(matches, 'match', 'matches')) : matches === 0 ? 'No good match' : counted(matches, 'good match', 'good matches');
    if (!queryVector && modeInUse() !== 'words') found.textContent += engine.state.phase === 'failed' ? ', by words alone: there is no model' : ', by words until the model is here';
    if (queryVector && foreign) found.textContent += '; this model reads English';
    more.hidden = !floor || hits.every((hit) => hit.passages.every((passage) => passage.good));
    more.textContent = all ? 'Only good ones' : matches === 0 ? 'Show the nearest' : 'Show more';
  } else {
    found.textContent = '';
    more.hidden = true;
  }
  $('results').hidden = total === 0;
  const empty = $('no-results');
  empty.hidden = entries.length > 0;
  if (entries.length === 0) drawEmpty(empty);
  list.show(total, keepPlace);
}

const keyOf = ({ document, index }: Entry): string => `${document.id} ${index}`;

function entryAt(i: number): Entry | undefined {
  return hits ? finder.entry(shown[i]?.passage.row ?? -1) : entries[i];
}

/** Where a passage stands, in words. */
function place({ document, index, passage }: Entry): string {
  const named = placeAt(document.places, passage.start);
  if (named !== '') return named;
  if (document.passages.length === 1) return `whole document, ${counted(passage.tokens, 'token')}`;
  return `${document.mode === 'whole' ? 'part' : 'passage'} ${count(index + 1)} of ${count(document.passages.length)}`;
}

/** Characters of a row, and those before the place that matters. */
const ROW = 700;
const BEFORE = 90;

function drawRow(element: HTMLElement, i: number): void {
  const entry = entryAt(i);
  if (!entry) return;
  const { passage: found, first: leads = true } = (hits ? shown[i] : undefined) ?? {};
  const { text } = entry.document;
  const { start, end } = entry.passage;
  const sentence = best.get(keyOf(entry));
  const words = found ? marks(text, start, end, terms) : [];
  // What is marked has to be among the few lines that are shown.
  const first = sentence?.start ?? (queryVector ? start : (words[0]?.start ?? start));
  const from = first - start > 160 ? excerptFrom(text, first, BEFORE) : start;
  const body = h('div', { class: 'text' }, from > start && '… ', marked(text, from, Math.min(end, Math.max(from + ROW, sentence?.end ?? 0)), words, sentence));
  const bar = h('span', { class: 'bar', 'aria-hidden': 'true' }, h('i'));
  (bar.firstElementChild as HTMLElement).style.width = `${Math.round(100 * Math.max(0, Math.min(1, found?.score ?? 0)))}%`;
  const score = found && h('span', { class: 'score', title: Number.isNaN(found.cosine) ? 'Weight of the words found' : 'Cosine of the meanings' }, bar, Number.isNaN(found.cosine) ? found.bm25.toFixed(1) : cosineText(found.cosine));
  element.classList.toggle('follows', !leads);
  element.replaceChildren(h('div', { class: 'where' }, h('b', null, entry.document.name), h('span', null, place(entry)), score), body);
}

/** Finds the best sentence of the rows in view. */
async function markBest(first: number, last: number): Promise<void> {
  if (!queryVector || engine.state.phase !== 'ready' || !searching) return;
  const { signal } = searching;
  const { model } = engine.state;
  const vector = queryVector;
  const query = $<HTMLInputElement>('query').value.trim();
  try {
    for (let i = first; i < last; i++) {
      const entry = entryAt(i);
      if (!entry || best.has(keyOf(entry))) continue;
      // Long documents cost seconds each: only the best few.
      if (entry.passage.tokens > 2048 && i > 2) continue;
      const span = await bestSentence(model, entry, query, vector, signal);
      if (signal.aborted) return;
      if (span) {
        best.set(keyOf(entry), span);
        list.refresh(i);
      }
    }
  } catch (error) {
    if (!isAbort(error)) console.error(error);
  }
}

function openRow(i: number): void {
  const entry = entryAt(i);
  if (!entry) return;
  // From this passage on to the weaker ones of the document.
  const rows = (hits && shown[i]?.hit.passages.filter((passage, k) => k < ENOUGH || passage.good).map(({ row }) => row)) ?? [];
  const from = Math.max(0, rows.indexOf(shown[i]?.passage.row ?? -1));
  const passages = rows.length > 1 ? [...rows.slice(from), ...rows.slice(0, from)].flatMap((row) => finder.entry(row)?.passage ?? []) : [entry.passage];
  openPassage(entry.document, { passages, terms: hits ? terms : [], best: best.get(keyOf(entry)) });
}
