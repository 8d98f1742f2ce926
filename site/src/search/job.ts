/** Embeds documents in the background: progress, pause, cancel, and going on later. */

import type { EmbedProgress } from 'm2embed/worker';
import { engine } from '../engine.js';
import { cut, inOnePass, vectorsOf, type Passage, type Span } from './cut.js';
import { isForeign } from './language.js';
import { library, type Document } from './library.js';
import { isTable, sections } from './place.js';
import type { Source } from './read.js';

export interface Settings {
  mode: 'passages' | 'whole';
  /** Tokens of a passage. */
  size: number;
}

export interface JobState {
  title: string;
  /** Tokens embedded and to embed, of the documents cut so far. */
  doneTokens: number;
  totalTokens: number;
  donePassages: number;
  totalPassages: number;
  /** Documents that are still to be cut. */
  waiting: number;
  /** The share of their characters that has been cut, and ms that are left of it, 0 while unknown. */
  cutting: { done: number; left: number } | undefined;
  /** Tokens a second, 0 while unknown. */
  rate: number;
  paused: boolean;
}

/** Tokens of one call, if its passes are short: few enough that pausing and cancelling feel immediate. */
const BATCH_TOKENS = 4096;
const BATCH_PASSES = 32;
/** Milliseconds after which a rate says something. */
const SOON = 300;
/** Characters up to which the model that answers queries embeds documents too. */
const LITTLE = 30_000;

/** One run over some documents. */
export class Job extends EventTarget {
  readonly state: JobState = { title: '', doneTokens: 0, totalTokens: 0, donePassages: 0, totalPassages: 0, waiting: 0, cutting: undefined, rate: 0, paused: false };
  /** Documents in a language that the model does not read. */
  readonly foreign: string[] = [];
  private readonly abort = new AbortController();
  private resume: (() => void) | undefined;
  private spent = 0;

  cancel(): void {
    this.abort.abort(new DOMException('cancelled', 'AbortError'));
    this.resume?.();
  }

  /** Pauses after the texts that are being embedded, or goes on. */
  toggle(): void {
    this.state.paused = !this.state.paused;
    if (!this.state.paused) this.resume?.();
    this.changed();
  }

  /**
   * Embeds new documents, and the rest of documents that are not complete.
   * @throws the first error; what is embedded until then stays
   */
  async run(sources: readonly Source[], unfinished: readonly Document[], settings: Settings): Promise<void> {
    const { signal } = this.abort;
    const { state } = this;
    const mine: Document[] = [];
    try {
      await library.open();
      state.title = 'Preparing';
      state.waiting = sources.length;
      this.changed();
      // Workers of its own pay only for much text.
      const characters = sources.reduce((sum, { text }) => sum + text.length, 0) + unfinished.reduce((sum, { passages, done }) => sum + passages.slice(done).reduce((part, { start, end }) => part + end - start, 0), 0);
      const model = await (characters > LITTLE ? engine.background() : engine.model());
      const modelId = engine.choice.id;
      const documents = [...unfinished];
      const started = performance.now();
      const all = sources.reduce((sum, { text }) => sum + text.length, 0);
      let before = 0;
      for (const source of sources) {
        signal.throwIfAborted();
        state.title = `Reading ${source.name}`;
        this.changed();
        const within: Span[] = [];
        for (let i = 0; source.rows && i < source.rows.length; i += 2) within.push({ start: source.rows[i]!, end: source.rows[i + 1]! });
        if (!source.rows) within.push(...(settings.mode === 'whole' ? [{ start: 0, end: source.text.length }] : sections(source.text, source.places)));
        const { maxLength } = model.info;
        const lengths = settings.mode === 'whole' ? { target: maxLength, most: maxLength } : { target: Math.min(settings.size, maxLength), most: Math.min(Math.round(1.5 * settings.size), maxLength) };
        const passages = await cut(model, source.text, lengths, within, signal, (share) => {
          const done = (before + share * source.text.length) / all;
          const spent = performance.now() - started;
          state.cutting = { done, left: spent > SOON ? (spent / done) * (1 - done) : 0 };
          this.changed();
        });
        before += source.text.length;
        if (passages.length > 0 && (await isForeign(model, source.text))) this.foreign.push(source.name);
        if (passages.length > 0) {
          const { name, text, places, readAs } = source;
          mine.push(await library.add({ name, text, ...(places && { places }), ...(readAs && { readAs }), ...settings, model: modelId, dimension: model.info.hiddenSize, passages }));
          documents.push(mine.at(-1)!);
        }
        state.waiting--;
      }
      for (const document of documents) {
        const rest = document.passages.slice(document.done);
        state.totalPassages += rest.length;
        state.totalTokens += rest.reduce((sum, { tokens }) => sum + tokens, 0);
      }
      for (const document of documents) await alone(document, () => this.embed(document, model));
    } finally {
      // Nothing can be found in a document without a vector.
      const bare = mine.filter(({ done }) => done === 0).map(({ id }) => id);
      if (bare.length > 0) await library.remove(...bare);
      engine.rest();
    }
  }

  private async embed(document: Document, model: Awaited<ReturnType<typeof engine.background>>): Promise<void> {
    const { signal } = this.abort;
    const { state } = this;
    state.title = `Embedding ${document.name}`;
    const rows = isTable(document.places);
    while (document.done < document.passages.length) {
      await this.gate();
      signal.throwIfAborted();
      // Deleted in the meantime, here or in another tab: the rest of the work goes on.
      if (library.get(document.id) !== document) return this.skip(document);
      let last = document.done;
      let tokens = 0;
      const passes: Passage[][] = [];
      // A pass for each worker, or more if they are short.
      while (last < document.passages.length && passes.length < BATCH_PASSES && (passes.length < engine.workers || tokens < BATCH_TOKENS)) {
        const n = inOnePass(document.passages, last, model.info.maxLength, rows);
        passes.push(document.passages.slice(last, last + n));
        tokens += passes.at(-1)!.reduce((sum, passage) => sum + passage.tokens, 0);
        last += n;
      }
      const started = performance.now();
      const { doneTokens } = state;
      const onProgress = ({ done, total }: EmbedProgress): void => {
        state.doneTokens = doneTokens + (tokens * done) / total;
        const spent = this.spent + performance.now() - started;
        if (spent > SOON) state.rate = (1000 * state.doneTokens) / spent;
        this.changed();
      };
      const vectors = await vectorsOf(model, document.text, passes, { signal, onProgress });
      this.spent += performance.now() - started;
      state.doneTokens = doneTokens + tokens;
      state.donePassages += vectors.length;
      state.rate = state.doneTokens / (this.spent / 1000);
      await library.append(document, vectors);
      this.changed();
    }
  }

  private skip(document: Document): void {
    const rest = document.passages.slice(document.done);
    this.state.totalPassages -= rest.length;
    this.state.totalTokens -= rest.reduce((sum, { tokens }) => sum + tokens, 0);
    this.changed();
  }

  private async gate(): Promise<void> {
    while (this.state.paused && !this.abort.signal.aborted) await new Promise<void>((resolve) => (this.resume = resolve));
  }

  private changed(): void {
    this.dispatchEvent(new Event('change'));
  }
}

/**
 * Works on a document while no other tab does.
 * @throws Error where another tab is at it
 */
async function alone(document: Document, work: () => Promise<void>): Promise<void> {
  if (!navigator.locks) return work();
  await navigator.locks.request(`m2embed document ${document.id}`, { ifAvailable: true }, async (lock) => {
    if (!lock) throw new Error(`${document.name} is being embedded in another tab.`);
    await work();
  });
}
