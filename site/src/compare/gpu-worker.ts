/** The GPU side of the comparison: plans, uploads and runs, away from the page. */

import { Executor, type LoadedPlan } from '../../../webgpu/executor.js';
import { Planner } from './planner.js';

export type GpuCall =
  | { call: 'open'; planner: string; config: Uint8Array; weights: Blob }
  /** ids (L): token ids, special tokens included. */
  | { call: 'run'; ids: Uint32Array };

export type GpuReply =
  | { opened: { adapter: string } }
  /** The unit vector (D), milliseconds of this run and of what had to be made ready first, bytes on the GPU. */
  | { vector: Float32Array; ms: number; prepare: number; memory: number }
  | { progress: number }
  | { failure: { kind?: string; message: string } };

let executor: Executor | undefined;
let planner: Planner | undefined;
let loaded: { length: number; plan: LoadedPlan; scratch: number } | undefined;

const post = (reply: GpuReply): void => self.postMessage(reply);

self.onmessage = ({ data }: MessageEvent<GpuCall>) => {
  (data.call === 'open' ? open(data) : run(data.ids)).catch((error: unknown) => {
    const { kind, message } = error as { kind?: string; message: string };
    post({ failure: { message, ...(kind !== undefined && { kind }) } });
  });
};

async function open(call: Extract<GpuCall, { call: 'open' }>): Promise<void> {
  executor = await Executor.open(navigator.gpu);
  planner = await Planner.open(fetch(call.planner), call.config, call.weights);
  const { vendor, architecture, device, description } = executor.adapterInfo;
  post({ opened: { adapter: description || [vendor, architecture, device].filter(Boolean).join(' ') || 'unnamed adapter' } });
}

async function run(ids: Uint32Array): Promise<void> {
  if (!executor || !planner) throw new Error('the GPU is not open');
  let prepare = 0;
  const onProgress = (progress: number): void => post({ progress });
  if (loaded?.length !== ids.length) {
    const started = performance.now();
    if (loaded) executor.unload(loaded.plan);
    loaded = undefined;
    const maker = planner;
    const plan = maker.plan(ids.length, executor.limits);
    const scratch = plan.buffers.reduce((sum, buffer) => sum + (buffer.key === undefined ? buffer.size : 0), 0);
    loaded = { length: ids.length, plan: await executor.load(plan, (buffer) => maker.pack(buffer)), scratch };
    // The first run also fills the filters' spectra.
    await executor.run(loaded.plan, ids, ones(ids.length), { onProgress });
    prepare = performance.now() - started;
  }
  const started = performance.now();
  const vector = await executor.run(loaded.plan, ids, ones(ids.length), { onProgress });
  post({ vector, ms: performance.now() - started, prepare, memory: executor.residentBytes + loaded.scratch });
}

function ones(length: number): Uint32Array {
  return new Uint32Array(length).fill(1);
}
