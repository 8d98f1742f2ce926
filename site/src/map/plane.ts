/** The scatter of the map: a canvas with pointer, wheel and keyboard. */

import { h } from '../dom.js';

/** Colours of groups on light and on dark paper. */
const LIGHT = ['#1f6f6a', '#b3641f', '#5a4fa3', '#a3325a', '#4b7a1e', '#1f5fa8', '#8a6d00', '#7a3b8f', '#3f6b7d', '#8c4a36'];
const DARK = ['#6fd0c3', '#eaa766', '#a9a0f0', '#ee8aaa', '#a5d46a', '#7fb6f2', '#e0c75a', '#d59aec', '#9cc6d6', '#e2a18f'];

export interface Dot {
  title: string;
  text: string;
}

export interface PlaneOptions {
  describe(i: number): Dot;
  open(i: number): void;
  /** Passages were drawn around; `more` adds them to those before. */
  around(found: number[], more: boolean): void;
  /** A passage is to be taken in or out by the keyboard. */
  toggle(i: number): void;
}

/** How a passage is drawn. */
const DIM = 0;
const PLAIN = 1;
const LIT = 2;

const NEAR = 14;
const GLIDE = 450;

export function isDark(): boolean {
  const chosen = document.documentElement.dataset['theme'];
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

export function colourOf(group: number): string {
  const colours = isDark() ? DARK : LIGHT;
  return colours[group % colours.length]!;
}

export class Plane {
  readonly element: HTMLElement;
  private readonly canvas = h('canvas', { tabIndex: 0, role: 'application', 'aria-label': 'Map of passages. Arrow keys move to the next passage in that direction, Enter opens it, the space bar chooses it, plus and minus zoom, 0 shows all.' });
  private readonly tip = h('div', { class: 'tip', hidden: true });
  /** The names of the groups, where most of their passages lie; the list beside the map says them too. */
  private readonly names = h('div', { class: 'names', 'aria-hidden': 'true' });
  private labels: string[] = [];
  /** Where the query would lie. */
  private readonly pin = h('div', { class: 'pin', 'aria-hidden': 'true', hidden: true }, h('span'));
  private readonly live = h('p', { class: 'hidden-label', role: 'status' });
  /** (n, 2), in [-1, 1] */
  private points: Float32Array = new Float32Array();
  private from: Float32Array = new Float32Array();
  /** Whether a passage lies farther out than it is drawn. */
  private outside: Uint8Array = new Uint8Array();
  private group: Uint8Array = new Uint8Array();
  private lit: ReadonlySet<number> = new Set();
  private chosen: ReadonlySet<number> = new Set();
  /** Whether dragging draws around passages. */
  private encircling = false;
  private path: [number, number][] = [];
  private glideStart = 0;
  private view = { scale: 1, x: 0, y: 0 };
  private active = -1;
  private only: number | undefined;
  private drag: { x: number; y: number; moved: boolean } | undefined;
  private frame = 0;

  constructor(private readonly options: PlaneOptions) {
    this.element = h('div', { class: 'plane' }, this.canvas, this.names, this.pin, this.tip, this.live);
    new ResizeObserver(() => this.draw()).observe(this.element);
    document.addEventListener('theme', () => this.draw());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
    this.listen();
  }

  /** Shows points (n, 2); the same passages glide to their new places. Returns how many are drawn at the edge, since they lie farther out. */
  show(points: Float32Array, group: Uint8Array): number {
    const same = this.points.length === points.length;
    const fitted = fit(points);
    this.from = same ? this.now() : fitted.points;
    this.points = fitted.points;
    this.outside = fitted.outside;
    this.group = group;
    this.glideStart = same && !matchMedia('(prefers-reduced-motion: reduce)').matches ? performance.now() : -Infinity;
    if (!same) this.select(-1);
    this.reset();
    return this.outside.reduce((sum, one) => sum + one, 0);
  }

  /** Shows all of the map. */
  reset(): void {
    this.view = { scale: 1, x: 0, y: 0 };
    this.draw();
  }

  /** Lights passages, and puts a pin with a name amid them; without passages it goes. `weights` say how near each is. */
  light(passages: readonly number[], weights: readonly number[] = [], name = ''): void {
    this.lit = new Set(passages);
    this.litWeights = passages.map((i, k) => [i, weights[k] ?? 1]);
    this.pin.hidden = passages.length === 0;
    this.pin.firstElementChild!.textContent = name;
    this.draw();
  }
  private litWeights: [number, number][] = [];

  /** Marks the passages that are chosen. */
  choose(passages: ReadonlySet<number>): void {
    this.chosen = passages;
    this.draw();
  }

  /** Whether dragging draws around passages to choose them, or moves the map. */
  encircle(on: boolean): void {
    this.encircling = on;
    this.path = [];
    this.canvas.classList.toggle('encircling', on);
    this.draw();
  }

  /** Names the groups on the map. */
  label(names: readonly string[]): void {
    this.labels = [...names];
    this.draw();
  }

  /** Writes each group's name at the middle of its passages, the largest groups first, where no other name stands. */
  private write(): void {
    const { clientWidth: w, clientHeight: v } = this.canvas;
    const taken: { x: number; y: number; w: number }[] = [];
    const middle = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
    const spans = this.labels.flatMap((name, g) => {
      const members = [...this.group.keys()].filter((i) => this.group[i] === g && (this.only === undefined || this.only === g));
      if (name === '' || members.length === 0) return [];
      const places = members.map((i) => this.place(this.points, i));
      const width = Math.min(w - 8, 8 * name.length + 12);
      const x = Math.max(width / 2 + 4, Math.min(w - width / 2 - 4, middle(places.map(([px]) => px))));
      const y = middle(places.map(([, py]) => py));
      if (y < 12 || y > v - 12 || taken.some((other) => Math.abs(other.y - y) < 24 && Math.abs(other.x - x) < (other.w + width) / 2)) return [];
      taken.push({ x, y, w: width });
      const span = h('span', null, name);
      span.style.left = `${x}px`;
      span.style.top = `${y}px`;
      span.style.borderColor = colourOf(g);
      return [span];
    });
    this.names.replaceChildren(...spans);
  }

  /** Dims all groups but one. */
  emphasize(group: number | undefined): void {
    this.only = group;
    this.draw();
  }

  zoom(factor: number, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2): void {
    const scale = Math.max(1, Math.min(60, this.view.scale * factor));
    const share = scale / this.view.scale;
    const [cx, cy] = [x - this.canvas.clientWidth / 2, y - this.canvas.clientHeight / 2];
    this.view = scale === 1 ? { scale, x: 0, y: 0 } : { scale, x: cx - (cx - this.view.x) * share, y: cy - (cy - this.view.y) * share };
    this.draw();
  }

  private now(): Float32Array {
    const t = Math.min(1, (performance.now() - this.glideStart) / GLIDE);
    if (!(t < 1)) return this.points;
    const eased = 1 - (1 - t) ** 3;
    return this.points.map((value, i) => this.from[i]! + (value - this.from[i]!) * eased);
  }

  private place(points: Float32Array, i: number): [number, number] {
    const { clientWidth: w, clientHeight: v } = this.canvas;
    const { scale, x, y } = this.view;
    return [w / 2 + x + points[2 * i]! * (w / 2 - 26) * scale, v / 2 + y - points[2 * i + 1]! * (v / 2 - 26) * scale];
  }

  private draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  private paint(): void {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [w, v] = [canvas.clientWidth, canvas.clientHeight];
    if (w === 0 || v === 0) return;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(v * ratio)) [canvas.width, canvas.height] = [Math.round(w * ratio), Math.round(v * ratio)];
    const context = canvas.getContext('2d');
    if (!context) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, w, v);
    const points = this.now();
    const n = this.group.length;
    const radius = n > 4000 ? 2.2 : n > 600 ? 3.2 : 5;
    const colours = Array.from({ length: 10 }, (_, g) => colourOf(g));
    const looks = new Uint8Array(n);
    for (let i = 0; i < n; i++) looks[i] = this.lookOf(i);
    const marked = this.lit.size > 0 || this.chosen.size > 0;
    for (const look of [DIM, PLAIN, LIT]) {
      context.globalAlpha = look === DIM ? 0.15 : look === LIT ? 1 : n > 2000 ? 0.65 : 0.85;
      const r = look === LIT && marked ? radius + 1.5 : radius;
      for (let g = 0; g < colours.length; g++) {
        context.fillStyle = context.strokeStyle = colours[g]!;
        const edge = new Path2D();
        const inner = new Path2D();
        for (let i = 0; i < n; i++) {
          if (looks[i] !== look || this.group[i]! % colours.length !== g) continue;
          const [x, y] = this.place(points, i);
          if (x < -9 || y < -9 || x > w + 9 || y > v + 9) continue;
          const path = this.outside[i] ? edge : inner;
          path.moveTo(x + r, y);
          path.arc(x, y, r, 0, 2 * Math.PI);
        }
        context.fill(inner);
        // Hollow: it lies farther out.
        context.lineWidth = 1.6;
        context.stroke(edge);
      }
    }
    context.globalAlpha = 1;
    if (this.active >= 0 && this.active < n) {
      const [x, y] = this.place(points, this.active);
      context.lineWidth = 2;
      context.strokeStyle = getComputedStyle(canvas).color;
      context.beginPath();
      context.arc(x, y, radius + 4, 0, 2 * Math.PI);
      context.stroke();
    }
    if (this.path.length > 1) {
      context.lineWidth = 1.5;
      context.strokeStyle = getComputedStyle(canvas).color;
      context.setLineDash([5, 4]);
      context.beginPath();
      for (const [x, y] of this.path) context.lineTo(x, y);
      context.closePath();
      context.stroke();
      context.setLineDash([]);
    }
    this.drawPin(points);
    if (points !== this.points) this.draw();
    else this.write();
  }

  private lookOf(i: number): number {
    if (this.lit.size > 0) return this.lit.has(i) ? LIT : DIM;
    if (this.chosen.size > 0) return this.chosen.has(i) ? LIT : DIM;
    return this.only !== undefined && this.only !== this.group[i] ? DIM : PLAIN;
  }

  /** The pin stands at the weighted middle of what it lights. */
  private drawPin(points: Float32Array): void {
    if (this.litWeights.length === 0) return;
    let [x, y, total] = [0, 0, 0];
    for (const [i, weight] of this.litWeights) {
      const [px, py] = this.place(points, i);
      x += weight * px;
      y += weight * py;
      total += weight;
    }
    const { clientWidth: w, clientHeight: v } = this.canvas;
    this.pin.style.left = `${Math.max(8, Math.min(w - 8, x / total))}px`;
    this.pin.style.top = `${Math.max(24, Math.min(v - 4, y / total))}px`;
    // The name stays within the map.
    const span = this.pin.firstElementChild as HTMLElement;
    const half = span.offsetWidth / 2;
    const at = Math.max(8, Math.min(w - 8, x / total));
    span.style.marginLeft = `${Math.max(half + 4 - at, Math.min(0, w - 4 - half - at))}px`;
  }

  private nearest(x: number, y: number): number {
    let best = -1;
    let most = NEAR * NEAR;
    for (let i = 0; i < this.group.length; i++) {
      const [px, py] = this.place(this.points, i);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < most) [best, most] = [i, distance];
    }
    return best;
  }

  private select(i: number): void {
    this.active = i;
    this.tip.hidden = i < 0;
    this.canvas.style.cursor = i < 0 ? '' : 'pointer';
    if (i >= 0) {
      const { title, text } = this.options.describe(i);
      this.tip.replaceChildren(h('b', null, title), text, ...(this.outside[i] ? [h('i', null, ' It lies farther out than the edge of the map.')] : []));
      const [x, y] = this.place(this.points, i);
      const { clientWidth: w, clientHeight: v } = this.canvas;
      const { offsetWidth: tw, offsetHeight: th } = this.tip;
      this.tip.style.left = `${Math.max(4, Math.min(w - tw - 4, x - tw / 2))}px`;
      this.tip.style.top = `${y - th - 14 > 4 ? y - th - 14 : Math.min(v - th - 4, y + 16)}px`;
    }
    this.draw();
  }

  private listen(): void {
    const { canvas } = this;
    canvas.addEventListener('pointerdown', (event) => {
      this.drag = { x: event.clientX, y: event.clientY, moved: false };
      canvas.setPointerCapture(event.pointerId);
      if (this.encircling) this.path = [[event.offsetX, event.offsetY]];
    });
    canvas.addEventListener('pointermove', (event) => {
      const { drag } = this;
      if (drag) {
        const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
        if (drag.moved || Math.hypot(dx, dy) > 4) {
          drag.moved = true;
          if (this.encircling) {
            this.path.push([event.offsetX, event.offsetY]);
            this.draw();
          } else if (this.view.scale > 1) {
            this.view.x += dx;
            this.view.y += dy;
            this.select(-1);
          }
          [drag.x, drag.y] = [event.clientX, event.clientY];
        }
        return;
      }
      const i = this.nearest(event.offsetX, event.offsetY);
      if (i !== this.active) this.select(i);
    });
    canvas.addEventListener('pointerup', (event) => {
      const moved = this.drag?.moved;
      this.drag = undefined;
      const { path } = this;
      this.path = [];
      if (moved && this.encircling) {
        this.draw();
        this.options.around([...this.group.keys()].filter((i) => within(path, this.place(this.points, i))), event.shiftKey);
      }
      if (moved) return;
      const i = this.nearest(event.offsetX, event.offsetY);
      this.select(i);
      if (i >= 0) this.options.open(i);
    });
    canvas.addEventListener('pointercancel', () => {
      this.drag = undefined;
      this.path = [];
      this.draw();
    });
    canvas.addEventListener('pointerleave', () => !this.drag && document.activeElement !== canvas && this.select(-1));
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
      this.select(-1);
    });
    canvas.addEventListener('keydown', (event) => this.key(event));
    canvas.addEventListener('blur', () => this.select(-1));
  }

  private key(event: KeyboardEvent): void {
    const directions: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const direction = directions[event.key];
    if (direction && this.group.length > 0) {
      event.preventDefault();
      this.step(direction);
    } else if (event.key === 'Enter' && this.active >= 0) {
      // The same key must not press the button that is focused next.
      event.preventDefault();
      this.options.open(this.active);
    }
    else if (event.key === ' ' && this.active >= 0) {
      event.preventDefault();
      this.options.toggle(this.active);
    } else if (event.key === '+') this.zoom(1.4);
    else if (event.key === '-') this.zoom(1 / 1.4);
    else if (event.key === '0') this.reset();
  }

  /** Moves to the passage that is nearest in a direction, straight ahead preferred. */
  private step([dx, dy]: [number, number]): void {
    let best = this.active;
    if (this.active < 0) best = 0;
    else {
      const [x, y] = this.place(this.points, this.active);
      let most = Infinity;
      for (let i = 0; i < this.group.length; i++) {
        const [px, py] = this.place(this.points, i);
        const ahead = (px - x) * dx + (py - y) * dy;
        const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
        if (i !== this.active && ahead > 0.5 && ahead + 2.5 * aside < most) [best, most] = [i, ahead + 2.5 * aside];
      }
    }
    this.select(best);
    const { title, text } = this.options.describe(best);
    this.live.textContent = `${title}: ${text}`;
  }
}

/** Whether a point lies within a closed path: a ray from it crosses the path an odd number of times. */
function within(path: readonly (readonly [number, number])[], [x, y]: readonly [number, number]): boolean {
  let inside = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
    const [ax, ay] = path[i]!;
    const [bx, by] = path[j]!;
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/** Where points farther out are drawn. */
const EDGE = 1.04;

/** Scales points into [-1, 1], each axis by its own reach without the outermost hundredth; what lies farther out is drawn at the edge. */
function fit(points: Float32Array): { points: Float32Array; outside: Uint8Array } {
  const n = points.length / 2;
  const out = new Float32Array(points.length);
  const outside = new Uint8Array(n);
  for (const axis of [0, 1]) {
    const values = Float32Array.from({ length: n }, (_, i) => points[2 * i + axis]!).sort();
    const cut = n > 200 ? Math.floor(n / 100) : 0;
    const [low, high] = [values[cut] ?? 0, values[n - 1 - cut] ?? 0];
    const reach = high - low || 1;
    for (let i = 0; i < n; i++) {
      const at = n === 1 ? 0 : (2 * (points[2 * i + axis]! - low)) / reach - 1;
      if (Math.abs(at) > EDGE) outside[i] = 1;
      out[2 * i + axis] = Math.max(-EDGE, Math.min(EDGE, at));
    }
  }
  return { points: out, outside };
}
