/** An answer in the making. */
import type { Connection } from './connection.js';
import type { AnswerEvent, Args } from './protocol.js';
import { Stream } from './stream.js';
import type { Generation, GenerationResult, Progress, Stats } from './types.js';

const NOTHING: Stats = {
  promptTokens: 0,
  cachedTokens: 0,
  tokens: 0,
  prefillSeconds: 0,
  decodeSeconds: 0,
};

/** What an answer takes that stays on this side of the Worker. */
interface Hooks {
  signal: AbortSignal | undefined;
  onRecovery: ((progress: Progress) => void) | undefined;
}

/** Starts an answer. */
export function generation<M extends 'chat' | 'complete'>(
  connection: Connection,
  method: M,
  args: Args<M>,
  { signal, onRecovery }: Hooks,
): Generation {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop);
  const stream = new Stream<string>(stop);
  let stats = NOTHING;
  const onEvent = (event: AnswerEvent) => {
    if (!('piece' in event)) return void onRecovery?.(event.progress);
    stats = event.stats;
    if (event.piece !== '') stream.push(event.piece);
  };
  const result: Promise<GenerationResult> = connection
    .call(method, args, { onEvent, signal: stopping.signal })
    .then((made) => {
      stats = made;
      stream.end();
      return made;
    })
    .catch((error: unknown) => {
      stream.fail(error);
      throw error;
    })
    .finally(() => signal?.removeEventListener('abort', stop));
  // Whoever only iterates is told by the iteration.
  result.catch(() => {});
  return {
    result,
    get stats() {
      return stats;
    },
    stop,
    [Symbol.asyncIterator]: () => stream,
  };
}
