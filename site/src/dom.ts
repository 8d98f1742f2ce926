/** Small helpers for plain DOM: making elements, and numbers as people read them. */

type Child = Node | string | number | null | undefined | false;
type Properties = Record<string, unknown>;

/**
 * Makes an element. Keys that start with "on" are listeners, keys with "-" and
 * "role", "for", "class" are attributes, all others are properties.
 */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, properties: Properties | null = null, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value as EventListener);
    else if (key.includes('-') || key === 'role' || key === 'for' || key === 'class' || key === 'scope') element.setAttribute(key, String(value));
    else (element as unknown as Properties)[key] = value;
  }
  element.append(...children.filter((child): child is Node | string | number => child !== null && child !== undefined && child !== false).map((child) => (typeof child === 'number' ? String(child) : child)));
  return element;
}

/** The element with that id, which index.html has. */
export function $<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return element as T;
}

const whole = new Intl.NumberFormat('en');

/** 8412 → "8,412". */
export function count(n: number): string {
  return whole.format(Math.round(n));
}

/** "1 passage", "8,412 passages". */
export function counted(n: number, noun: string, nouns = `${noun}s`): string {
  return `${count(n)} ${n === 1 ? noun : nouns}`;
}

/** Bytes in powers of ten, as file managers show them. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} bytes`;
  for (const unit of ['kB', 'MB', 'GB']) {
    bytes /= 1000;
    if (bytes < 999.5 || unit === 'GB') return `${bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)} ${unit}`;
  }
  return '';
}

/** Milliseconds as "8 ms", "1.2 s", "3 min 20 s". */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 89.5) return `${Math.round(seconds)} s`;
  const minutes = Math.floor((seconds + 0.5) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds - 60 * minutes)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A similarity as people read it: "0.54", "−0.12", and never "−0.00". */
export function cosineText(value: number): string {
  const text = value.toFixed(2);
  return text === '-0.00' ? '0.00' : text.replace('-', '−');
}

/** Calls f once, `ms` after the last call. */
export function debounce(ms: number, f: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(f, ms);
  };
}

/** Calls f `ms` after the first of several calls, so also while they go on coming. */
export function throttle(ms: number, f: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      f();
    }, ms);
  };
}

/** Saves bytes or text as a file of the visitor's. */
export function saveFile(name: string, content: BlobPart[], type: string): void {
  const address = URL.createObjectURL(new Blob(content, { type }));
  const link = h('a', { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Copies text and says so on the button. */
export async function copy(text: string, button: HTMLButtonElement): Promise<void> {
  const label = button.dataset['label'] ?? button.textContent ?? '';
  button.dataset['label'] = label;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'The browser refused';
  }
  setTimeout(() => (button.textContent = label), 1600);
}

/** Fills a dialog with a title, a way out and a body, and shows it. */
export function openDialog(dialog: HTMLDialogElement, title: string, ...body: Child[]): void {
  const heading = h('h2', { id: `${dialog.id}-title` }, title);
  const close = h('button', { type: 'button', class: 'quiet', onclick: () => dialog.close() }, 'Close');
  dialog.replaceChildren(h('div', { class: 'head' }, heading, close), h('div', { class: 'body' }, ...body));
  if (!dialog.open) dialog.showModal();
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close();
  };
}

/** Small choices kept across visits; where the browser refuses, they last for this one. */
export const settings = {
  get(key: string): string | null {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  },
  set(key: string, value: string): void {
    try {
      localStorage.setItem(key, value);
    } catch {
      // Refused, in a private window say.
    }
  },
};

/** Whether an error only says that work was called off. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** Lets the page answer before work goes on; timers would wait four milliseconds and more. */
export function breath(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}
