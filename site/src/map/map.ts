/** The map of the library: a plane of passages and, beside it, the same in words. */

import { $, count, counted, debounce, h, saveFile } from '../dom.js';
import { engine } from '../engine.js';
import { report } from '../notice.js';
import { chosen } from '../search/chosen.js';
import { exportLibrary, openShipped } from '../search/exchange.js';
import { library, type Entry } from '../search/library.js';
import { openPassage } from '../search/reader.js';
import { colourOf, Plane } from './plane.js';
import type { MapReply, MapTask } from './projection-worker.js';

/** Passages that a group lists at first. */
const LISTED = 40;
/** Passages that are nearest to a query. */
const NEAREST = 12;
/** Milliseconds after the last key before a query is looked for. */
const PAUSE = 150;

let entries: readonly Entry[] = [];
let principal: Float32Array | undefined;
let umap: Float32Array | undefined;
let group = new Uint8Array();
let words: string[][] = [];
let worker: Worker | undefined;
let plane: Plane;
let dirty = true;

export function startMap(): void {
  plane = new Plane({
    describe: (i) => ({ title: entries[i]!.document.name, text: snippet(entries[i]!, 160) }),
    open: (i) => openPassage(entries[i]!.document, { passages: [entries[i]!.passage] }),
    around: (found, more) => chosen.set(found.map((i) => entries[i]!), more),
    toggle: (i) => chosen.toggle(entries[i]!),
  });
  const plain = h('button', { type: 'button', id: 'map-plain', 'aria-pressed': 'true', onclick: () => showPrincipal() }, 'Overview');
  const close = h('button', { type: 'button', id: 'map-umap', 'aria-pressed': 'false', onclick: () => void showUmap() }, 'Neighbourhoods');
  const zoom = h('div', { class: 'segmented' }, h('button', { type: 'button', 'aria-label': 'Zoom out', onclick: () => plane.zoom(1 / 1.5) }, '−'), h('button', { type: 'button', 'aria-label': 'Zoom in', onclick: () => plane.zoom(1.5) }, '+'), h('button', { type: 'button', id: 'map-fit', title: 'Show all of the map', onclick: () => plane.reset() }, 'Fit'));
  const lasso = h('button', { type: 'button', id: 'map-lasso', 'aria-pressed': 'false', title: 'Draw around passages to choose them; with Shift, more of them', onclick: () => {
    const on = lasso.getAttribute('aria-pressed') !== 'true';
    lasso.setAttribute('aria-pressed', String(on));
    plane.encircle(on);
  } }, 'Lasso');
  const query = h('input', { type: 'search', id: 'map-query', autocomplete: 'off', spellcheck: false, placeholder: 'Where would this lie?', 'aria-label': 'Show a query on the map' });
  query.value = $<HTMLInputElement>('query').value;
  query.addEventListener('input', debounce(PAUSE, () => void pin()));
  const status = h('p', { class: 'small muted', role: 'status', id: 'map-status' });
  const progress = h('div', { class: 'row', id: 'map-work', hidden: true }, h('progress', { max: 1, value: 0, id: 'map-progress', 'aria-label': 'Arranging the map' }), h('button', { type: 'button', class: 'quiet', id: 'map-cancel', onclick: () => showPrincipal() }, 'Cancel'));
  const near = h('div', { id: 'map-near', hidden: true });
  const part = h('div', { id: 'map-chosen', hidden: true });
  const groups = h('div', { class: 'clusters', id: 'map-groups' });
  $('map-root').append(
    h('div', { class: 'bar-row' }, h('div', { class: 'segmented', role: 'group', 'aria-label': 'Arrangement' }, plain, close), zoom, h('div', { class: 'segmented' }, lasso), query, status),
    h('div', { class: 'map' }, h('div', null, plane.element, progress), h('aside', { 'aria-labelledby': 'groups-title' }, part, near, h('h2', { id: 'groups-title' }, 'Groups'), groups)),
  );
  const later = debounce(250, () => {
    dirty = true;
    if (!$('map').hidden) void compute();
  });
  library.addEventListener('change', later);
  engine.addEventListener('change', later);
  chosen.addEventListener('change', drawChosen);
  document.addEventListener('section', () => dirty && !$('map').hidden && void compute());
  document.addEventListener('theme', drawGroups);
  void Promise.all([library.open(), openShipped()]).then(() => compute());
}

/** Counts queries, so that a late one does not replace a newer one. */
let turn = 0;

/** Shows where the query lies: a pin amid the passages whose meaning is nearest, which are listed, too. */
async function pin(): Promise<void> {
  const mine = ++turn;
  const query = $<HTMLInputElement>('map-query').value.trim();
  const near = $('map-near');
  const clear = (): void => {
    plane.light([]);
    if (!near.hidden) say(arrangement);
    near.hidden = true;
    near.replaceChildren();
  };
  if (query === '' || entries.length < 3 || !principal) return clear();
  try {
    if (engine.state.phase !== 'ready') say('The query is shown when the model is here.');
    const model = await engine.model();
    const vector = await model.embed(query, { task: 'query', normalize: true });
    if (mine !== turn) return;
    const cosines = entries.map((entry) => entry.vector.reduce((sum, x, j) => sum + x * vector[j]!, 0));
    const order = [...cosines.keys()].sort((a, b) => cosines[b]! - cosines[a]! || a - b).slice(0, Math.min(NEAREST, Math.ceil(entries.length / 3)));
    // The nearest weigh most: what is no nearer than the last of them does not pull at the pin.
    const least = cosines[order.at(-1)!]!;
    plane.light(order, order.map((i) => (cosines[i]! - least) ** 2 + 1e-6), query.length > 40 ? `${query.slice(0, 39)}…` : query);
    near.replaceChildren(h('h2', null, 'Nearest to the query'), h('ol', { class: 'near' }, ...order.map((i) => h('li', null, h('button', { type: 'button', onclick: () => openPassage(entries[i]!.document, { passages: [entries[i]!.passage] }) }, h('b', null, entries[i]!.document.name), ` ${snippet(entries[i]!, 90)}`)))));
    near.hidden = false;
    say(`${counted(order.length, 'passage')} nearest to the query are lit.`);
  } catch (error) {
    if (mine === turn) void report(error);
  }
}

/** What can be done with the chosen passages. */
function drawChosen(): void {
  const indices = new Set([...entries.keys()].filter((i) => chosen.has(entries[i]!.document, entries[i]!.index)));
  plane.choose(indices);
  const box = $('map-chosen');
  box.hidden = indices.size === 0;
  if (indices.size === 0) return box.replaceChildren();
  const documents = [...new Set([...indices].map((i) => entries[i]!.document))];
  box.replaceChildren(
    h('h2', null, 'Chosen'),
    h('p', { role: 'status' }, `${counted(indices.size, 'passage')} of ${counted(documents.length, 'document')}.`),
    h('div', { class: 'row' },
      h('button', { type: 'button', id: 'chosen-search', onclick: async () => {
        const { searchChosen } = await import('../search/results.js');
        location.hash = '#search';
        searchChosen();
        $('query').focus();
      } }, 'Search in them'),
      h('button', { type: 'button', id: 'chosen-save', onclick: () => saveFile('part.m2embed', exportLibrary(documents, (document, index) => chosen.has(document, index)), 'application/octet-stream') }, 'Save as a library'),
      h('button', { type: 'button', class: 'quiet', id: 'chosen-clear', onclick: () => chosen.set([]) }, 'Clear')),
  );
}

function snippet({ document, passage }: Entry, most: number): string {
  const text = document.text.slice(passage.start, Math.min(passage.end, passage.start + most));
  return text.replace(/\s+/g, ' ') + (passage.end - passage.start > most ? ' …' : '');
}

function say(text: string): void {
  $('map-status').textContent = text;
}

/** What the status says when nothing is pinned. */
let arrangement = '';

/** Says how passages are arranged, and how many are drawn at the edge. */
function sayArranged(how: string, outside: number): void {
  const farther = outside === 0 ? '' : ` ${count(outside)}, hollow at the edge, ${outside === 1 ? 'lies' : 'lie'} farther out.`;
  say((arrangement = `${counted(entries.length, 'passage')}, ${how}.${farther}`));
}

/** Arranges by the directions of most variance, which takes a moment, and finds the groups. */
async function compute(): Promise<void> {
  const now = library.entries(engine.choice.id);
  if (now === entries && principal) {
    dirty = false;
    return;
  }
  dirty = false;
  entries = now;
  principal = umap = undefined;
  chosen.keep(entries);
  plane.light([]);
  drawChosen();
  worker?.terminate();
  if (entries.length < 3) {
    plane.show(new Float32Array(), new Uint8Array());
    group = new Uint8Array();
    words = [];
    drawGroups();
    say('The map needs three passages or more. Bring documents in under Search.');
    return;
  }
  const mine = entries;
  say(`Arranging ${counted(entries.length, 'passage')}.`);
  try {
    const texts = entries.map(({ document, passage }) => document.text.slice(passage.start, Math.min(passage.end, passage.start + 4000)));
    const reply = await ask({ task: 'principal', ...packed(), texts });
    if (mine !== entries) return;
    principal = reply.points;
    group = new Uint8Array(reply.group ?? []);
    words = reply.words ?? [];
    drawGroups();
    showPrincipal();
    if ($<HTMLInputElement>('map-query').value.trim() !== '') void pin();
  } catch (error) {
    void report(error);
  }
}

function packed(): { vectors: Float32Array; dimension: number } {
  const dimension = entries[0]!.vector.length;
  const vectors = new Float32Array(entries.length * dimension);
  entries.forEach(({ vector }, i) => vectors.set(vector, i * dimension));
  return { vectors, dimension };
}

function press(id: string): void {
  for (const other of ['map-plain', 'map-umap']) $(other).setAttribute('aria-pressed', String(other === id));
}

function showPrincipal(): void {
  if (!principal) return;
  // What UMAP is at is called off.
  if (!$('map-work').hidden) {
    worker?.terminate();
    $('map-work').hidden = true;
  }
  press('map-plain');
  sayArranged('by the two directions in which they differ most', plane.show(principal, group));
}

/** Arranges so that near neighbours stay near. It takes seconds, so it waits to be asked. */
async function showUmap(): Promise<void> {
  if (!principal) return;
  const mine = entries;
  if (!umap) {
    const progress = $<HTMLProgressElement>('map-progress');
    $('map-work').hidden = false;
    progress.value = 0;
    say('Looking for neighbours.');
    try {
      const reply = await ask({ task: 'umap', ...packed() }, (share) => (progress.value = share));
      if (mine !== entries) return;
      umap = reply.points;
    } catch (error) {
      return void report(error);
    } finally {
      $('map-work').hidden = true;
    }
  }
  press('map-umap');
  sayArranged('near neighbours kept together (UMAP)', plane.show(umap, group));
}

/** One task in a worker of its own; a newer one ends it. */
function ask(task: MapTask, onProgress?: (share: number) => void): Promise<{ points: Float32Array; group?: Uint8Array; words?: string[][] }> {
  worker?.terminate();
  const mine = (worker = new Worker(new URL('./projection-worker.ts', import.meta.url), { type: 'module', name: 'map' }));
  return new Promise((resolve, reject) => {
    mine.onmessage = ({ data }: MessageEvent<MapReply>) => {
      if ('progress' in data) return onProgress?.(data.progress);
      mine.terminate();
      if ('error' in data) reject(new Error(`The map could not be arranged (${data.error}). Fewer passages may help.`));
      else resolve(data);
    };
    mine.onerror = (event) => {
      event.preventDefault();
      mine.terminate();
      reject(new Error(`The map could not be arranged (${event.message}). Fewer passages may help.`));
    };
    mine.postMessage(task, [task.vectors.buffer]);
  });
}

/** The text alternative: each group with its words and its passages. */
function drawGroups(): void {
  const members = words.map((_, g) => entries.map((_entry, i) => i).filter((i) => group[i] === g));
  const rows = words.map((names, g) => {
    const swatch = h('span', { class: 'swatch', 'aria-hidden': 'true' });
    swatch.style.backgroundColor = colourOf(g);
    const take = h('button', { type: 'button', class: 'quiet take', onclick: () => chosen.set(members[g]!.map((i) => entries[i]!), true) }, 'Choose this group');
    const list = h('ul');
    const details = h('details', null, h('summary', null, swatch, h('span', null, names.join(', ') || 'unnamed'), h('span', { class: 'count' }, count(members[g]!.length))), take, list);
    details.addEventListener('toggle', () => {
      if (details.open && list.childElementCount === 0) fillGroup(list, members[g]!);
      plane.emphasize(details.open ? g : undefined);
    });
    details.setAttribute('name', 'groups');
    return details;
  });
  plane.label(words.map((names) => names.join(', ')));
  $('map-groups').replaceChildren(...(rows.length > 0 ? rows : [h('p', { class: 'small muted' }, 'Nothing to group yet.')]));
}

function fillGroup(list: HTMLElement, members: readonly number[]): void {
  const shown = list.childElementCount;
  for (const i of members.slice(shown, shown + LISTED)) {
    const entry = entries[i]!;
    list.append(h('li', null, h('button', { type: 'button', onclick: () => openPassage(entry.document, { passages: [entry.passage] }) }, snippet(entry, 90))));
  }
  const left = members.length - shown - LISTED;
  if (left > 0) {
    const more = h('button', { type: 'button', onclick: () => (more.parentElement!.remove(), fillGroup(list, members)) }, `${counted(left, 'more passage')} …`);
    list.append(h('li', null, more));
  }
}
