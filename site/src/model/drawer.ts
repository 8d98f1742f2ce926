/** The model drawer: what runs, which models are kept here, and how to bring one's own. */

import { $, count, duration, h, settings, size } from '../dom.js';
import { builtIn, engine, larger, type ModelChoice } from '../engine.js';
import { explain, notify, report } from '../notice.js';
import { guessLength, parseConfig, publishedConfig, PUBLISHED, readAddress, readFiles, tokenizerFor, type Candidate } from './files.js';
import { canStore, choiceOf, deleteModel, finishModel, idOf, listModels, listParts, store, weightsOf, type StoredModel } from './storage.js';

const KEY = 'model';
let work: AbortController | undefined;

/** The model that the visitor chose last, if it is still here. */
export async function chosenModel(): Promise<ModelChoice> {
  const id = settings.get(KEY);
  if (id === null || id === builtIn.id) return builtIn;
  if (id === larger.id) return larger;
  const stored = (await listModels().catch(() => [])).find((model) => model.id === id);
  return stored ? choiceOf(stored) : builtIn;
}

export function startDrawer(): void {
  const drawer = $<HTMLDialogElement>('drawer');
  const facts = h('dl', { class: 'facts' });
  const state = h('p', { class: 'small', role: 'status' });
  const padding = h('p', { class: 'small muted' });
  const models = h('ul', { class: 'models' });
  const room = h('p', { class: 'small muted' });
  const adding = h('div', { class: 'stack' });
  const close = h('button', { type: 'button', class: 'quiet', onclick: () => drawer.close() }, 'Close');
  drawer.append(
    h('div', { class: 'head' }, h('h2', { id: 'drawer-title' }, 'Model'), close),
    h(
      'div',
      { class: 'body' },
      h('section', { class: 'stack', 'aria-label': 'The model in use' }, state, facts, padding),
      h('section', { class: 'stack', 'aria-labelledby': 'kept-title' }, h('h3', { id: 'kept-title' }, 'On this device'), models, room),
      h('section', { class: 'stack', 'aria-labelledby': 'own-title' }, h('h3', { id: 'own-title' }, 'Bring your own'), adding),
    ),
  );
  drawer.addEventListener('click', (event) => event.target === drawer && drawer.close());

  const drawState = (): void => {
    const now = engine.state;
    if (now.phase === 'ready') {
      const { info, memory } = now.model;
      state.replaceChildren(h('strong', null, engine.choice.name), ' is ready.');
      fill(facts, [
        ['Vector', `${count(info.hiddenSize)} numbers`],
        ['Longest text', `${count(info.maxLength)} tokens`],
        ['Layers', count(info.layers)],
        ['Vocabulary', `${count(info.vocabularySize)} tokens`],
        ['Weights', size(info.weightBytes)],
        ['Memory in use', size(memory)],
        ['Start to first vector', duration(now.firstVector)],
        ['Runs on', info.kernels === 'go' ? 'CPU' : 'CPU, with SIMD'],
        ['Padding', String(info.padding)],
        ['Pooling', info.pooling],
        ...(info.prompts['query'] ? [['Questions begin with', `“${info.prompts['query'].trim()}”`] as const] : []),
      ]);
      padding.textContent = aboutPadding(info.padding, info.maxLength);
    } else if (now.phase === 'failed') {
      facts.replaceChildren();
      padding.textContent = '';
      void explain(now.error).then((text) => state.replaceChildren(text));
    } else {
      const p = now.progress;
      state.textContent = p && p.stage === 'weights' && p.total > 0 ? `${engine.choice.name}: ${size(p.loaded)} of ${size(p.total)}${p.cached ? ', from this device' : ''}.` : `${engine.choice.name} is starting.`;
    }
  };

  const drawModels = async (): Promise<void> => {
    const stored = await listModels().catch((): StoredModel[] => []);
    const parts = await listParts().catch(() => []);
    const row = (choice: ModelChoice, about: string, remove?: () => void): HTMLLIElement =>
      h(
        'li',
        { class: `${choice.id === engine.choice.id ? 'current' : ''} ${choice === larger ? 'larger' : ''}`.trim() || undefined },
        h('div', { class: 'about' }, h('b', null, choice.name), h('span', { class: 'small muted' }, about)),
        choice.id !== engine.choice.id && h('button', { type: 'button', onclick: () => use(choice) }, 'Use'),
        remove && h('button', { type: 'button', class: 'quiet danger', onclick: remove, 'aria-label': `Delete ${choice.name}` }, 'Delete'),
      );
    models.replaceChildren(
      row(builtIn, `${size(builtIn.bytes)}, comes with the page`),
      row(larger, `${size(larger.bytes)}, finds more and takes longer; fetched when it is used`),
      ...stored.map((meta) => row(choiceOf(meta), `${size(meta.bytes)}, from ${meta.source === 'url' ? new URL(meta.url ?? '', document.baseURI).hostname : 'your disk'}`, () => void remove(meta.id))),
      ...parts.map((part) =>
        h(
          'li',
          null,
          h('div', { class: 'about' }, h('b', null, 'Unfinished download'), h('span', { class: 'small muted' }, `${size(part.bytes)} of ${part.url}`)),
          h('button', { type: 'button', onclick: () => void fromAddress(part.url, part.id) }, 'Go on'),
          h('button', { type: 'button', class: 'quiet danger', onclick: () => void remove(part.id) }, 'Delete'),
        ),
      ),
    );
    const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
    room.textContent = quota > 0 ? `The page keeps ${size(usage)} on this device and may keep ${size(quota)}.` : '';
  };

  const use = (choice: ModelChoice): void => {
    settings.set(KEY, choice.id);
    engine.use(choice).catch((error: unknown) => void report(error, choice === builtIn ? undefined : { label: 'Use the built-in model', run: () => use(builtIn) }));
    void drawModels();
  };

  const remove = async (id: string): Promise<void> => {
    if (engine.choice.id === id) use(builtIn);
    await deleteModel(id).catch((error: unknown) => report(error));
    await drawModels();
  };

  /** The form that everything begins with: drop, choose or an address. */
  const begin = (): void => {
    work?.abort(new DOMException('begun anew', 'AbortError'));
    work = undefined;
    const input = h('input', { type: 'file', multiple: true, hidden: true, accept: '.safetensors,.bin,.pt,.pth,.ckpt,.json,.txt', id: 'model-files' });
    input.addEventListener('change', () => input.files && void fromFiles([...input.files]));
    const drop = h(
      'div',
      { class: 'drop', id: 'model-drop' },
      h('p', null, h('strong', null, 'Drop weights here')),
      h('p', { class: 'small muted' }, 'safetensors, .bin or .pt of an M2-BERT; config.json and tokenizer.json with it. Nothing in them is executed.'),
      h('div', { class: 'row centre' }, h('button', { type: 'button', onclick: () => input.click() }, 'Choose files')),
      input,
    );
    acceptDrops(drop, (files) => void fromFiles(files));
    const address = h('input', { type: 'url', id: 'model-url', placeholder: 'https://…/model/', required: true });
    const form = h(
      'form',
      { class: 'field', onsubmit: (event: Event) => (event.preventDefault(), void fromAddress(address.value)) },
      h('label', { for: 'model-url' }, 'or fetch from an address'),
      h('div', { class: 'row' }, address, h('button', { type: 'submit' }, 'Fetch')),
      h('p', { class: 'small muted' }, 'A folder with config.json and weights. Only this request leaves the device, and only when you press the button.'),
    );
    address.style.flex = '1';
    address.style.minWidth = '0';
    adding.replaceChildren(drop, form);
  };

  const fromFiles = async (files: File[]): Promise<void> => {
    try {
      ask(await readFiles(files));
    } catch (error) {
      void report(error);
    }
  };

  const fromAddress = async (url: string, id?: string): Promise<void> => {
    const abort = (work = new AbortController());
    busy('Looking at the address.', abort);
    try {
      const candidate: Candidate = { ...(await readAddress(url, abort.signal)), ...(id !== undefined && { id }) };
      if (candidate.config === undefined) ask(candidate);
      else await load(candidate, candidate.config, abort);
    } catch (error) {
      begin();
      void report(error);
    }
    await drawModels();
  };

  const busy = (text: string, abort: AbortController): { progress: HTMLProgressElement; line: HTMLElement } => {
    const progress = h('progress', { max: 1, 'aria-label': 'Bringing the model here' });
    const line = h('p', { class: 'small', role: 'status' }, text);
    const cancel = (): void => {
      abort.abort(new DOMException('cancelled', 'AbortError'));
      begin();
      void drawModels();
    };
    adding.replaceChildren(line, progress, h('div', { class: 'row' }, h('button', { type: 'button', onclick: cancel }, 'Cancel')));
    return { progress, line };
  };

  /** Asks for what the files do not say. */
  const ask = (candidate: Candidate): void => {
    const said = candidate.config === undefined ? undefined : parseConfigSafely(candidate.config);
    const guess = guessLength(candidate.name);
    const kind = h('select', { id: 'model-kind' }, ...PUBLISHED.map((length) => h('option', { value: String(length), selected: length === guess }, `M2-BERT 80M retrieval, ${count(length)} tokens`)));
    const pad = h(
      'select',
      { id: 'model-padding' },
      h('option', { value: 'max_length' }, 'to the full length (published weights)'),
      h('option', { value: 'none' }, 'none (models trained that way)'),
      ...[512, 1024].map((n) => h('option', { value: String(n) }, `to ${count(n)} tokens`)),
    );
    const saidPadding = said?.['padding'];
    if (saidPadding !== undefined) pad.value = String(saidPadding);
    const form = h(
      'form',
      {
        class: 'stack',
        onsubmit: (event: Event) => {
          event.preventDefault();
          const config = candidate.config ?? publishedConfig(Number(kind.value));
          const abort = (work = new AbortController());
          void load(candidate, config, abort, pad.value).catch((error: unknown) => {
            begin();
            void report(error);
          });
        },
      },
      h('p', null, h('b', null, candidate.name), candidate.weights instanceof File ? ` · ${size(candidate.weights.size)}` : ''),
      candidate.config === undefined && h('div', { class: 'field' }, h('label', { for: 'model-kind' }, 'There is no config.json: which model is it?'), kind),
      saidPadding === undefined && h('div', { class: 'field' }, h('label', { for: 'model-padding' }, 'Pad texts'), pad, h('p', { class: 'small muted' }, 'M2-BERT masks nothing: pads change the vector. The published weights were trained on texts padded to the full length and need it, however short the text.')),
      h('div', { class: 'row' }, h('button', { type: 'submit', class: 'primary' }, 'Load'), h('button', { type: 'button', class: 'quiet', onclick: begin }, 'Cancel')),
    );
    adding.replaceChildren(form);
    form.querySelector<HTMLElement>('select, button')?.focus();
  };

  const load = async (candidate: Candidate, configText: string, abort: AbortController, padding?: string): Promise<void> => {
    const config = parseConfig(configText);
    config['padding'] ??= padding === undefined || Number.isNaN(Number(padding)) ? (padding ?? 'max_length') : Number(padding);
    const { bytes: tokenizer, note } = await tokenizerFor(config, candidate.tokenizer);
    const { weights } = candidate;
    const id = candidate.id ?? (await idOf(weights instanceof File ? `${weights.name} ${weights.size} ${weights.lastModified}` : weights[0]!));
    const { progress, line } = busy(`Bringing ${candidate.name} here.`, abort);
    const follow = ({ loaded, total }: { loaded: number; total: number }): void => {
      if (total > 0) progress.value = loaded / total;
      line.textContent = `${candidate.name}: ${size(loaded)}${total > 0 ? ` of ${size(total)}` : ''}.`;
    };
    let choice: ModelChoice;
    const text = JSON.stringify(config);
    if (!canStore && !(weights instanceof File)) throw new Error('This browser does not let pages keep files. Download the weights yourself and drop them here.');
    let kept = canStore;
    try {
      if (!canStore) throw new DOMException('no private file system', 'QuotaExceededError');
      await store(weights instanceof File ? { task: 'keep', id, file: weights } : { task: 'fetch', id, urls: weights }, abort.signal, follow);
      const meta: StoredModel = {
        id,
        name: candidate.name,
        source: weights instanceof File ? 'file' : 'url',
        ...(!(weights instanceof File) && { url: weights[0]! }),
        weights: weights instanceof File ? weights.name : weights[0]!.split('/').at(-1)!,
        bytes: (await weightsOf(id)).size + text.length + tokenizer.length,
        added: Date.now(),
      };
      await finishModel(meta, text, tokenizer);
      choice = choiceOf(meta);
    } catch (error) {
      if (!(weights instanceof File) || (error as Error).name !== 'QuotaExceededError') throw error;
      // There is no room to keep it, but a file of the visitor's can be read where it lies.
      if (canStore) {
        await deleteModel(id).catch(() => {});
        void report(error);
      }
      kept = false;
      choice = { id, name: candidate.name, bytes: weights.size, files: async () => ({ config: new TextEncoder().encode(text), tokenizer, weights }) };
    }
    line.textContent = `${candidate.name}: reading the weights.`;
    progress.removeAttribute('value');
    const before = engine.choice;
    try {
      await engine.use(choice);
      if (kept) settings.set(KEY, id);
    } catch (error) {
      // A file that is no model is not worth keeping.
      if (kept) await deleteModel(id).catch(() => {});
      void engine.use(before.id === id ? builtIn : before).catch(() => {});
      throw error;
    } finally {
      begin();
      await drawModels();
    }
    if (note) state.append(` ${note}`);
  };

  $('model-button').addEventListener('click', () => {
    drawState();
    void drawModels();
    drawer.showModal();
  });
  engine.addEventListener('change', () => drawer.open && drawState());
  begin();
}

function parseConfigSafely(text: string): Record<string, unknown> | undefined {
  try {
    return parseConfig(text);
  } catch {
    return undefined;
  }
}

function fill(list: HTMLDListElement, facts: readonly (readonly [string, string])[]): void {
  list.replaceChildren(...facts.flatMap(([term, value]) => [h('dt', null, term), h('dd', null, value)]));
}

/** Padding explained where it matters. */
function aboutPadding(padding: unknown, most: number): string {
  const why = 'Pads go through every convolution of the model and change the vector.';
  if (padding === 'none') return `${why} This model was trained without them, so a text costs what its own tokens cost.`;
  if (padding === 'max_length') return `${why} This model wants every text padded to ${count(most)} tokens, so a short text takes as long as a full one. A model with a shorter limit is faster for short texts.`;
  if (padding === 'longest') return `${why} Here texts are padded to the longest of a call, so a vector depends on its neighbours.`;
  return `${why} Here every text is padded to at least ${count(Number(padding))} tokens.`;
}

/** Lets files be dropped on an element. */
export function acceptDrops(element: HTMLElement, take: (files: File[]) => void): void {
  element.addEventListener('dragover', (event) => {
    event.preventDefault();
    element.classList.add('over');
  });
  element.addEventListener('dragleave', () => element.classList.remove('over'));
  element.addEventListener('drop', (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.classList.remove('over');
    // Entries have to be asked for at once: after the event they are gone.
    const entries = [...(event.dataTransfer?.items ?? [])].flatMap((item) => item.webkitGetAsEntry?.() ?? []);
    const plain = [...(event.dataTransfer?.files ?? [])];
    if (!entries.some((entry) => entry.isDirectory)) {
      if (plain.length > 0) take(plain);
    } else void within(entries).then((files) => (files.length > 0 ? take(files) : notify('There is no file in this folder, or the browser may not look into it.')));
  });
}

/** Files of a dropped folder that are taken. */
const MOST_FILES = 5000;

/** The files in folders and below, by their paths; hidden ones are left out, and what the browser may not open. */
async function within(entries: readonly FileSystemEntry[], files: File[] = []): Promise<File[]> {
  for (const entry of entries) {
    if (entry.name.startsWith('.') || files.length >= MOST_FILES) continue;
    try {
      if (entry.isDirectory) {
        const reader = (entry as FileSystemDirectoryEntry).createReader();
        // A call gives a hundred of them at most.
        for (let some: FileSystemEntry[] = []; ; ) {
          some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
          if (some.length === 0) break;
          await within(some.sort((a, b) => (a.name < b.name ? -1 : 1)), files);
        }
      } else {
        const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
        files.push(new File([file], entry.fullPath.slice(1) || file.name, { type: file.type, lastModified: file.lastModified }));
      }
    } catch {
      // Not to be read.
    }
  }
  return files;
}
