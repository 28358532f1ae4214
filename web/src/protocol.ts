/** What the page and its Worker say to each other. */
import type { PlainError } from './errors.js';
import type {
  BenchOptions,
  BenchRow,
  ConformanceOptions,
  ConformanceRow,
  FormatInfo,
  GenerateOptions,
  GenerationResult,
  LoadOptions,
  MemoryInfo,
  Message,
  ModelInfo,
  Progress,
  SoftmaxAlgorithm,
  Stats,
  TensorInfo,
} from './types.js';

/** Options of a load that can be sent. */
export type PlainLoadOptions = Omit<LoadOptions, 'onProgress' | 'signal'>;
export type PlainGenerateOptions = Omit<GenerateOptions, 'signal' | 'onRecovery'>;

export type PlainSource = { url: string } | { file: Blob; name: string };

export interface SoftmaxOptions {
  rows?: number;
  algorithm?: SoftmaxAlgorithm;
  scale?: number;
  temperature?: number;
  log?: boolean;
}

/** A piece of an answer, or the progress of a recovery. */
export type AnswerEvent = { piece: string; stats: Stats } | { progress: Progress };

/** Each method: its arguments, its result, and the events on the way. */
export interface Methods {
  load: { args: [PlainSource, PlainLoadOptions]; result: ModelInfo; event: Progress };
  chat: { args: [Message[], PlainGenerateOptions]; result: GenerationResult; event: AnswerEvent };
  complete: {
    args: [string, PlainGenerateOptions & { parseSpecial?: boolean }];
    result: GenerationResult;
    event: AnswerEvent;
  };
  tokenize: { args: [string, boolean, boolean]; result: Uint32Array; event: never };
  detokenize: { args: [Uint32Array, boolean]; result: string; event: never };
  embed: { args: [Uint32Array]; result: Float32Array; event: never };
  tensors: { args: []; result: TensorInfo[]; event: never };
  readTensor: { args: [string, number]; result: Float32Array; event: never };
  memory: { args: []; result: MemoryInfo; event: never };
  /** Gives the device up; a test provokes a loss with it. */
  destroyDevice: { args: []; result: void; event: never };
  softmax: { args: [Float32Array, SoftmaxOptions]; result: Float32Array; event: never };
  matmul: {
    args: [string, Uint8Array, { n: number; k: number }, Float32Array];
    result: Float32Array;
    event: never;
  };
  dequantize: {
    args: [string, Uint8Array, { rows: number; cols: number }];
    result: Float32Array;
    event: never;
  };
  quantize: { args: [string, Float32Array, number]; result: Uint8Array; event: never };
  formats: { args: []; result: FormatInfo[]; event: never };
  roundTrip: { args: [string, Float32Array]; result: Float32Array; event: never };
  encode: { args: [string, Float32Array]; result: Uint8Array; event: never };
  decode: { args: [string, Uint8Array]; result: Float32Array; event: never };
  values: { args: [string, number]; result: Float32Array; event: never };
  bench: { args: [BenchOptions]; result: void; event: { total: number } | { row: BenchRow } };
  conformance: {
    args: [ConformanceOptions];
    result: void;
    event: { total: number } | { row: ConformanceRow };
  };
}

export type Method = keyof Methods;
export type Args<M extends Method> = Methods[M]['args'];
export type Result<M extends Method> = Methods[M]['result'];
export type EventOf<M extends Method> = Methods[M]['event'];

/** The first message: a lock that the Worker holds for as long as it lives. */
export interface Hello {
  kind: 'hello';
  lock: string;
}

export type ToWorker =
  | Hello
  | { kind: 'call'; id: number; method: Method; args: unknown[] }
  | { kind: 'abort'; id: number }
  | { kind: 'close' };

export type ToPage =
  | { kind: 'hello' }
  | { kind: 'closed' }
  | { kind: 'result'; id: number; value: unknown }
  | { kind: 'error'; id: number; error: PlainError }
  | { kind: 'event'; id: number; event: unknown }
  | { kind: 'crash'; message: string };
