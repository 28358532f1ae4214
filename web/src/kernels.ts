/** Kernels, formats, benchmarks and conformance, in one Worker that is started when first needed. */
import { Connection } from './connection.js';
import type { EventOf, Method } from './protocol.js';
import { Stream } from './stream.js';
import type {
  BenchOptions,
  BenchRow,
  ConformanceOptions,
  ConformanceRow,
  Formats,
  Ops,
  Rows,
} from './types.js';

let shared: Connection | undefined;

function connection(): Connection {
  if (!shared || shared.isClosed) shared = new Connection();
  return shared;
}

export const ops: Ops = {
  softmax: (x, options = {}) => connection().call('softmax', [x, options]),
  matmul: (format, weights, shape, x) => connection().call('matmul', [format, weights, shape, x]),
  dequantize: (format, weights, shape) =>
    connection().call('dequantize', [format, weights, shape]),
  quantize: (format, x, cols) => connection().call('quantize', [format, x, cols]),
};

export const formats: Formats = {
  list: () => connection().call('formats', []),
  roundTrip: (name, values) => connection().call('roundTrip', [name, values]),
  encode: (name, values) => connection().call('encode', [name, values]),
  decode: (name, bytes) => connection().call('decode', [name, bytes]),
  values: (name, peak = 1) => connection().call('values', [name, peak]),
};

export function bench(options: BenchOptions = {}): Rows<BenchRow> {
  const { signal, ...plain } = options;
  return rows<BenchRow, 'bench'>('bench', plain, signal);
}

export function conformance(options: ConformanceOptions = {}): Rows<ConformanceRow> {
  const { signal, ...plain } = options;
  return rows<ConformanceRow, 'conformance'>('conformance', plain, signal);
}

type RowMethod<T> = {
  [M in Method]: EventOf<M> extends { total: number } | { row: T } ? M : never;
}[Method];

function rows<T, M extends RowMethod<T> & ('bench' | 'conformance')>(
  method: M,
  options: BenchOptions & ConformanceOptions,
  signal: AbortSignal | undefined,
): Rows<T> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop);
  const stream = new Stream<T>(stop);
  const total = Promise.withResolvers<number>();
  total.promise.catch(() => {});
  const onEvent = (event: { total: number } | { row: unknown }) => {
    if ('total' in event) total.resolve(event.total);
    else stream.push(event.row as T);
  };
  connection()
    .call(method, [options], { onEvent, signal: stopping.signal })
    .then(() => stream.end())
    .catch((error: unknown) => {
      total.reject(error);
      stream.fail(error);
    })
    .finally(() => signal?.removeEventListener('abort', stop));
  return { total: total.promise, [Symbol.asyncIterator]: () => stream };
}
