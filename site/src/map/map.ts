/** The map of the library: a plane of passages and, beside it, the same in words. */

import { $, count, counted, debounce, h } from '../dom.js';
import { engine } from '../engine.js';
import { report } from '../notice.js';
import { openShipped } from '../search/exchange.js';
import { library, type Entry } from '../search/library.js';
import { openPassage } from '../search/reader.js';
import { colourOf, Plane } from './plane.js';
import type { MapReply, MapTask } from './projection-worker.js';

/** Passages that a group lists at first. */
const LISTED = 40;

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
  });
  const plain = h('button', { type: 'button', id: 'map-plain', 'aria-pressed': 'true', onclick: () => showPrincipal() }, 'Overview');
  const close = h('button', { type: 'button', id: 'map-umap', 'aria-pressed': 'false', onclick: () => void showUmap() }, 'Neighbourhoods');
  const zoom = h('div', { class: 'segmented' }, h('button', { type: 'button', 'aria-label': 'Zoom out', onclick: () => plane.zoom(1 / 1.5) }, '−'), h('button', { type: 'button', 'aria-label': 'Zoom in', onclick: () => plane.zoom(1.5) }, '+'));
  const status = h('p', { class: 'small muted', role: 'status', id: 'map-status' });
  const progress = h('progress', { max: 1, value: 0, id: 'map-progress', 'aria-label': 'Arranging the map', hidden: true });
  const groups = h('div', { class: 'clusters', id: 'map-groups' });
  $('map-root').append(
    h('div', { class: 'bar-row' }, h('div', { class: 'segmented', role: 'group', 'aria-label': 'Arrangement' }, plain, close), zoom, status),
    h('div', { class: 'map' }, h('div', null, plane.element, progress), h('aside', { 'aria-labelledby': 'groups-title' }, h('h2', { id: 'groups-title' }, 'Groups'), groups)),
  );
  const later = debounce(250, () => {
    dirty = true;
    if (!$('map').hidden) void compute();
  });
  library.addEventListener('change', later);
  engine.addEventListener('change', later);
  document.addEventListener('section', () => dirty && !$('map').hidden && void compute());
  document.addEventListener('theme', drawGroups);
  void Promise.all([library.open(), openShipped()]).then(() => compute());
}

function snippet({ document, passage }: Entry, most: number): string {
  const text = document.text.slice(passage.start, Math.min(passage.end, passage.start + most));
  return text.replace(/\s+/g, ' ') + (passage.end - passage.start > most ? ' …' : '');
}

function say(text: string): void {
  $('map-status').textContent = text;
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
  press('map-plain');
  plane.show(principal, group);
  say(`${counted(entries.length, 'passage')}, by the two directions in which they differ most.`);
}

/** Arranges so that near neighbours stay near. It takes seconds, so it waits to be asked. */
async function showUmap(): Promise<void> {
  if (!principal) return;
  const mine = entries;
  if (!umap) {
    const progress = $<HTMLProgressElement>('map-progress');
    progress.hidden = false;
    progress.value = 0;
    say('Looking for neighbours.');
    try {
      const reply = await ask({ task: 'umap', ...packed() }, (share) => (progress.value = share));
      if (mine !== entries) return;
      umap = reply.points;
    } catch (error) {
      return void report(error);
    } finally {
      progress.hidden = true;
    }
  }
  press('map-umap');
  plane.show(umap, group);
  say(`${counted(entries.length, 'passage')}, near neighbours kept together (UMAP).`);
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
    const list = h('ul');
    const details = h('details', null, h('summary', null, swatch, h('span', null, names.join(', ') || 'unnamed'), h('span', { class: 'count' }, count(members[g]!.length))), list);
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
