/** Try: a few texts, their vectors and the grid of similarities, live. */

import type { Embedding, Tokenization } from 'm2embed/worker';
import { $, copy, count, counted, debounce, duration, h, isAbort } from './dom.js';
import { engine } from './engine.js';
import { drawHeat } from './heat.js';
import { drawStrip } from './strip.js';
import { drawTokens } from './tokens.js';
import { explain, report } from './notice.js';

const EXAMPLES = [
  'The ferry leaves the harbour at half past six.',
  'Our boat sets off from the port early in the evening.',
  'Knead the dough until it is smooth, then let it rest.',
  'A loaf of bread needs flour, water, salt and patience.',
];

/** Milliseconds after the last key before work starts. */
const PAUSE = 120;

interface Card {
  text: string;
  element: HTMLLIElement;
  area: HTMLTextAreaElement;
  letter: HTMLElement;
  run: HTMLElement;
  strip: HTMLCanvasElement;
  tokens: HTMLElement;
  toggle: HTMLButtonElement;
  embedding: Embedding | undefined;
  tokenization: Tokenization | undefined;
  /** The text that the embedding belongs to. */
  embedded: string | undefined;
  ms: number;
}

let cards: Card[] = [];
let abort: AbortController | undefined;

export function startTry(): void {
  reset(EXAMPLES);
  $('try-add').addEventListener('click', () => {
    const card = add('');
    refresh();
    card.area.focus();
  });
  $('try-reset').addEventListener('click', () => {
    reset(EXAMPLES);
    refresh();
  });
  const button = $<HTMLButtonElement>('try-copy');
  button.addEventListener('click', () => void copy(asJson(), button));
  let ready = false;
  const follow = (): void => {
    const { state } = engine;
    if (state.phase === 'ready' && !ready) {
      for (const card of cards) card.embedded = undefined;
      void update();
    }
    ready = state.phase === 'ready';
    if (state.phase === 'loading') say('The model is loading; type ahead.');
    if (state.phase === 'failed') say('There is no model yet. Open the model drawer at the top to choose one.');
  };
  engine.addEventListener('change', follow);
  follow();
}

function reset(texts: readonly string[]): void {
  cards.forEach((card) => card.element.remove());
  cards = [];
  texts.forEach(add);
  redraw();
}

const refresh = debounce(PAUSE, () => void update());

function add(text: string): Card {
  const area = h('textarea', { value: text, rows: 1, spellcheck: false, placeholder: 'Type or paste a text, up to a whole book chapter' });
  const letter = h('span', { class: 'letter', 'aria-hidden': 'true' });
  const run = h('span', { class: 'run small muted num' }, ' ');
  const strip = h('canvas', { class: 'strip', role: 'img', 'aria-label': 'The vector of this text, one column a value' });
  const tokens = h('div', { class: 'tokens', 'aria-label': 'Tokens', role: 'group' });
  const toggle = h('button', { type: 'button', class: 'quiet tokens-toggle', 'aria-expanded': 'false', hidden: true }, 'All tokens');
  const remove = h('button', { type: 'button', class: 'quiet remove' }, 'Remove');
  const element = h('li', { class: 'card' }, area, strip, h('div', { class: 'foot' }, letter, run, toggle, remove), tokens);
  const card: Card = { text, element, area, letter, run, strip, tokens, toggle, embedding: undefined, tokenization: undefined, embedded: undefined, ms: 0 };
  area.addEventListener('input', () => {
    card.text = area.value;
    abort?.abort(new DOMException('typed on', 'AbortError'));
    redraw();
    refresh();
  });
  toggle.addEventListener('click', () => {
    const all = tokens.classList.toggle('all');
    tokens.tabIndex = all ? 0 : -1;
    toggle.setAttribute('aria-expanded', String(all));
    toggle.textContent = all ? 'Fewer' : 'All tokens';
    drawTokens(tokens, card.tokenization, card.embedded ?? '', all);
  });
  remove.addEventListener('click', () => {
    cards = cards.filter((other) => other !== card);
    element.remove();
    redraw();
    refresh();
  });
  cards.push(card);
  $('try-texts').append(element);
  return card;
}

/** Embeds what has changed since; work for older text is called off. */
async function update(): Promise<void> {
  abort?.abort(new DOMException('typed on', 'AbortError'));
  if (engine.state.phase !== 'ready') return redraw();
  const { model } = engine.state;
  const mine = (abort = new AbortController());
  const { signal } = mine;
  const progress = $<HTMLProgressElement>('try-progress');
  for (const card of cards) if (card.text.trim() === '') Object.assign(card, { embedding: undefined, tokenization: undefined, embedded: card.text });
  const stale = cards.filter((card) => card.text !== card.embedded);
  const started = performance.now();
  try {
    for (const [i, card] of stale.entries()) {
      const { text } = card;
      const at = performance.now();
      const tokenization = await model.tokenize(text);
      if (signal.aborted) return;
      const long = tokenization.ids.length > 4096;
      if (long) {
        progress.hidden = false;
        say(`Embedding ${counted(tokenization.ids.length, 'token')} as one text.`);
      }
      const [embedding] = await model.embedDetailed([text], {
        signal,
        ...(long && { onProgress: ({ done, total }) => (progress.value = (i + done / total) / stale.length) }),
      });
      Object.assign(card, { embedding, tokenization, embedded: text, ms: performance.now() - at });
      if (signal.aborted) return;
      redraw();
    }
    if (stale.length > 0) say(`${counted(stale.length, 'text')} embedded in ${duration(performance.now() - started)}, on this device.`);
  } catch (error) {
    if (isAbort(error) || signal.aborted) return;
    say(await explain(error));
    void report(error);
    engine.recover(error);
  } finally {
    if (abort === mine) progress.hidden = true;
    redraw();
  }
}

function say(text: string): void {
  $('try-status').textContent = text;
}

const letterOf = (i: number): string => (i < 26 ? String.fromCharCode(65 + i) : String(i + 1));

function redraw(): void {
  for (const [i, card] of cards.entries()) {
    card.letter.textContent = letterOf(i);
    card.area.setAttribute('aria-label', `Text ${letterOf(i)}`);
    card.element.querySelector('.remove')!.setAttribute('aria-label', `Remove text ${letterOf(i)}`);
    card.element.querySelector<HTMLButtonElement>('.remove')!.disabled = cards.length <= 2;
    const { embedding } = card;
    if (embedding) {
      const { tokens, length, truncated } = embedding;
      const ran = truncated ? `, cut to the model's ${count(length)}` : length === tokens ? '' : `, run at ${count(length)}`;
      card.run.textContent = `${counted(tokens, 'token')}${ran} · ${duration(card.ms)}`;
    } else if (card.embedded !== undefined) card.run.textContent = 'nothing to embed';
    card.strip.hidden = card.embedded !== undefined && !embedding;
    if (embedding && card.strip.dataset['of'] !== card.embedded) {
      card.strip.dataset['of'] = card.embedded ?? '';
      drawStrip(card.strip, embedding.vector);
    }
    if (card.embedded !== undefined && card.tokens.dataset['of'] !== card.embedded) {
      card.tokens.dataset['of'] = card.embedded ?? '';
      const folded = drawTokens(card.tokens, card.tokenization, card.embedded ?? '', card.tokens.classList.contains('all'));
      card.toggle.hidden = !folded && !card.tokens.classList.contains('all');
    }
  }
  drawHeat($('heat'), cards.map((card, i) => ({ name: letterOf(i), text: card.text, vector: card.embedding?.vector, stale: card.text !== card.embedded })));
  $<HTMLButtonElement>('try-copy').disabled = !cards.some((card) => card.embedding);
}

function asJson(): string {
  const done = cards.filter((card) => card.embedding);
  return JSON.stringify(
    {
      model: engine.choice.name,
      data: done.map(({ embedded, embedding }, index) => ({ index, text: embedded, tokens: embedding!.tokens, length: embedding!.length, truncated: embedding!.truncated, embedding: [...embedding!.vector] })),
    },
    null,
    1,
  );
}
