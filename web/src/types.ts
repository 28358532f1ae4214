/** The public types of the package: what goes in, what comes out. */

/** What a load is busy with. `tune` is told only where something is measured on the adapter. */
export type Stage = 'download' | 'verify' | 'upload' | 'compile' | 'tune' | 'ready';

/** How far a load is. */
export interface Progress {
  stage: Stage;
  /** Done so far, of `total`. */
  done: number;
  /** `undefined` where a server does not say how long its file is. */
  total: number | undefined;
  /** What is counted. */
  unit: 'bytes' | 'steps';
  /** Whether the bytes of this download were in the cache already. */
  cached: boolean;
}

/** Capabilities to leave unused although the adapter has them. */
export interface Without {
  f16?: boolean;
  subgroups?: boolean;
  /** Ask for WebGPU's default limits. */
  limits?: boolean;
}

/** Number formats that keys and values may be kept in. */
export type KvFormat = 'f32' | 'f16' | 'q8_0';

/** Where a download is kept: `auto` takes the first of OPFS, Cache Storage and memory that is there. */
export type CacheKind = 'auto' | 'opfs' | 'cache-storage' | 'none';

export interface LoadOptions {
  onProgress?: (progress: Progress) => void;
  /** Tokens that a conversation can hold; as many as the model was trained for, up to 2048. */
  context?: number;
  /** The KV cache's number format; `f32`. */
  kvCache?: KvFormat;
  /** Cancels at any stage and frees everything. What was downloaded stays in the cache. */
  signal?: AbortSignal;
  /** The file's SHA-256 in hexadecimal; a file with another is an error and is not kept. */
  sha256?: string;
  /** Where a download is kept. */
  cache?: CacheKind;
  /** Bytes of GPU memory that the model with its KV cache may take. */
  memoryLimit?: number;
  without?: Without;
  /**
   * How answers will choose their tokens: what they need is compiled while the model loads. If unset,
   * that is the best token, and what drawing by the default settings needs follows behind `ready`.
   */
  sampling?: SamplingOptions;
  /**
   * `false` compiles nothing while the model loads, for a page that wants its tokens, weights or
   * embeddings; an answer compiles what it needs when it is asked for. `true` if unset.
   */
  compile?: boolean;
  /**
   * Whether layouts of the model's multiplications are measured on the visitor's adapter, and the
   * fastest taken: those that are not known yet, for 1.5 seconds or `budgetMs` (0 takes what is known
   * and measures nothing), as the stage `tune`. What was measured is kept in Cache Storage
   * (`mantissa-tuning`) for this adapter and browser. `false` if unset.
   */
  tune?: boolean | { budgetMs?: number };
}

/** A model by address (`https:` or relative to the page), or picked or dropped as a file. */
export type ModelSource = string | URL | File | Blob;

export interface Message {
  /** `system`, `user`, `assistant`, or another that the model's template knows. */
  role: string;
  content: string;
}

/** How tokens are chosen; unset members are greedy decoding (`temperature` 0). */
export interface SamplingOptions {
  /** 0 (always the best token) if unset. */
  temperature?: number;
  /** 40; 0 keeps all. */
  topK?: number;
  /** 0.95. */
  topP?: number;
  /** 0.05. */
  minP?: number;
  /** 1. */
  repeatPenalty?: number;
  /** 64. */
  repeatLastN?: number;
  /** 0. The same seed and settings give the same text. */
  seed?: number | bigint;
}

export interface GenerateOptions extends SamplingOptions {
  /** 256. */
  maxTokens?: number;
  /** Stops the answer; what came so far stands, and `finishReason` is `stopped`. */
  signal?: AbortSignal;
  /**
   * 0. Tokens that are guessed at a time from what followed the last ones before. The answer is the
   * same; text that repeats the conversation comes faster, other text a little slower. Counts at
   * `temperature` 0 without `repeatPenalty`.
   */
  lookup?: number;
  /** 2. Tokens that may be on the device at once where the host chooses none; 1 waits for each. */
  inFlight?: number;
  /** Hears how far the model is put onto a new device, where one is lost meanwhile. */
  onRecovery?: (progress: Progress) => void;
}

export interface CompleteOptions extends GenerateOptions {
  /** Take the texts of control tokens in the prompt for the tokens; `true`. */
  parseSpecial?: boolean;
}

/** Why an answer ended: a stop token, `maxTokens`, a full context, the caller. */
export type FinishReason = 'stop' | 'length' | 'context' | 'stopped';

/** What an answer cost so far. */
export interface Stats {
  /** Tokens of the prompt. */
  promptTokens: number;
  /** Of these, how many the KV cache held already. */
  cachedTokens: number;
  /** Tokens of the answer so far. */
  tokens: number;
  /** Seconds until the first token. */
  prefillSeconds: number;
  /** Seconds for those after the first. */
  decodeSeconds: number;
}

export interface GenerationResult extends Stats {
  text: string;
  tokenIds: number[];
  finishReason: FinishReason;
  /** Times that the device was lost and the answer went on on a new one. */
  recoveries: number;
  /** Tokens that `lookup` guessed. */
  guessedTokens: number;
  /** Those of them that came. */
  confirmedTokens: number;
}

/**
 * An answer in the making: iterate it for pieces of text. Leaving the loop stops it. It starts at
 * once, whether or not anybody iterates.
 */
export interface Generation extends AsyncIterable<string> {
  /** The whole answer, once it has ended. */
  readonly result: Promise<GenerationResult>;
  /** What it cost so far; updated with every piece. */
  readonly stats: Readonly<Stats>;
  /** Stops it; `result` resolves with what is there. */
  stop(): void;
}

export interface AdapterInfo {
  name: string;
  vendor: string;
  architecture: string;
  description: string;
  /** Whether it is a CPU behind a software driver. */
  software: boolean;
  f16: boolean;
  subgroups: boolean;
  maxBufferSize: number;
  maxBindingSize: number;
}

export interface ModelInfo {
  /** The file's name or address. */
  name: string;
  /** `general.name` of its metadata. */
  title: string | undefined;
  architecture: string;
  container: string;
  layers: number;
  width: number;
  heads: number;
  kvHeads: number;
  vocabulary: number;
  /** Tokens that the model was trained for. */
  trainedContext: number;
  /** Tokens that a conversation can hold. */
  context: number;
  kvCache: KvFormat;
  parameters: number;
  /** The file's bytes. */
  fileBytes: number;
  /** Formats of its tensors, with the number of tensors and their bytes. */
  formats: { format: string; tensors: number; bytes: number }[];
  /** Kinds of this model's multiplications whose layout was measured on this adapter (`LoadOptions.tune`). */
  tuned: number;
  /** Whether it has a chat template, without which `chat` is an error. */
  canChat: boolean;
  adapter: AdapterInfo;
}

export interface MemoryInfo {
  /** Bytes of all live GPU buffers of the model. */
  gpuBytes: number;
  /** Bytes of the WebAssembly memory. */
  wasmBytes: number;
}

export interface TensorInfo {
  name: string;
  /** The contiguous dimension first. */
  shape: number[];
  format: string;
  bytes: number;
}

/** The shape of OpenAI's chat completions, as far as it applies here. */
export interface ChatCompletionRequest {
  messages: Message[];
  model?: string;
  stream?: boolean;
  max_tokens?: number;
  max_completion_tokens?: number;
  temperature?: number;
  top_p?: number;
  seed?: number;
  /** Ours: as in {@link SamplingOptions}. */
  top_k?: number;
  min_p?: number;
  repeat_penalty?: number;
  /** Ours: as in {@link GenerateOptions}. */
  lookup?: number;
  in_flight?: number;
  signal?: AbortSignal;
  stream_options?: { include_usage?: boolean };
}

export interface ChatCompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

export interface ChatCompletion {
  id: string;
  object: 'chat.completion';
  created: number;
  model: string;
  choices: {
    index: 0;
    message: { role: 'assistant'; content: string };
    finish_reason: 'stop' | 'length';
  }[];
  usage: ChatCompletionUsage;
}

export interface ChatCompletionChunk {
  id: string;
  object: 'chat.completion.chunk';
  created: number;
  model: string;
  choices: {
    index: 0;
    delta: { role?: 'assistant'; content?: string };
    finish_reason: 'stop' | 'length' | null;
  }[];
  usage?: ChatCompletionUsage;
}

export interface Completions {
  create(
    request: ChatCompletionRequest & { stream: true },
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  create(request: ChatCompletionRequest & { stream?: false }): Promise<ChatCompletion>;
}

/** Answers a conversation; the KV cache keeps what the last one had in common. */
export interface Chat {
  (messages: Message[], options?: GenerateOptions): Generation;
  readonly completions: Completions;
}

/** A model on the visitor's GPU, in a Worker of its own. Calls wait for each other in order. */
export interface Model {
  readonly info: ModelInfo;
  readonly chat: Chat;
  /** Continues plain text. */
  complete(prompt: string, options?: CompleteOptions): Generation;
  /** Ids of a text; `special` adds the tokens that begin and end a sequence. */
  tokenize(
    text: string,
    options?: { special?: boolean; parseSpecial?: boolean },
  ): Promise<Uint32Array>;
  /** The text of ids; `special` keeps control tokens. */
  detokenize(ids: ArrayLike<number>, options?: { special?: boolean }): Promise<string>;
  /** The embedding rows of ids, `info.width` values each, back to back. */
  embedTokens(ids: ArrayLike<number>): Promise<Float32Array>;
  tensors(): Promise<TensorInfo[]>;
  /** The first values of a tensor, decoded; whole rows, at least one, up to `maxValues` (65,536). */
  readTensor(name: string, maxValues?: number): Promise<Float32Array>;
  memory(): Promise<MemoryInfo>;
  /** Stops what runs (it rejects with code `disposed`) and frees everything. */
  dispose(): Promise<void>;
}

/** Whether this browser can do it, and if not, why. */
export type Support =
  | { supported: true; adapter: AdapterInfo }
  | { supported: false; reason: 'no-webgpu' | 'insecure' | 'no-adapter' | 'no-worker'; message: string };

export interface FormatInfo {
  name: string;
  /** The family that it is a member of: `bfp`, `mx`, `minifloat`; its own name otherwise. */
  family: string;
  blockLength: number;
  /** Bytes of a block in a file, without a row's scale. */
  blockBytes: number;
  /** Bits per weight, without a row's scale. */
  bitsPerWeight: number;
  /** Whether GGUF has it. */
  gguf: boolean;
  /** Whether a row or a tensor has an f32 scale beside the blocks'. */
  rowScale: boolean;
  /** Whether the GPU encodes it too. */
  gpuEncode: boolean;
}

/** Number formats, computed exactly as everywhere else in Mantissa, on the CPU. */
export interface Formats {
  list(): Promise<FormatInfo[]>;
  /** What the format makes of the values; the last block is padded with zeros. */
  roundTrip(name: string, values: Float32Array): Promise<Float32Array>;
  /** Blocks of the format; the number of values must be a multiple of its block. */
  encode(name: string, values: Float32Array): Promise<Uint8Array>;
  decode(name: string, bytes: Uint8Array): Promise<Float32Array>;
  /**
   * What one element of a block can be, ascending, in a block whose largest magnitude is `peak` (1);
   * empty for f32 and for formats that hold more than 65,536 values.
   */
  values(name: string, peak?: number): Promise<Float32Array>;
}

export type SoftmaxAlgorithm = 'two-pass' | 'three-pass' | 'online';

/** Single kernels on the visitor's GPU. */
export interface Ops {
  /** Softmax of each of `rows` rows. */
  softmax(
    x: Float32Array,
    options?: {
      rows?: number;
      algorithm?: SoftmaxAlgorithm;
      scale?: number;
      temperature?: number;
      log?: boolean;
    },
  ): Promise<Float32Array>;
  /** y = x·Wᵀ: `weights` are blocks of `format`, `n` rows of `k`; x is rows of `k`, y rows of `n`. */
  matmul(
    format: string,
    weights: Uint8Array,
    shape: { n: number; k: number },
    x: Float32Array,
  ): Promise<Float32Array>;
  dequantize(
    format: string,
    weights: Uint8Array,
    shape: { rows: number; cols: number },
  ): Promise<Float32Array>;
  quantize(format: string, x: Float32Array, cols: number): Promise<Uint8Array>;
}

/** A line of the conformance suite: one kernel, on one format where it reads any. */
export interface ConformanceRow {
  op: string;
  format: string | undefined;
  /** The case, such as `3×96`. */
  shape: string;
  /** The largest error, in units of what is allowed: 1 is the bound. `null` where bits are compared. */
  error: number | null;
  passed: boolean;
  /** What is held against what; for a failure what went wrong. */
  detail: string;
  milliseconds: number;
}

export interface BenchRow {
  kind: 'softmax' | 'matmul';
  /** The algorithm or the format. */
  name: string;
  /** Such as `64×4096`, or `1×2048×2048` (rows of x, k, n). */
  shape: string;
  /** Median of the repetitions, with the wait for the device divided among its runs. */
  milliseconds: number;
  /** Bytes that the algorithm must move at least, per second, in GB. */
  gigabytesPerSecond: number;
  /** Multiply-adds count twice; 0 for softmax. */
  gigaflops: number;
  /** Whether the result agreed with the reference, asked once before the timing. */
  correct: boolean;
}

export interface BenchOptions {
  kinds?: ('softmax' | 'matmul')[];
  /** Formats of the matmuls: `q4_0`, `q8_0`, `mxfp4`, `f16` if unset. */
  formats?: string[];
  /** Sizes of the square matrices: 576, 2048 if unset. */
  sizes?: number[];
  /** Rows of x: 1 and 128 if unset. */
  rows?: number[];
  /** Instead of `sizes` and `rows`: rows of x, k, n of each matmul. */
  shapes?: [number, number, number][];
  /** Milliseconds that a case may be repeated for: 300. */
  budget?: number;
  signal?: AbortSignal;
}

export interface ConformanceOptions {
  /** Only ops whose name begins with one of these. */
  ops?: string[];
  signal?: AbortSignal;
}

/** A stream of rows that also tells how many there will be. */
export interface Rows<T> extends AsyncIterable<T> {
  /** How many rows there will be. */
  readonly total: Promise<number>;
}

export interface CachedModel {
  url: string;
  bytes: number;
  /** `undefined` until it is known. */
  total: number | undefined;
  complete: boolean;
  kind: 'opfs' | 'cache-storage';
}

/** The models that this origin keeps. */
export interface Cache {
  list(): Promise<CachedModel[]>;
  remove(url: string | URL): Promise<void>;
  clear(): Promise<void>;
}
