/** The line to one worker: calls, their answers and progress, aborts, and its end. */

import type { Call, Reply, Standing } from './protocol.js';
import { M2EmbedError, type EmbedProgress, type LoadProgress } from './types.js';

/** A call before it has its number. */
export type Outgoing = Call extends infer C ? (C extends { id: number } ? Omit<C, 'id'> : never) : never;

interface Waiting {
  resolve(result: never): void;
  reject(error: unknown): void;
  progress: ((p: LoadProgress | EmbedProgress) => void) | undefined;
}

/** What a worker thread of Node has, without the types of Node, which not every user has. */
export interface Thread {
  on(event: 'message', f: (reply: Reply) => void): unknown;
  on(event: 'error', f: (error: Error) => void): unknown;
  on(event: 'exit', f: (status: number) => void): unknown;
  postMessage(call: Call): void;
  terminate(): unknown;
}

/** The line to one worker. */
export class Line {
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private readonly post: (call: Call) => void;
  private readonly terminate: () => void;
  /** Why the worker is gone. */
  dead: M2EmbedError | undefined;
  /** How the worker's model stood when it was last heard of. */
  standing: Standing | undefined;
  /** Hears of the worker's death. */
  onDeath: (() => void) | undefined;
  private isReady = false;
  private ready!: () => void;
  private readonly started = new Promise<void>((resolve) => (this.ready = resolve));

  private constructor(connect: (receive: (reply: Reply) => void, fail: (why: string | undefined) => void) => { post(call: Call): void; end(): void }) {
    const { post, end } = connect(
      (reply) => this.receive(reply),
      (why) => this.fail(this.lost(why)),
    );
    this.post = post;
    this.terminate = end;
  }

  /** The line to a worker of the web. */
  static toWorker(worker: Worker): Line {
    return new Line((receive, fail) => {
      worker.onmessage = (event: MessageEvent<Reply>) => receive(event.data);
      worker.onerror = (event) => {
        event.preventDefault();
        fail(event.message);
      };
      worker.onmessageerror = () => fail('a message could not be read');
      return { post: (call) => worker.postMessage(call), end: () => worker.terminate() };
    });
  }

  /** The line to a worker thread of Node. */
  static toThread(worker: Thread): Line {
    return new Line((receive, fail) => {
      worker.on('message', receive);
      worker.on('error', (error) => fail(error.message));
      worker.on('exit', (status) => fail(`exit status ${status}`));
      return { post: (call) => worker.postMessage(call), end: () => void worker.terminate() };
    });
  }

  /** Refuses the calls in work. */
  refuse(error: M2EmbedError): void {
    for (const [id, { reject }] of this.waiting) {
      reject(error);
      this.send({ id, call: 'abort' });
    }
    this.waiting.clear();
  }

  /** Ends the worker; calls in work and later ones are refused. */
  end(): void {
    this.fail(new M2EmbedError('bad_handle', 'the model was disposed'));
  }

  private lost(why: string | undefined): M2EmbedError {
    if (this.isReady) return new M2EmbedError('instance_lost', `the worker stopped: ${why || 'it gave no reason'}`);
    return new M2EmbedError('network', `the worker did not start: ${why || "its script could not be loaded: check its address, and worker-src of the page's Content-Security-Policy"}`);
  }

  async call<T>(message: Outgoing, signal?: AbortSignal, progress?: (p: LoadProgress | EmbedProgress) => void): Promise<T> {
    if (this.dead) throw this.dead;
    signal?.throwIfAborted();
    const id = ++this.lastId;
    let abort: (() => void) | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        this.waiting.set(id, { resolve: resolve as (result: never) => void, reject, progress });
        abort = () => {
          reject(signal!.reason);
          this.send({ id, call: 'abort' });
        };
        signal?.addEventListener('abort', abort, { once: true });
        void this.started.then(() => {
          try {
            if (this.waiting.has(id)) this.send({ ...message, id } as Call);
          } catch (error) {
            reject(new M2EmbedError('bad_argument', `cannot be sent to a worker: ${(error as Error).message}`, { cause: error }));
          }
        });
      });
    } finally {
      this.waiting.delete(id);
      if (abort) signal?.removeEventListener('abort', abort);
    }
  }

  private send(call: Call): void {
    if (!this.dead) this.post(call);
  }

  private receive(reply: Reply): void {
    if (reply.id === 0) {
      this.isReady = true;
      return this.ready();
    }
    if ('failure' in reply && reply.standing) this.standing = reply.standing;
    const waiting = this.waiting.get(reply.id);
    if (!waiting) return; // aborted meanwhile
    if ('progress' in reply) {
      try {
        waiting.progress?.(reply.progress);
      } catch (error) {
        waiting.reject(error);
        this.send({ id: reply.id, call: 'abort' });
      }
    } else if ('result' in reply) waiting.resolve(reply.result as never);
    else {
      const { code, name, message, input } = reply.failure;
      waiting.reject(code ? new M2EmbedError(code, message, { input }) : new DOMException(message, name));
    }
  }

  /** Ends the worker, for a reason. */
  fail(error: M2EmbedError): void {
    if (this.dead) return;
    this.dead = error;
    this.terminate();
    this.ready();
    for (const { reject } of this.waiting.values()) reject(this.dead);
    this.waiting.clear();
    this.onDeath?.();
  }
}
