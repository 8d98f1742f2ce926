/** The GPU planner module behind typed calls; see planner/main.go. */

import { Wasi } from 'm2embed/wasi';
import type { Plan, PlanLimits } from '../../../webgpu/executor.js';

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  reserve(bytes: number): number;
  result_address(): number;
  result_length(): number;
  open(): number;
  make_plan(length: number, maxBinding: number, maxBuffer: number, maxGroups: number): number;
  pack(buffer: number): number;
}

/** The largest size that crosses into the module, whose addresses have 32 bits. */
const MOST = 0xffff_fff0;

/** Plans forward passes of one model. */
export class Planner {
  private constructor(private readonly exports: Exports) {}

  /** Starts the module with a model. The weights are a safetensors file or a PyTorch checkpoint. */
  static async open(module: Response | Promise<Response>, config: Uint8Array, weights: Blob): Promise<Planner> {
    const wasi = new Wasi();
    const { instance } = await WebAssembly.instantiateStreaming(module, wasi.imports);
    const exports = instance.exports as unknown as Exports;
    wasi.attach(exports.memory);
    exports._initialize();
    const planner = new Planner(exports);
    planner.view(exports.reserve(config.length), config.length).set(config);
    const at = exports.reserve(weights.size);
    let written = 0;
    for await (const chunk of weights.stream() as unknown as AsyncIterable<Uint8Array>) {
      planner.view(at + written, chunk.length).set(chunk);
      written += chunk.length;
    }
    planner.answer(exports.open());
    return planner;
  }

  /** Bytes of linear memory. */
  get memory(): number {
    return this.exports.memory.buffer.byteLength;
  }

  plan(length: number, limits: PlanLimits): Plan {
    const { maxStorageBufferBindingSize: binding, maxBufferSize: buffer, maxComputeWorkgroupsPerDimension: groups } = limits;
    const json = this.answer(this.exports.make_plan(length, Math.min(binding, MOST), Math.min(buffer, MOST), groups));
    return JSON.parse(new TextDecoder().decode(json)) as Plan;
  }

  /** The packed bytes of a weight buffer of the last plan, valid until the next call. */
  pack(buffer: number): Uint8Array {
    return this.answer(this.exports.pack(buffer));
  }

  private view(at: number, length: number): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, at >>> 0, length);
  }

  private answer(code: number): Uint8Array {
    const bytes = this.view(this.exports.result_address(), this.exports.result_length());
    if (code < 0) throw new Error(new TextDecoder().decode(bytes));
    return bytes;
  }
}
