/** The page's end of a Worker: calls with results, events and cancelling, and news of its death. */
import { MantissaError, type ErrorCode } from './errors.js';
import type { Args, EventOf, Method, Result, ToPage, ToWorker } from './protocol.js';

interface Pending {
  resolve(value: unknown): void;
  reject(error: MantissaError): void;
  event(event: unknown): void;
}

export interface CallOptions<M extends Method> {
  onEvent?: (event: EventOf<M>) => void;
  /** Asks the Worker to stop; the call then ends as its method sees fit. */
  signal?: AbortSignal | undefined;
}

/** A Worker that is busy is not waited for longer. */
const GRACE_MS = 500;

let connections = 0;

export class Connection {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #ready: Promise<void>;
  #calls = 0;
  #closed: MantissaError | undefined;
  readonly #released = Promise.withResolvers<void>();

  constructor() {
    this.#worker = new Worker(new URL('./worker/main.js', import.meta.url), {
      type: 'module',
      name: 'mantissa',
    });
    this.#worker.onerror = (event) => this.#crash(event.message || 'the Worker could not start');
    const lock = `mantissa-worker-${connections++}-${crypto.randomUUID()}`;
    this.#ready = new Promise((resolve) => {
      this.#worker.onmessage = ({ data }: MessageEvent<ToPage>) => {
        if (data.kind === 'hello') {
          this.#watch(lock);
          resolve();
        } else {
          this.#receive(data);
        }
      };
    });
    this.#post({ kind: 'hello', lock });
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  async call<M extends Method>(
    method: M,
    args: Args<M>,
    options: CallOptions<M> = {},
  ): Promise<Result<M>> {
    if (this.#closed) throw this.#closed;
    const id = this.#calls++;
    const { onEvent, signal } = options;
    const abort = () => this.#post({ kind: 'abort', id });
    try {
      return await new Promise<Result<M>>((resolve, reject) => {
        this.#pending.set(id, {
          resolve: (value) => resolve(value as Result<M>),
          reject,
          event: (event) => onEvent?.(event as EventOf<M>),
        });
        this.#post({ kind: 'call', id, method, args });
        if (signal?.aborted) abort();
        signal?.addEventListener('abort', abort);
      });
    } finally {
      this.#pending.delete(id);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Ends the Worker, which frees all that it has; calls in progress fail with `code` at once. */
  async close(code: ErrorCode, message: string): Promise<void> {
    if (this.#closed) return;
    this.#closed = new MantissaError({ code, message });
    for (const pending of this.#pending.values()) pending.reject(this.#closed);
    // A device that is given up frees its memory now; one that is only forgotten, some time later.
    if (code !== 'crashed') {
      const late = new Promise((resolve) => setTimeout(resolve, GRACE_MS));
      this.#post({ kind: 'close' });
      await Promise.race([this.#released.promise, late]);
    }
    this.#worker.terminate();
  }

  /** Resolves once the Worker listens, so that a lost one can be told from a slow one. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  #crash(reason: string): void {
    void this.close('crashed', `the Worker ended unexpectedly: ${reason}`);
  }

  /** The browser gives us the Worker's lock when the Worker is gone, however it went. */
  #watch(lock: string): void {
    void navigator.locks.request(lock, () => this.#crash('it was terminated'));
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: Exclude<ToPage, { kind: 'hello' }>): void {
    if (message.kind === 'crash') {
      this.#crash(message.message);
      return;
    }
    if (message.kind === 'closed') {
      this.#released.resolve();
      return;
    }
    const pending = this.#pending.get(message.id);
    if (message.kind === 'event') pending?.event(message.event);
    else if (message.kind === 'result') pending?.resolve(message.value);
    else pending?.reject(new MantissaError(message.error));
  }
}
