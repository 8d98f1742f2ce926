/** Errors as sentences with a next step. */

import { $, h, isAbort, size } from './dom.js';

export interface Action {
  label: string;
  run(): void;
}

/** Shows a sentence at the foot of the page until it is closed. */
export function notify(text: string, action?: Action): void {
  const list = $('notices');
  for (const old of [...list.children]) if (old.firstChild?.textContent === text) old.remove();
  while (list.children.length > 2) list.firstElementChild?.remove();
  const notice = h(
    'div',
    { class: 'notice', role: 'alert' },
    h('span', null, text),
    action && h('button', { type: 'button', onclick: () => (notice.remove(), action.run()) }, action.label),
    h('button', { type: 'button', class: 'close', 'aria-label': 'Close this message', onclick: () => notice.remove() }, '×'),
  );
  list.append(notice);
}

/** Tells of a failure; work that was called off is none. */
export async function report(error: unknown, action?: Action): Promise<void> {
  if (isAbort(error)) return;
  console.error(error);
  notify(await explain(error), action);
}

/** What went wrong, and what to do about it. */
export async function explain(error: unknown): Promise<string> {
  const { name = 'Error', message = String(error), code } = error as { name?: string; message?: string; code?: string };
  if (name === 'QuotaExceededError') {
    const { usage = 0, quota = 0 } = (await navigator.storage?.estimate().catch(() => undefined)) ?? {};
    return `The browser gives this page no more room: ${size(usage)} of ${size(quota)} are taken. Delete a model or documents, then try again; until then this stays in memory only.`;
  }
  switch (code) {
    case 'network':
      return `The download failed (${message}). Check the connection and the address, then try again: what has arrived is kept.`;
    case 'integrity':
      return `The file is not the one that was promised (${message}). Fetch it again.`;
    case 'bad_weights':
      return `This is not a checkpoint that fits the model (${message}). Choose a model.safetensors, pytorch_model.bin or .pt of an M2-BERT, and its own config.json.`;
    case 'bad_config':
      return `config.json does not describe an M2-BERT (${message}). Take the file that lies beside the weights.`;
    case 'bad_tokenizer':
      return `The tokenizer file could not be used (${message}). Take tokenizer.json or vocab.txt from beside the weights.`;
    case 'out_of_memory':
    case 'instance_lost':
      return `The tab ran out of memory (${message}). The model starts again by itself; take shorter texts or a smaller model, or close other tabs.`;
    case 'bad_handle':
      return 'The model was changed in the meantime, so this work ended. Start it again with the new one.';
    case 'too_long':
      return `The text is longer than the model takes (${message}). Cut it into passages.`;
    case 'gpu_lost':
      return `The GPU was taken away (${message}). The CPU still works; run the comparison again to ask for the GPU anew.`;
    case 'gpu_out_of_memory':
      return `The GPU has too little memory for this length (${message}). Leave out the longest texts.`;
  }
  if (error instanceof RangeError && /allocation|memory/i.test(message)) return `The tab ran out of memory (${message}). Take shorter texts or a smaller model, or close other tabs.`;
  return message.endsWith('.') ? message : `${message}.`;
}
