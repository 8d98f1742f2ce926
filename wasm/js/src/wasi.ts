/**
 * The part of WASI preview 1 that a Go reactor needs: no files, no arguments, a
 * clock and random numbers. What the module writes is collected for the error
 * that it may end in. The rest answers "bad file descriptor" or "not supported".
 *
 * It works at the global scope of edge runtimes too, where clocks stand still
 * and crypto is refused: there the clock advances by itself (Go's start-up
 * fails on a clock that is 0) and the random numbers, which only seed Go's hash
 * maps, come from Math.random or a counter.
 */

const BADF = 8;
const NOSYS = 52;

/** Thrown when the module ends itself: the Go runtime met a fatal error. */
export class ExitError extends Error {
  override readonly name = 'ExitError';

  constructor(
    readonly status: number,
    output: string,
  ) {
    super(output === '' ? `the module ended with status ${status}` : output);
  }
}

/** The imports of one instance; call `attach` once it has memory. */
export class Wasi {
  private memory: WebAssembly.Memory | undefined;
  private last = 0n;
  private output = '';

  attach(memory: WebAssembly.Memory): void {
    this.memory = memory;
  }

  get imports(): WebAssembly.Imports {
    const badFile = (): number => BADF;
    const named: Record<string, (...args: never[]) => number | void> = {
      args_get: () => 0,
      args_sizes_get: (count: number, size: number) => this.sizes(count, size),
      environ_get: () => 0,
      environ_sizes_get: (count: number, size: number) => this.sizes(count, size),
      clock_time_get: (_id: number, _precision: bigint, at: number) => this.clock(at),
      fd_write: (fd: number, vectors: number, count: number, written: number) => this.write(fd, vectors, count, written),
      poll_oneoff: (input: number, output: number, count: number, events: number) => this.poll(input, output, count, events),
      proc_exit: (status: number) => {
        throw new ExitError(status, this.output.trim());
      },
      random_get: (at: number, size: number) => this.random(at, size),
      sched_yield: () => 0,
      fd_fdstat_get: badFile,
      fd_fdstat_set_flags: badFile,
      fd_prestat_get: badFile,
      fd_prestat_dir_name: badFile,
    };
    // Anything else that a future Go links in.
    const other = (): number => NOSYS;
    return { wasi_snapshot_preview1: new Proxy(named, { get: (all, name) => all[name as string] ?? other }) as WebAssembly.ModuleImports };
  }

  /** What the module wrote to standard error since the last call; the Go runtime's last words. */
  takeOutput(): string {
    const text = this.output;
    this.output = '';
    return text;
  }

  private view(): DataView {
    return new DataView(this.memory!.buffer);
  }

  private sizes(count: number, size: number): number {
    const view = this.view();
    view.setUint32(count, 0, true);
    view.setUint32(size, 0, true);
    return 0;
  }

  private clock(at: number): number {
    let now = 0n;
    try {
      now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));
    } catch {
      // no clock here
    }
    this.last = now > this.last ? now : this.last + 1000n;
    this.view().setBigUint64(at, this.last, true);
    return 0;
  }

  private random(at: number, size: number): number {
    const bytes = new Uint8Array(this.memory!.buffer, at, size);
    try {
      for (let i = 0; i < size; i += 65536) crypto.getRandomValues(bytes.subarray(i, i + 65536));
    } catch {
      for (let i = 0; i < size; i++) bytes[i] = (Math.random() * 256) ^ (i * 151 + 43);
    }
    return 0;
  }

  private write(fd: number, vectors: number, count: number, written: number): number {
    if (fd !== 1 && fd !== 2) return BADF;
    const view = this.view();
    let total = 0;
    for (let i = 0; i < count; i++) {
      const at = view.getUint32(vectors + 8 * i, true);
      const size = view.getUint32(vectors + 8 * i + 4, true);
      if (this.output.length < 1 << 14) this.output += new TextDecoder().decode(new Uint8Array(this.memory!.buffer, at, size).slice());
      total += size;
    }
    view.setUint32(written, total, true);
    return 0;
  }

  /** Sleeps are over at once: every event of the list has happened. */
  private poll(input: number, output: number, count: number, events: number): number {
    const view = this.view();
    for (let i = 0; i < count; i++) {
      view.setBigUint64(output + 32 * i, view.getBigUint64(input + 48 * i, true), true);
      view.setUint16(output + 32 * i + 8, 0, true);
      view.setUint8(output + 32 * i + 10, view.getUint8(input + 48 * i + 8));
    }
    view.setUint32(events, count, true);
    // A clock that stands still while Go sleeps would make it sleep for ever.
    this.last += 1_000_000n;
    return 0;
  }
}
