/**
 * A list of many rows of equal height of which only the visible ones exist.
 * Arrow keys, Page Up, Page Down, Home and End move; Enter opens.
 */

export interface VirtualListOptions {
  root: HTMLElement;
  /** Fills an element with row i. */
  draw(element: HTMLElement, i: number): void;
  open(i: number): void;
  /** Called with the rows that have come into view, after scrolling has settled. */
  settled?(first: number, last: number): void;
}

const AHEAD = 4;

export class VirtualList {
  private readonly space = document.createElement('div');
  private readonly rows = new Map<number, HTMLElement>();
  private spare: HTMLElement[] = [];
  private count = 0;
  private height = 0;
  /** Where the list is scrolled to and how much of it is seen: to ask the page lays it out, so that each is kept. */
  private top = 0;
  private seen = 0;
  private active = -1;
  private frame = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: VirtualListOptions) {
    const { root } = options;
    root.setAttribute('role', 'listbox');
    root.tabIndex = 0;
    this.space.className = 'space';
    this.space.setAttribute('role', 'presentation');
    root.append(this.space);
    root.addEventListener('scroll', () => this.schedule(), { passive: true });
    root.addEventListener('keydown', (event) => this.key(event));
    root.addEventListener('click', (event) => {
      const row = (event.target as Element).closest<HTMLElement>('.result');
      if (row) this.options.open(Number(row.dataset['i']));
    });
    new ResizeObserver(() => {
      this.height = 0;
      this.seen = root.clientHeight;
      this.top = root.scrollTop;
      this.render();
    }).observe(root);
  }

  /** Shows another list of that many rows, from the top unless the place is kept. */
  show(count: number, keepPlace = false): void {
    this.count = count;
    if (!keepPlace || this.active >= count) {
      this.active = -1;
      this.options.root.removeAttribute('aria-activedescendant');
    }
    if (!keepPlace && this.top > 0) this.options.root.scrollTop = this.top = 0;
    for (const element of this.rows.values()) this.drop(element);
    this.rows.clear();
    this.render();
  }

  /** Draws a row again, if it is in view. */
  refresh(i: number): void {
    const element = this.rows.get(i);
    if (element) this.options.draw(element, i);
  }

  private schedule(): void {
    if (this.frame === 0) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.top = this.options.root.scrollTop;
        this.render();
      });
    }
  }

  private render(): void {
    const { root, draw, settled } = this.options;
    if (this.seen === 0) return;
    if (this.height === 0) {
      const probe = this.make();
      this.height = probe.getBoundingClientRect().height || 120;
      this.drop(probe);
      for (const [i, element] of this.rows) element.style.top = `${i * this.height}px`;
    }
    this.space.style.height = `${this.count * this.height}px`;
    const first = Math.max(0, Math.floor(this.top / this.height));
    const last = Math.min(this.count, Math.ceil((this.top + this.seen) / this.height));
    const [from, to] = [Math.max(0, first - AHEAD), Math.min(this.count, last + AHEAD)];
    for (const [i, element] of this.rows) {
      if (i < from || i >= to) {
        this.drop(element);
        this.rows.delete(i);
      }
    }
    for (let i = from; i < to; i++) {
      if (this.rows.has(i)) continue;
      const element = this.make();
      element.style.top = `${i * this.height}px`;
      element.dataset['i'] = String(i);
      element.id = `${root.id}-${i}`;
      element.setAttribute('aria-posinset', String(i + 1));
      element.setAttribute('aria-setsize', String(this.count));
      this.mark(element, i === this.active);
      this.rows.set(i, element);
      draw(element, i);
    }
    clearTimeout(this.timer);
    if (settled && this.count > 0) this.timer = setTimeout(() => settled(first, last), 90);
  }

  private make(): HTMLElement {
    const element = this.spare.pop() ?? document.createElement('div');
    element.className = 'result';
    element.setAttribute('role', 'option');
    element.hidden = false;
    if (!element.isConnected) this.space.append(element);
    return element;
  }

  private drop(element: HTMLElement): void {
    element.hidden = true;
    element.removeAttribute('id');
    element.replaceChildren();
    this.spare.push(element);
  }

  private mark(element: HTMLElement, active: boolean): void {
    element.classList.toggle('at', active);
    element.setAttribute('aria-selected', String(active));
  }

  private key(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.options.root.clientHeight / (this.height || 1)) - 1);
    const moves: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.count, End: this.count };
    const move = moves[event.key];
    if (move !== undefined && this.count > 0) {
      event.preventDefault();
      this.activate(Math.max(0, Math.min(this.count - 1, this.active + move)));
    } else if (event.key === 'Enter' && this.active >= 0) {
      // The same key must not press the button that is focused next.
      event.preventDefault();
      this.options.open(this.active);
    }
  }

  private activate(i: number): void {
    const { root } = this.options;
    const before = this.rows.get(this.active);
    if (before) this.mark(before, false);
    this.active = i;
    const top = i * this.height;
    if (top < root.scrollTop) root.scrollTop = top;
    else if (top + this.height > root.scrollTop + root.clientHeight) root.scrollTop = top + this.height - root.clientHeight;
    this.top = root.scrollTop;
    this.render();
    const element = this.rows.get(i);
    if (element) {
      this.mark(element, true);
      root.setAttribute('aria-activedescendant', element.id);
    }
  }
}
