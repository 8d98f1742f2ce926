/** Tokens a second by length, on logarithmic axes, as a drawing that grows. */

import { count } from '../dom.js';

export interface Point {
  length: number;
  rate: number;
}

const WIDE = 560;
const HIGH = 300;
const EDGE = { left: 62, right: 46, top: 30, bottom: 40 };

function s<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Record<string, string | number>, text?: string): SVGElementTagNameMap[K] {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Draws both lines; the same words are in the table beside it. */
export function drawPlot(root: SVGSVGElement, lengths: readonly number[], cpu: readonly Point[], gpu: readonly Point[]): void {
  root.setAttribute('viewBox', `0 0 ${WIDE} ${HIGH}`);
  const rates = [...cpu, ...gpu].map((point) => point.rate);
  const low = 10 ** Math.floor(Math.log10(Math.min(1000, ...rates)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(10 * low, ...rates) * 1.01));
  const span = Math.log2(lengths.at(-1)! / lengths[0]!) || 1;
  const x = (length: number): number => EDGE.left + (Math.log2(length / lengths[0]!) / span) * (WIDE - EDGE.left - EDGE.right);
  const y = (rate: number): number => HIGH - EDGE.bottom - (Math.log10(rate / low) / Math.log10(high / low)) * (HIGH - EDGE.top - EDGE.bottom);
  const parts: SVGElement[] = [];
  for (let rate = low; rate <= high * 1.001; rate *= 10) {
    parts.push(s('line', { class: 'grid', x1: EDGE.left, x2: WIDE - EDGE.right, y1: y(rate), y2: y(rate) }), s('text', { x: EDGE.left - 8, y: y(rate) + 4, 'text-anchor': 'end' }, count(rate)));
  }
  for (const length of lengths) parts.push(s('text', { x: x(length), y: HIGH - EDGE.bottom + 20, 'text-anchor': 'middle' }, count(length)));
  parts.push(s('text', { x: EDGE.left, y: 12, 'text-anchor': 'end' }, 'tokens/s'), s('text', { x: WIDE - EDGE.right, y: HIGH - 4, 'text-anchor': 'end' }, 'tokens of the text'));
  for (const [name, label, points] of [['cpu', 'CPU', cpu], ['gpu', 'GPU', gpu]] as const) {
    if (points.length === 0) continue;
    parts.push(s('polyline', { class: name, points: points.map((point) => `${x(point.length).toFixed(1)},${y(point.rate).toFixed(1)}`).join(' ') }));
    for (const point of points) parts.push(s('circle', { class: `${name}-dot`, cx: x(point.length), cy: y(point.rate), r: 4 }));
    const last = points.at(-1)!;
    parts.push(s('text', { class: `${name}-label`, x: x(last.length) + 9, y: y(last.rate) + 4 }, label));
  }
  root.replaceChildren(...parts);
}
