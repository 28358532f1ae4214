/** The Worker: it takes calls from the page and answers them. */
import type { EventOf, Method, Args, Result, ToPage, ToWorker } from '../protocol.js';
import { toPlain } from './errors.js';
import { Engine } from './engine.js';

/** What a method is given besides its arguments. */
export interface Context<Event> {
  signal: AbortSignal;
  emit(event: Event): void;
}

export type Handlers = {
  [M in Method]: (args: Args<M>, context: Context<EventOf<M>>) => Result<M> | Promise<Result<M>>;
};

const scope = self as unknown as {
  postMessage(message: ToPage): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
};
const running = new Map<number, AbortController>();
const engine = new Engine();
const handlers: Handlers = engine.handlers;

// An exception that nobody catches comes from a panic: the engine's state is not to be believed.
self.addEventListener('error', (event) => crash(event.message));
self.addEventListener('unhandledrejection', (event) => crash(String(event.reason)));

function crash(message: string): void {
  scope.postMessage({ kind: 'crash', message });
}

scope.onmessage = ({ data }) => {
  if (data.kind === 'hello') void hold(data.lock);
  else if (data.kind === 'abort') running.get(data.id)?.abort();
  else if (data.kind === 'close') void close();
  else void answer(data.id, data.method, data.args);
};

/** The page is given this lock when the Worker is gone. */
async function hold(lock: string): Promise<void> {
  await navigator.locks.request(lock, () => {
    scope.postMessage({ kind: 'hello' });
    return new Promise<never>(() => {});
  });
}

async function close(): Promise<void> {
  await engine.release();
  scope.postMessage({ kind: 'closed' });
}

async function answer(id: number, method: Method, args: unknown[]): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  const context = {
    signal: controller.signal,
    emit: (event: unknown) => scope.postMessage({ kind: 'event', id, event }),
  };
  try {
    const handler = handlers[method] as (args: unknown[], context: unknown) => unknown;
    scope.postMessage({ kind: 'result', id, value: await handler(args, context) });
  } catch (error) {
    scope.postMessage({ kind: 'error', id, error: toPlain(error) });
  } finally {
    running.delete(id);
  }
}
