/**
 * Low-precision language models in a page, on the visitor's GPU, without a server.
 *
 * ```ts
 * const model = await Mantissa.load(url, { onProgress: console.log });
 * for await (const piece of model.chat([{ role: 'user', content: 'Why is the sky blue?' }])) {
 *   output.append(piece);
 * }
 * ```
 */
import type {
  BenchOptions,
  BenchRow,
  Cache,
  ConformanceOptions,
  ConformanceRow,
  Formats,
  LoadOptions,
  Model,
  ModelSource,
  Ops,
  Rows,
  Support,
} from './types.js';

export * from './types.js';
export { MantissaError, type ErrorCode, type ErrorDetails } from './errors.js';

/** The model that the demo and the command line use: SmolLM2-135M-Instruct, Apache-2.0. */
export interface DefaultModel {
  readonly url: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly title: string;
}

/** The package's entry. */
export interface MantissaApi {
  readonly version: string;
  readonly defaultModel: DefaultModel;
  /** Loads a model into a Worker of its own. */
  load(source: ModelSource, options?: LoadOptions): Promise<Model>;
  /** Whether this browser has WebGPU, which adapter, and if not why. */
  support(): Promise<Support>;
  readonly ops: Ops;
  readonly formats: Formats;
  readonly cache: Cache;
  /** Times softmax algorithms and quantized matmuls, each checked once before. */
  bench(options?: BenchOptions): Rows<BenchRow>;
  /** Runs every kernel on every format against its reference. */
  conformance(options?: ConformanceOptions): Rows<ConformanceRow>;
}
