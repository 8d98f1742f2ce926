/**
 * The custom element m2embed-search: the search of a static site by words and
 * by meaning, over the files that m2embed site-index makes.
 *
 *     <m2embed-search src="/search/"></m2embed-search>
 *
 * Attributes: `src`, the folder of the files; `placeholder`; `label`, for screen
 * readers; `theme`, light or dark, else as the page has it; `words`, to do
 * without the model. The event `m2embed-search` tells of each list that is shown.
 */

import type { Embedder } from 'm2embed/worker';
import { h } from '../src/dom.js';
import { excerptFrom, marked } from '../src/search/marked.js';
import { rank, type Hit } from '../src/search/rank.js';
import { alternatives, marks, meaning, parse, phrase, wholePhrase, type Term } from '../src/search/words.js';
import { SiteIndex, type Passage } from './bundle.js';
import { css } from './style.js';

/** Pages that are listed at first, and by each "More". */
const LISTED = 8;
/** Other passages of a page that are linked to. */
const ALSO = 3;
/** Characters of an excerpt, and those before the first word that was found. */
const EXCERPT = 260;
const BEFORE = 70;

/** What answers queries by meaning. */
interface Mind {
  model: Embedder;
  cosines(query: Float32Array): Float32Array;
}

/** What the event m2embed-search tells. */
export interface SearchDetail {
  query: string;
  /** How many pages were found. */
  found: number;
  /** Whether meaning took part. */
  meaning: boolean;
}

/** Whether the visitor has asked the browser to save data. */
const saving = (): boolean => (navigator as { connection?: { saveData?: boolean } }).connection?.saveData === true;

export class M2EmbedSearchElement extends HTMLElement {
  static readonly observedAttributes = ['src', 'placeholder', 'label'];
  private readonly input = h('input', { type: 'search', id: 'query', autocomplete: 'off', spellcheck: false, enterkeyhint: 'search', part: 'input' });
  private readonly name = h('label', { for: 'query', class: 'name' });
  private readonly status = h('p', { class: 'status', role: 'status', part: 'status' });
  private readonly list = h('ol', { part: 'results' });
  private readonly more = h('button', { type: 'button', hidden: true, part: 'more' }, 'More');
  private index: Promise<SiteIndex> | undefined;
  private mind: Mind | undefined;
  private mindState: 'none' | 'loading' | 'ready' | 'failed' = 'none';
  /** Counts searches, so that a late one does not replace a newer one. */
  private turn = 0;
  private hits: Hit[] = [];
  private terms: Term[] = [];
  private listed = LISTED;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open', delegatesFocus: true });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
    root.append(h('div', { role: 'search' }, this.name, this.input), h('div', { class: 'panel', part: 'panel' }, this.status, this.list, this.more));
    this.input.addEventListener('input', () => {
      this.listed = LISTED;
      void this.search();
    });
    // The site's own files are small: they may come while the visitor thinks.
    this.input.addEventListener('focus', () => void this.open().catch(() => {}), { once: true });
    this.more.addEventListener('click', () => {
      const at = this.list.childElementCount;
      this.listed += LISTED;
      void this.show().then(() => (this.list.children[at]?.querySelector('a') ?? this.input).focus());
    });
    root.addEventListener('keydown', (event) => this.key(event as KeyboardEvent));
  }

  connectedCallback(): void {
    this.attributeChangedCallback();
  }

  disconnectedCallback(): void {
    this.forget();
  }

  /** Lets go of the model and the vectors. */
  private forget(): void {
    void this.mind?.model.dispose();
    this.mind = undefined;
    this.mindState = 'none';
  }

  attributeChangedCallback(name?: string): void {
    this.input.placeholder = this.getAttribute('placeholder') ?? 'Search';
    this.name.textContent = this.getAttribute('label') ?? 'Search this site';
    if (name !== 'src') return;
    this.index = undefined;
    this.forget();
    if (this.isConnected && this.input.value !== '') void this.search();
  }

  /** Searches for a text, as if it had been typed. */
  ask(query: string): Promise<void> {
    this.input.value = query;
    this.listed = LISTED;
    return this.search();
  }

  private open(): Promise<SiteIndex> {
    if (!this.index) {
      const src = this.getAttribute('src') ?? './';
      this.index = SiteIndex.open(new URL(src.endsWith('/') ? src : `${src}/`, document.baseURI));
      this.index.catch(() => (this.index = undefined));
    }
    return this.index;
  }

  /** Fetches the model, once; words answer until it is here. */
  private async wake(index: SiteIndex): Promise<void> {
    if (this.mindState !== 'none' || this.hasAttribute('words') || index.manifest.dimension === 0) return;
    if (saving()) return;
    this.mindState = 'loading';
    const opened = this.index;
    try {
      const { M2EmbedWorker } = await import('m2embed/worker');
      const [model, cosines] = await Promise.all([M2EmbedWorker.load(index.model.href, { cache: 'm2embed' }), index.vectors()]);
      // Taken out of the page, or set on another index, in the meantime.
      if (!this.isConnected || this.index !== opened) return void model.dispose();
      this.mind = { model, cosines };
      this.mindState = 'ready';
    } catch (error) {
      if (this.index !== opened) return;
      console.warn('m2embed-search: the model could not be loaded; words answer alone.', error);
      this.mindState = 'failed';
    }
    await this.search();
  }

  private async search(): Promise<void> {
    const turn = ++this.turn;
    const query = this.input.value.trim();
    if (query === '') {
      this.hits = [];
      this.list.replaceChildren();
      this.more.hidden = true;
      this.status.textContent = '';
      return;
    }
    try {
      const index = await this.open();
      const terms = parse(query);
      const whole = wholePhrase(terms);
      const phrases = [...terms.flatMap(alternatives), ...terms.map(({ pieces }) => phrase(pieces)), ...(whole ? [whole] : [])];
      await index.fetchWords(phrases);
      const quoted = terms.filter((term) => term.quoted && !term.excluded).map(({ pieces }) => index.find(phrase(pieces)));
      if (quoted.length > 0) await index.fetchTexts([...quoted[0]!.keys()].filter((row) => quoted.every((rows) => rows.has(row))));
      if (turn !== this.turn) return;
      const { mind } = this;
      const vector = mind && (await mind.model.embed(meaning(query), { task: 'query', normalize: true }));
      if (turn !== this.turn) return;
      this.terms = terms;
      this.hits = rank(index, vector && mind?.cosines(vector), { terms, mode: vector ? 'both' : 'words', group: (row) => index.pageOf(row) });
      await this.show();
      if (turn === this.turn) void this.wake(index);
    } catch (error) {
      if (turn !== this.turn) return;
      console.error(error);
      this.status.textContent = `The search could not be loaded (${(error as Error).message}).`;
    }
  }

  private async show(): Promise<void> {
    const { turn, hits, terms } = this;
    const index = await this.open();
    const good = hits.filter((hit) => hit.good);
    const wanted = good.length > 0 ? good : hits.slice(0, ALSO);
    const shown = wanted.slice(0, this.listed).map((hit) => [hit.passages[0]!, ...hit.passages.slice(1).filter((one) => one.good)].map(({ row }) => row));
    await index.fetchTexts(shown.flat());
    if (turn !== this.turn) return;
    this.list.replaceChildren(...shown.map((rows) => this.result(rows.map((row) => index.passage(row)!), terms)));
    this.more.hidden = wanted.length <= this.listed;
    const pages = `${good.length} ${good.length === 1 ? 'page' : 'pages'}`;
    const { mind, mindState } = this;
    const how = mind || this.hasAttribute('words') ? '' : mindState === 'failed' || saving() ? ', by words alone' : ', by words until the model is here';
    this.status.textContent = (good.length > 0 ? pages : hits.length > 0 ? 'No good match; the nearest' : 'No match') + how;
    const detail: SearchDetail = { query: this.input.value, found: good.length, meaning: mind !== undefined };
    this.dispatchEvent(new CustomEvent('m2embed-search', { detail, bubbles: true, composed: true }));
  }

  private result([first, ...others]: Passage[], terms: readonly Term[]): HTMLElement {
    const { title, heading, text, address } = first!;
    // The heading stands above the excerpt already.
    const own = heading.split(' > ').at(-1)!;
    const below = own !== '' && text.startsWith(own) ? text.slice(own.length).search(/\S/) : -1;
    const start = below > 0 ? own.length + below : 0;
    const words = marks(text, start, text.length, terms);
    const at = words[0]?.start ?? start;
    const from = at - start > EXCERPT - BEFORE ? excerptFrom(text, at, BEFORE) : start;
    const to = Math.min(text.length, from + EXCERPT);
    const where = heading === title ? '' : heading.replace(`${title} > `, '').replaceAll(' > ', ' › ');
    const also = new Map(others.filter((other) => other.address !== address && other.heading !== '').map((other) => [other.address, other.heading.split(' > ').at(-1)!]));
    return h(
      'li',
      { part: 'result' },
      h('a', { href: address, part: 'link' }, h('b', null, title), where !== '' && h('span', { class: 'where' }, where), h('p', null, from > start && '… ', marked(text, from, to, words), to < text.length && ' …')),
      also.size > 0 && h('span', { class: 'also' }, ...[...also].slice(0, ALSO).map(([href, name]) => h('a', { href }, name))),
    );
  }

  /** Arrows move through the results, Enter opens the first, Escape goes back and clears. */
  private key(event: KeyboardEvent): void {
    const links = [...this.list.querySelectorAll<HTMLAnchorElement>('li > a')];
    const at = links.indexOf(event.target as HTMLAnchorElement);
    const inInput = event.target === this.input;
    if (event.key === 'ArrowDown' && links.length > 0) (links[at + 1] ?? links.at(-1)!).focus();
    else if (event.key === 'ArrowUp' && !inInput) (at > 0 ? links[at - 1]! : this.input).focus();
    else if (event.key === 'Enter' && inInput && links[0]) links[0].click();
    else if (event.key === 'Escape' && (!inInput || this.input.value !== '')) {
      if (inInput) void this.ask('');
      else this.input.focus();
    } else return;
    event.preventDefault();
  }
}

if (!customElements.get('m2embed-search')) customElements.define('m2embed-search', M2EmbedSearchElement);
