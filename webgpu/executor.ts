/**
 * Replays GPU plans with WebGPU: in a page or worker through navigator.gpu, in
 * Node through the package "webgpu". The executor allocates, uploads, compiles
 * and dispatches what a plan lists; it knows nothing of the model.
 *
 * Plans come from the Go planner (webgpu/plan), through m2embed.wasm
 * (wasm/abi.go, "On a GPU") or a Go program. Whoever has it hands the executor
 * three things:
 *
 *   1. the plan of a shape, made for `Executor.limits`;
 *   2. the content of a weight buffer, asked for once for each key, one buffer at
 *      a time, so that one staging area serves all: the `pack` argument of
 *      `Executor.load`;
 *   3. token ids, uint32 (B, L), and for mean pooling the mask.
 *
 * Several models share a device and what is compiled through `Executor.sibling`.
 * Results are float32, (B, D), or (B, L, D) for hidden states.
 */

/** Why the GPU cannot be used. `aborted` runs throw the signal's reason instead. */
export type GPUFailure =
  | 'unsupported'      // no WebGPU, no adapter, or one that cannot run the plan
  | 'device-lost'      // the device went away; open a new executor or use the CPU
  | 'out-of-memory'    // an allocation failed
  | 'invalid';         // the GPU refused a shader or command: a fault of ours

/** Every failure of the GPU; the caller decides whether to go on on the CPU. */
export class GPUError extends Error {
  constructor(readonly kind: GPUFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GPUError';
  }
}

/** One dispatch of a plan. `bindings` are triples slot, buffer, size. */
export interface PlanDispatch {
  pipeline: number;
  params: number;
  bindings: number[];
  groups: [number, number, number];
  work: number;
  label: string;
}

/** A plan as Plan.JSON writes it. */
export interface Plan {
  texts: number;
  length: number;
  ids: number;
  mask: number;
  output: number;
  /** Bytes that the shared buffers of all plans of a model may take together on a device. */
  sharedLimit: number;
  kernels: string[];
  /** WGSL text of the kernels, unless the executor has it. */
  sources?: string[];
  pipelines: { kernel: string; entry: string; constants: Record<string, number> }[];
  buffers: { kind: 'scratch' | 'input' | 'weight' | 'shared' | 'uniform'; size: number; key?: string }[];
  params: number[];
  setup: { key: string; dispatches: PlanDispatch[] }[];
  dispatches: PlanDispatch[];
}

/**
 * Gives the packed bytes of the plan's buffer with that index, at most as many
 * as the buffer has. They are read at once, before anything else runs.
 */
export type Pack = (buffer: number) => Uint8Array | Promise<Uint8Array>;

/** The device limits that the planner heeds. */
export interface PlanLimits {
  maxStorageBufferBindingSize: number;
  maxBufferSize: number;
  maxComputeWorkgroupsPerDimension: number;
}

export interface RunOptions {
  /** Stops between submissions, a fraction of a second apart. */
  signal?: AbortSignal;
  /** Called after each submission with the fraction of the work that is done. */
  onProgress?: (fraction: number) => void;
}

export interface OpenOptions {
  /** WGSL text of a kernel by its name, for plans without sources. */
  source?: (kernel: string) => string | undefined;
  /** Refuses adapters that compute on the CPU. */
  hardware?: boolean;
}

interface Step {
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
  groups: [number, number, number];
  work: number;
}

/** A plan whose buffers and pipelines are in place. */
export class LoadedPlan {
  /** @internal */
  constructor(
    readonly plan: Plan,
    readonly buffers: GPUBuffer[],
    readonly setup: { key: string; steps: Step[] }[],
    readonly steps: Step[],
    readonly readBack: GPUBuffer,
  ) {}

  /** Bytes of the plan's own buffers on the device, weights and shared ones left out. */
  get bytes(): number {
    return this.plan.buffers.reduce((sum, b, i) => sum + (b.key === undefined ? this.buffers[i]!.size : 0), this.readBack.size);
  }
}

/** What the device says of a command that it refused. */
type Complaint = { readonly message: string };

/** What all models on a device share: compiled pipelines, and the order of work. */
interface DeviceState {
  source: (kernel: string) => string | undefined;
  pipelines: Map<string, Promise<GPUComputePipeline>>;
  modules: Map<string, GPUShaderModule>;
  queue: Promise<unknown>;
}

/**
 * A device with one model's weights. Runs on a device are queued, so that the
 * GPU's complaints reach the run that caused them.
 */
export class Executor {
  /** Work of one submission; adapts so that a submission takes some 50 ms. */
  private chunk = 2e9;
  private readonly keyed = new Map<string, GPUBuffer>();
  /** Bytes of those among them that set-ups fill. */
  private readonly shares = new Map<string, number>();
  private readonly filled = new Set<string>();
  private lost: GPUError | undefined;
  private endRun: ((error: GPUError) => void) | undefined;

  private constructor(readonly device: GPUDevice, readonly adapterInfo: GPUAdapterInfo, private readonly shared: DeviceState) {
    void device.lost.then((info) => {
      this.lost = new GPUError('device-lost', `GPU device lost: ${info.message || info.reason}`);
      this.endRun?.(this.lost);
    });
  }

  /**
   * Opens the best adapter, with its own limits for buffer sizes.
   * @throws GPUError 'unsupported' where there is none.
   */
  static async open(gpu: GPU | undefined, options: OpenOptions = {}): Promise<Executor> {
    if (!gpu) {
      throw new GPUError('unsupported', 'this runtime has no WebGPU');
    }
    let adapter: GPUAdapter | null;
    try {
      adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    } catch (cause) {
      throw new GPUError('unsupported', `request a GPU adapter: ${message(cause)}`, { cause });
    }
    if (!adapter) {
      throw new GPUError('unsupported', 'WebGPU has no adapter here');
    }
    if (options.hardware && isSoftware(adapter)) {
      throw new GPUError('unsupported', `the only adapter computes in software: ${nameOf(adapter.info)}`);
    }
    try {
      const device = await adapter.requestDevice({
        requiredLimits: {
          maxStorageBufferBindingSize: adapter.limits.maxStorageBufferBindingSize,
          maxBufferSize: adapter.limits.maxBufferSize,
        },
      });
      return new Executor(device, adapter.info, { source: options.source ?? (() => undefined), pipelines: new Map(), modules: new Map(), queue: Promise.resolve() });
    } catch (cause) {
      throw new GPUError('unsupported', `request a GPU device: ${message(cause)}`, { cause });
    }
  }

  /** An executor for another model on the same device, with the same compiled pipelines. */
  sibling(): Executor {
    return new Executor(this.device, this.adapterInfo, this.shared);
  }

  /** The adapter's name, for people. */
  get adapterName(): string {
    return nameOf(this.adapterInfo);
  }

  /** Why the device is of no more use, or undefined. */
  get failure(): GPUError | undefined {
    return this.lost;
  }

  /** What the planner needs to know of the device. */
  get limits(): PlanLimits {
    const { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupsPerDimension } = this.device.limits;
    return { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupsPerDimension };
  }

  /** Bytes of weights and shared buffers that are on the device. */
  get residentBytes(): number {
    let bytes = 0;
    for (const b of this.keyed.values()) bytes += b.size;
    return bytes;
  }

  /** Whether a plan's shared buffers and those of other plans exceed its limit together. */
  exceedsShared(plan: Plan): boolean {
    const own = sharedKeys(plan);
    let bytes = 0;
    for (const b of plan.buffers) if (b.kind === 'shared') bytes += b.size;
    if (bytes === 0) return false;
    for (const [key, size] of this.shares) if (!own.has(key)) bytes += size;
    return bytes > plan.sharedLimit;
  }

  /** Frees the shared buffers, those of a plan left out. No other plan that uses them may be loaded. */
  dropShared(but: Plan): void {
    const own = sharedKeys(but);
    for (const key of this.shares.keys()) {
      if (!own.has(key)) this.drop(key);
    }
  }

  private drop(key: string): void {
    this.keyed.get(key)?.destroy();
    this.keyed.delete(key);
    this.shares.delete(key);
    this.filled.delete(key);
  }

  /**
   * Allocates a plan's buffers, uploads the weights that no earlier plan
   * brought, and compiles its pipelines.
   * @throws GPUError
   */
  load(plan: Plan, pack: Pack, signal?: AbortSignal): Promise<LoadedPlan> {
    return this.exclusive(async () => {
      const before = new Set(this.keyed.keys());
      const own: GPUBuffer[] = [];
      try {
        return await this.checked(() => this.build(plan, pack, own, signal));
      } catch (error) {
        // Nothing half done stays: a later load starts where this one did.
        for (const b of own) b.destroy();
        for (const key of this.keyed.keys()) {
          if (!before.has(key)) this.drop(key);
        }
        throw error;
      }
    });
  }

  /** Frees a plan's own buffers; weights and shared buffers stay. */
  unload(loaded: LoadedPlan): void {
    loaded.plan.buffers.forEach((b, i) => {
      if (b.key === undefined) loaded.buffers[i]?.destroy();
    });
    loaded.readBack.destroy();
  }

  /** Frees the weights and shared buffers; what was compiled stays. */
  clear(): void {
    for (const key of this.keyed.keys()) this.drop(key);
  }

  /** Frees the device, for its other models too. */
  destroy(): void {
    this.device.destroy();
  }

  /**
   * Runs a plan.
   * @param ids token ids (B, L), row-major, pads included
   * @param mask 1 for tokens and 0 for pads (B, L); needed where plan.mask ≥ 0
   * @throws GPUError, or the signal's reason
   */
  run(loaded: LoadedPlan, ids: Uint32Array, mask?: Uint32Array, options: RunOptions = {}): Promise<Float32Array> {
    return this.exclusive(async () => {
      await this.fill(loaded, options.signal);
      return this.checked(() => this.replay(loaded, ids, mask, options));
    });
  }

  /** Runs work after all that was asked for before it. */
  private exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.shared.queue.then(work);
    this.shared.queue = result.catch(() => undefined);
    return result;
  }

  /** Runs work under error scopes; a lost device ends it at once. */
  private async checked<T>(work: () => Promise<T>): Promise<T> {
    if (this.lost) throw this.lost;
    this.device.pushErrorScope('validation');
    this.device.pushErrorScope('out-of-memory');
    let value: T | undefined;
    let failure: unknown;
    try {
      const gone = new Promise<never>((_, reject) => {
        this.endRun = reject;
      });
      value = await Promise.race([work(), gone]);
    } catch (error) {
      failure = error;
      // The loss of a device ends its promises in any order.
      if (!(error instanceof GPUError) && error instanceof Error) await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, 50))]);
    }
    if (this.lost) throw this.lost;
    let memory: Complaint | null = null;
    let invalid: Complaint | null = null;
    try {
      memory = await this.device.popErrorScope();
      invalid = await this.device.popErrorScope();
    } catch (cause) {
      failure ??= new GPUError('device-lost', `GPU device: ${message(cause)}`, { cause });
    }
    if (this.lost) throw this.lost;
    if (memory) throw new GPUError('out-of-memory', `GPU memory: ${memory.message}`);
    if (invalid) throw new GPUError('invalid', `GPU refused a command: ${invalid.message}`);
    if (failure !== undefined) throw failure;
    return value as T;
  }

  private async build(plan: Plan, pack: Pack, own: GPUBuffer[], signal?: AbortSignal): Promise<LoadedPlan> {
    const usage = { storage: 0x80, uniform: 0x40, copyTo: 0x8, copyFrom: 0x4, mapRead: 0x1 };
    const buffers: GPUBuffer[] = [];
    let uniform: GPUBuffer | undefined;
    for (const [i, b] of plan.buffers.entries()) {
      let buffer = b.key === undefined ? undefined : this.keyed.get(b.key);
      if (!buffer) {
        const kind = b.kind === 'uniform' ? usage.uniform : usage.storage;
        buffer = this.device.createBuffer({ size: b.size, usage: kind | usage.copyTo | usage.copyFrom, label: b.key ?? b.kind });
        if (b.key === undefined) {
          own.push(buffer);
        } else {
          this.keyed.set(b.key, buffer);
          if (b.kind === 'shared') this.shares.set(b.key, buffer.size);
        }
        if (b.kind === 'weight') {
          signal?.throwIfAborted();
          const bytes = pack(i);
          await this.upload(buffer, bytes instanceof Promise ? await bytes : bytes);
        }
      }
      if (b.kind === 'uniform') {
        uniform = buffer;
        this.device.queue.writeBuffer(buffer, 0, new Uint32Array(plan.params));
      }
      buffers.push(buffer);
    }
    const sources = new Map(plan.kernels.map((name, i) => [name, plan.sources?.[i] ?? this.shared.source(name) ?? '']));
    const pipelines = await Promise.all(plan.pipelines.map((p) => this.pipeline(p, sources.get(p.kernel) ?? '')));
    signal?.throwIfAborted();
    const step = (d: PlanDispatch): Step => {
      const pipeline = pipelines[d.pipeline]!;
      const entries: GPUBindGroupEntry[] = [{ binding: 0, resource: { buffer: uniform!, offset: d.params, size: 256 } }];
      for (let i = 0; i < d.bindings.length; i += 3) {
        const [slot, buffer, size] = d.bindings.slice(i, i + 3) as [number, number, number];
        entries.push({ binding: slot, resource: { buffer: buffers[buffer]!, size } });
      }
      const group = this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
      return { pipeline, group, groups: d.groups, work: d.work };
    };
    const readBack = this.device.createBuffer({ size: plan.buffers[plan.output]!.size, usage: usage.mapRead | usage.copyTo });
    own.push(readBack);
    return new LoadedPlan(plan, buffers, plan.setup.map((s) => ({ key: s.key, steps: s.dispatches.map(step) })), plan.dispatches.map(step), readBack);
  }

  /** Writes in pieces, so that staging memory stays small. */
  private async upload(buffer: GPUBuffer, bytes: Uint8Array): Promise<void> {
    const piece = 32 << 20;
    for (let at = 0; at < bytes.length; at += piece) {
      this.device.queue.writeBuffer(buffer, at, bytes as Uint8Array<ArrayBuffer>, at, Math.min(piece, bytes.length - at));
    }
    if (bytes.length >= piece) await this.device.queue.onSubmittedWorkDone();
  }

  private pipeline(p: Plan['pipelines'][number], source: string): Promise<GPUComputePipeline> {
    const key = JSON.stringify([p.kernel, p.entry, p.constants]);
    let pipeline = this.shared.pipelines.get(key);
    if (!pipeline) {
      let module = this.shared.modules.get(p.kernel);
      if (!module) {
        module = this.device.createShaderModule({ code: source, label: p.kernel });
        this.shared.modules.set(p.kernel, module);
      }
      pipeline = this.device.createComputePipelineAsync({
        label: `${p.kernel} ${p.entry}`, layout: 'auto', compute: { module, entryPoint: p.entry, constants: p.constants },
      }).catch((cause: unknown) => {
        this.shared.pipelines.delete(key);
        throw new GPUError('invalid', `compile ${p.kernel} ${p.entry}: ${message(cause)}`, { cause });
      });
      this.shared.pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  /** Fills the shared buffers. Only what the device accepted counts as done. */
  private async fill(loaded: LoadedPlan, signal?: AbortSignal): Promise<void> {
    for (const s of loaded.setup) {
      if (this.filled.has(s.key)) continue;
      await this.checked(() => this.submit(s.steps, signal ? { signal } : {}));
      this.filled.add(s.key);
    }
  }

  private async replay(loaded: LoadedPlan, ids: Uint32Array, mask: Uint32Array | undefined, options: RunOptions): Promise<Float32Array> {
    const { plan, buffers } = loaded;
    const tokens = plan.texts * plan.length;
    if (plan.ids >= 0) {
      if (ids.length !== tokens) {
        throw new RangeError(`${ids.length} token ids, want ${plan.texts} × ${plan.length}`);
      }
      this.device.queue.writeBuffer(buffers[plan.ids]!, 0, ids as Uint32Array<ArrayBuffer>);
    }
    if (plan.mask >= 0) {
      if (mask?.length !== tokens) {
        throw new RangeError(`mask of ${mask?.length ?? 0} numbers, want ${plan.texts} × ${plan.length}`);
      }
      this.device.queue.writeBuffer(buffers[plan.mask]!, 0, mask as Uint32Array<ArrayBuffer>);
    }
    await this.submit(loaded.steps, options, (encoder) => {
      const output = buffers[plan.output]!;
      encoder.copyBufferToBuffer(output, 0, loaded.readBack, 0, output.size);
    });
    await loaded.readBack.mapAsync(0x1);
    const values = new Float32Array(loaded.readBack.getMappedRange().slice(0));
    loaded.readBack.unmap();
    return values;
  }

  /**
   * Submits steps in chunks of bounded work. One chunk computes while the next
   * is recorded; the wait between them is where a run can be stopped. The first
   * chunk is short: the GPU starts on it while the others are recorded. The last
   * one ends with what `finish` records.
   */
  private async submit(steps: Step[], options: RunOptions, finish?: (encoder: GPUCommandEncoder) => void): Promise<void> {
    const firstSteps = 16;
    const total = steps.reduce((sum, s) => sum + s.work, 0);
    let done = 0;
    let before: Promise<unknown> | undefined;
    for (let at = 0; at < steps.length;) {
      options.signal?.throwIfAborted();
      const started = performance.now();
      const encoder = this.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      let work = 0;
      do {
        const s = steps[at++]!;
        pass.setPipeline(s.pipeline);
        pass.setBindGroup(0, s.group);
        pass.dispatchWorkgroups(...s.groups);
        work += s.work;
      } while (at < steps.length && work + steps[at]!.work <= this.chunk && (before || at < firstSteps));
      pass.end();
      if (at === steps.length) finish?.(encoder);
      this.device.queue.submit([encoder.finish()]);
      const now = this.device.queue.onSubmittedWorkDone();
      await before;
      before = now;
      const elapsed = performance.now() - started;
      if (elapsed < 30 && work > this.chunk / 2) this.chunk *= elapsed < 10 ? 4 : 2;
      if (elapsed > 100) this.chunk = Math.max(1e7, this.chunk / 2);
      done += work;
      options.onProgress?.(total > 0 ? done / total : 1);
    }
    await before;
    options.signal?.throwIfAborted();
  }
}

function sharedKeys(plan: Plan): Set<string> {
  return new Set(plan.buffers.flatMap((b) => (b.kind === 'shared' && b.key !== undefined ? [b.key] : [])));
}

/** Whether an adapter computes on the CPU. Not all runtimes say so themselves. */
function isSoftware(adapter: GPUAdapter): boolean {
  const { info } = adapter;
  const said = (info as { isFallbackAdapter?: boolean }).isFallbackAdapter ?? (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter;
  return said === true || /swiftshader|llvmpipe|lavapipe|softpipe|basic render/i.test([info.vendor, info.architecture, info.device, info.description].join(' '));
}

function nameOf({ vendor, architecture, device, description }: GPUAdapterInfo): string {
  return description || [vendor, architecture, device].filter(Boolean).join(' ') || 'unnamed adapter';
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
