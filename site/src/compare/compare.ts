/** Compare: the CPU against the GPU of this device, by length, in turns. */

import { cosine, type Embedder } from 'm2embed/worker';
import { $, copy, count, duration, h, isAbort, size } from '../dom.js';
import { engine } from '../engine.js';
import { explain, report } from '../notice.js';
import { sample } from '../search/sample.js';
import { openGpu, whyNoGpu, whyNotOpened, type Gpu } from './gpu.js';
import { drawPlot } from './plot.js';

const LENGTHS = [128, 512, 2048, 8192, 32768];
/** Lengths that start ticked: longer ones take a while on a CPU. */
const USUAL = 2048;
/** Runs of each side at a length; their median counts. */
const RUNS = 3;
/** A length whose first run takes longer than this is run once. */
const LONG = 4000;

interface Row {
  length: number;
  cpu?: number;
  gpu?: number;
  prepare?: number;
  cosine?: number;
  difference?: number;
  cpuMemory?: number;
  gpuMemory?: number;
}

let rows: Row[] = [];
let abort: AbortController | undefined;
let adapter = '';

export function startCompare(): void {
  const lengths = h('fieldset', { class: 'lengths', id: 'compare-lengths' }, h('legend', { class: 'hidden-label' }, 'Lengths in tokens'));
  const run = h('button', { type: 'button', class: 'primary', id: 'compare-run', onclick: () => (abort ? abort.abort(new DOMException('stopped', 'AbortError')) : void start()) }, 'Run');
  const copyButton = h('button', { type: 'button', class: 'quiet', id: 'compare-copy', disabled: true }, 'Copy as Markdown');
  copyButton.addEventListener('click', () => void copy(markdown(), copyButton));
  const plot = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  plot.id = 'compare-plot';
  plot.setAttribute('class', 'plot');
  plot.setAttribute('role', 'img');
  plot.setAttribute('aria-label', 'Tokens a second by length; the table has the numbers');
  $('compare-root').append(
    h(
      'div',
      { class: 'compare' },
      h('div', { class: 'bar-row' }, lengths, run, copyButton),
      h('p', { class: 'small muted', role: 'status', id: 'compare-status' }),
      h('progress', { max: 1, value: 0, id: 'compare-progress', 'aria-label': 'Running', hidden: true }),
      h('div', { class: 'figures' }, h('div', { class: 'panel' }, plot), h('div', { class: 'scroll', id: 'compare-table', tabIndex: 0, role: 'region', 'aria-label': 'Results' })),
      h('p', { class: 'small muted' }, 'Both sides compute in 32 bits, with one exception: of 8-bit weights the CPU makes 8-bit products, so there the vectors differ a little more. Uploading weights and compiling shaders is not part of the rates; it is the last column.'),
    ),
  );
  const offer = (): void => {
    if (engine.state.phase !== 'ready' || abort) return;
    const most = engine.state.model.info.maxLength;
    let all = LENGTHS.filter((length) => length <= most);
    if (all.length < 3) all = [32, 128, 512].filter((length) => length <= most);
    lengths.replaceChildren(lengths.firstElementChild!, ...all.map((length) => h('label', null, h('input', { type: 'checkbox', value: String(length), checked: length <= USUAL }), count(length))));
    rows = [];
    draw(all);
    const why = whyNoGpu();
    say(why ? `Only the CPU can be measured: ${why}.` : 'Ready. Each length runs a few times on both sides, in turns; the median counts.');
  };
  let model = '';
  engine.addEventListener('change', () => {
    const now = engine.state.phase === 'ready' ? engine.choice.id : '';
    if (now !== model) {
      model = now;
      offer();
    }
  });
  drawPlot(plot, LENGTHS.slice(0, 3), [], []);
  drawTable();
  offer();
}

function say(text: string): void {
  $('compare-status').textContent = text;
}

async function start(): Promise<void> {
  const lengths = [...document.querySelectorAll<HTMLInputElement>('#compare-lengths input:checked')].map((box) => Number(box.value));
  if (lengths.length === 0) return say('Tick at least one length.');
  const mine = (abort = new AbortController());
  const { signal } = mine;
  const button = $<HTMLButtonElement>('compare-run');
  const progress = $<HTMLProgressElement>('compare-progress');
  button.textContent = 'Stop';
  progress.hidden = false;
  progress.value = 0;
  rows = [];
  adapter = '';
  draw(lengths);
  let gpu: Gpu | undefined;
  let note = '';
  try {
    const model = await engine.model();
    const why = whyNoGpu();
    if (why) note = `Only the CPU was measured: ${why}.`;
    else {
      say('Opening the GPU.');
      try {
        gpu = await openGpu(signal, (bytes) => say(`Opening the GPU: ${size(bytes)} of weights are there.`));
        adapter = gpu.model.info.adapter ?? '';
      } catch (error) {
        if (isAbort(error)) throw error;
        note = `Only the CPU was measured: ${whyNotOpened(error)}.`;
      }
    }
    const words = await model.tokenize(`${sample.text}\n`.repeat(4));
    for (const [i, length] of lengths.entries()) {
      const row: Row = { length };
      rows.push(row);
      const share = (part: number): void => void (progress.value = Math.max(progress.value, (i + part) / lengths.length));
      say(`${count(length)} tokens on the CPU${gpu ? ' and the GPU' : ''}.`);
      try {
        await measure(model, gpu, idsOf(words.ids, length), row, signal, share, () => draw(lengths));
      } catch (error) {
        if (isAbort(error)) throw error;
        if (row.cpu === undefined) throw error;
        // The GPU gave up at this length; the CPU goes on.
        note = await explain(error);
        void gpu?.model.dispose();
        gpu = undefined;
      }
      draw(lengths);
    }
    say(note || `Done${adapter ? `, on ${adapter}` : ''}.`);
  } catch (error) {
    if (isAbort(error)) say('Stopped.');
    else {
      engine.recover(error);
      say(await explain(error));
      void report(error);
    }
  } finally {
    void gpu?.model.dispose();
    abort = undefined;
    button.textContent = 'Run again';
    progress.hidden = true;
    $<HTMLButtonElement>('compare-copy').disabled = rows.length === 0;
  }
}

/** Runs both sides in turns, so that a busy moment hits both. */
async function measure(model: Embedder, gpu: Gpu | undefined, ids: Int32Array, row: Row, signal: AbortSignal, share: (part: number) => void, changed: () => void): Promise<void> {
  const { length } = row;
  const cpuTimes: number[] = [];
  const gpuTimes: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const cpuPart = (within: number): void => share((run + (gpu ? 0.5 : 1) * within) / RUNS);
    const gpuPart = (within: number): void => share((run + 0.5 + 0.5 * within) / RUNS);
    let cpu = await once(model, ids, signal, cpuPart);
    // The first run makes the filters of this length, which later ones find ready.
    if (run === 0 && cpu.ms < LONG) cpu = { ...cpu, ms: (await once(model, ids, signal, cpuPart)).ms };
    cpuTimes.push(cpu.ms);
    row.cpu = (1000 * length) / median(cpuTimes);
    row.cpuMemory = model.memory;
    changed();
    if (gpu) {
      if (run === 0) {
        row.prepare = gpu.upload + (await once(gpu.model, ids, signal, gpuPart)).ms;
        gpu.upload = 0;
      }
      const { vector, ms } = await once(gpu.model, ids, signal, gpuPart);
      gpuTimes.push(ms);
      row.gpu = (1000 * length) / median(gpuTimes);
      row.gpuMemory = gpu.model.gpuMemory;
      row.cosine = cosine(cpu.vector, vector);
      row.difference = cpu.vector.reduce((most, value, j) => Math.max(most, Math.abs(value - vector[j]!)), 0);
      changed();
    }
    if (Math.max(cpuTimes[0]!, gpuTimes[0] ?? 0) > LONG) break;
  }
}

/** The unit vector (D) of token ids (L), and the milliseconds that it took. */
async function once(model: Embedder, ids: Int32Array, signal: AbortSignal, onShare: (share: number) => void): Promise<{ vector: Float32Array; ms: number }> {
  const started = performance.now();
  const [embedding] = await model.embedDetailed([ids], { padding: 'none', normalize: true, signal, onProgress: ({ done, total }) => onShare(done / total) });
  return { vector: embedding!.vector, ms: performance.now() - started };
}

/** [CLS], words of the sample as often as needed, [SEP]. */
function idsOf(ids: Int32Array, length: number): Int32Array {
  const out = new Int32Array(length);
  const inner = ids.subarray(1, -1);
  for (let i = 0; i < length; i++) out[i] = inner[i % inner.length]!;
  out[0] = ids[0]!;
  out[length - 1] = ids.at(-1)!;
  return out;
}

function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function draw(lengths: readonly number[]): void {
  const points = (side: 'cpu' | 'gpu') => rows.flatMap((row) => (row[side] === undefined ? [] : [{ length: row.length, rate: row[side] }]));
  drawPlot(document.querySelector<SVGSVGElement>('#compare-plot')!, lengths, points('cpu'), points('gpu'));
  drawTable();
}

const HEAD = ['Tokens', 'CPU tokens/s', 'GPU tokens/s', 'GPU ÷ CPU', '1 − cosine', 'Largest difference', 'CPU memory', 'GPU memory', 'GPU made ready in'];

function cells(row: Row): string[] {
  const or = (value: number | undefined, write: (value: number) => string): string => (value === undefined ? '–' : write(value));
  const ratio = row.cpu && row.gpu ? row.gpu / row.cpu : undefined;
  return [
    count(row.length),
    or(row.cpu, count),
    or(row.gpu, count),
    or(ratio, (value) => `${value.toFixed(value < 10 ? 2 : 0)}×`),
    or(row.cosine, (value) => Math.max(0, 1 - value).toExponential(1)),
    or(row.difference, (value) => value.toExponential(1)),
    or(row.cpuMemory, size),
    or(row.gpuMemory, size),
    or(row.prepare, duration),
  ];
}

function drawTable(): void {
  const body = rows.length > 0 ? rows.map((row) => h('tr', null, ...cells(row).map((text) => h('td', null, text)))) : [h('tr', null, h('td', { colSpan: HEAD.length, class: 'muted' }, 'No run yet.'))];
  // One column a length would be narrower, but a row a length reads and copies better.
  $('compare-table').replaceChildren(h('table', { class: 'data' }, h('caption', { class: 'hidden-label' }, 'CPU and GPU by length'), h('thead', null, h('tr', null, ...HEAD.map((text) => h('th', { scope: 'col' }, text)))), h('tbody', null, ...body)));
}

function markdown(): string {
  const line = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;
  const about = [`Model: ${engine.choice.name}`, adapter && `GPU: ${adapter}`, `Browser: ${navigator.userAgent}`, `${navigator.hardwareConcurrency} logical cores, one used`].filter(Boolean).join('; ');
  return [line(HEAD), line(HEAD.map(() => '---:')), ...rows.map((row) => line(cells(row))), '', about, ''].join('\n');
}
