/** Starts the page: sections, colours, the model, and what works offline. */

import { $, h, settings, size } from './dom.js';
import { engine, forgetOldWeights } from './engine.js';
import { startDrawer, chosenModel } from './model/drawer.js';
import { explain } from './notice.js';

/** Sections that start when they are first shown. */
const starters: Record<string, () => Promise<() => void | Promise<void>>> = {
  search: async () => (await import('./search/search.js')).startSearch,
  try: async () => (await import('./try.js')).startTry,
  map: async () => (await import('./map/map.js')).startMap,
  compare: async () => (await import('./compare/compare.js')).startCompare,
  use: async () => (await import('./use.js')).startUse,
};
const started = new Set<string>();
/** Milliseconds that the model waits at most for what is shown first. */
const PATIENCE = 1000;
/** What is shown first. */
let opening: Promise<void> | undefined;
const { title } = document;

function show(): void {
  const names = Object.keys(starters);
  const asked = location.hash.slice(1) || new URLSearchParams(location.search).get('tab') || '';
  const name = names.includes(asked) ? asked : 'search';
  for (const other of names) $(other).hidden = other !== name;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `#${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  window.scrollTo(0, 0);
  document.title = name === 'search' ? title : `${$(name).querySelector('h1')?.textContent ?? name} · m2embed`;
  const start = starters[name];
  if (start && !started.has(name)) {
    started.add(name);
    const running = start().then((run) => run());
    opening ??= running;
  }
  document.dispatchEvent(new CustomEvent('section', { detail: name }));
}

/** The button at the top tells how the model is doing. */
function followModel(): void {
  const button = $('model-button');
  const progress = $<HTMLProgressElement>('model-progress');
  const state = button.querySelector('.state')!;
  const draw = (): void => {
    const now = engine.state;
    button.dataset['phase'] = now.phase;
    button.querySelector('.name')!.textContent = engine.choice.name;
    progress.hidden = now.phase !== 'loading';
    if (now.phase === 'ready') state.textContent = 'ready';
    else if (now.phase === 'failed') state.textContent = 'failed';
    else if (now.progress?.stage === 'weights' && now.progress.total > 0) {
      progress.value = now.progress.loaded / now.progress.total;
      state.textContent = `${Math.round(100 * progress.value)} % of ${size(now.progress.total)}`;
    } else state.textContent = 'loading';
    void trouble();
  };
  /** Says why there is no model, above everything else. */
  const trouble = async (): Promise<void> => {
    const box = $('trouble');
    const now = engine.state;
    if (now.phase !== 'failed') return void (box.hidden = true);
    const text = await explain(now.error);
    if (engine.state !== now) return;
    box.replaceChildren(h('p', null, `The model could not be loaded. ${text}`), h('button', { type: 'button', onclick: () => void engine.use(engine.choice).catch(() => {}) }, 'Try again'));
    box.hidden = false;
  };
  engine.addEventListener('change', draw);
  draw();
}

/** Colours follow the system until the visitor chooses. */
function startTheme(): void {
  const button = $('theme');
  const names = { auto: 'as the system has them', light: 'light', dark: 'dark' } as const;
  const order = ['auto', 'light', 'dark'] as const;
  const read = (): keyof typeof names => {
    const kept = settings.get('theme');
    return kept === 'light' || kept === 'dark' ? kept : 'auto';
  };
  const apply = (): void => {
    const theme = read();
    if (theme === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
    button.setAttribute('aria-label', `Colours: ${names[theme]}`);
    button.title = `Colours: ${names[theme]}`;
  };
  button.addEventListener('click', () => {
    settings.set('theme', order[(order.indexOf(read()) + 1) % order.length]!);
    apply();
    document.dispatchEvent(new Event('theme'));
  });
  apply();
}

/** Registers the service worker when the page has nothing better to do. */
async function startOffline(): Promise<void> {
  if (!('serviceWorker' in navigator)) return;
  try {
    await navigator.serviceWorker.register(new URL('./sw.js', document.baseURI));
    await navigator.serviceWorker.ready;
    $('offline').textContent = 'It works without a network from now on.';
  } catch {
    $('offline').textContent = 'This browser does not let it work without a network.';
  }
}

startTheme();
followModel();
startDrawer();
// A file that misses its place must not replace the page.
for (const name of ['dragover', 'drop']) addEventListener(name, (event) => event.preventDefault());
addEventListener('hashchange', show);
show();
// The library answers by words at once; the model, which keeps the processor busy, comes after that.
const loading = Promise.race([opening?.catch(() => {}), new Promise((resolve) => setTimeout(resolve, PATIENCE))]).then(chosenModel).then((choice) => engine.use(choice));
void loading.catch(() => {}).then(() => Promise.all([startOffline(), forgetOldWeights().catch(() => {})]));
