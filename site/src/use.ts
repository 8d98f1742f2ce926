/** Use it: files to copy, shown as they are; the tests run each of them. */

import edge from '../../wasm/js/examples/worker/main.js?raw';
import edgeSettings from '../../wasm/js/examples/worker/wrangler.toml?raw';
import node from '../../wasm/js/examples/node.mjs?raw';
import page from '../../wasm/js/examples/page/index.html?raw';
import wazero from '../snippets/wazero/main.go?raw';
import worker from '../snippets/worker.js?raw';
import { $, copy, h } from './dom.js';

const SNIPPETS = [
  { title: 'In a page', about: 'The model runs in a worker that the package starts, so the page never waits.', files: [['index.html', page]] },
  { title: 'In a worker of your own', about: 'For code that is in a worker anyway. A bundler resolves the import.', files: [['worker.js', worker]] },
  { title: 'In an edge function', about: 'A Cloudflare Worker with the answer of the OpenAI embeddings API. Module and model are part of the script.', files: [['main.js', edge], ['wrangler.toml', edgeSettings]] },
  { title: 'In Node', about: 'The same package; the model is a folder.', files: [['node.mjs', node]] },
  { title: 'In Go, with wazero', about: 'The same WebAssembly file, without cgo.', files: [['main.go', wazero]] },
] as const;

export function startUse(): void {
  const parts = SNIPPETS.map(({ title, about, files }) =>
    h(
      'section',
      { class: 'stack', 'aria-label': title },
      h('div', null, h('h2', null, title), h('p', { class: 'small muted' }, about)),
      ...files.map(([name, text]) => {
        const button = h('button', { type: 'button', class: 'quiet', 'aria-label': `Copy ${name}` }, 'Copy');
        button.addEventListener('click', () => void copy(text, button));
        return h('div', { class: 'snippet' }, h('div', { class: 'row' }, h('span', { class: 'mono muted' }, name), h('span', { class: 'spacer' }), button), h('pre', { tabIndex: 0, role: 'group', 'aria-label': name }, h('code', null, text.trimEnd())));
      }),
    ),
  );
  $('use-root').append(h('div', { class: 'use' }, ...parts));
}
