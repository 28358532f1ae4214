/** What went wrong, as a word to act on; the rest of the error is for people and for logs. */
export type ErrorCode =
  /** Stopped by an `AbortSignal`. */
  | 'aborted'
  /** The model was disposed of. */
  | 'disposed'
  /** The server answered with a failure: `status`, `url`. */
  | 'http'
  /** The connection broke, and again after several attempts: `bytes`, `total`. */
  | 'network'
  /** The server has fewer bytes than it said: `bytes`, `total`. */
  | 'truncated'
  /** The file is not the one that was asked for: `expected`, `got`. */
  | 'hash'
  /** The browser's storage is too small: `bytes`, `limit`. */
  | 'quota'
  /** No WebGPU, or no adapter. */
  | 'no-adapter'
  /** GPU memory: `bytes` were asked for, `limit` is the most. */
  | 'out-of-memory'
  /** The adapter lacks what is needed: `bytes`, `limit`, `limitName`. */
  | 'limit'
  /** The device was lost, and could not be replaced. */
  | 'device-lost'
  /** The device rejected a command. */
  | 'gpu'
  /** A tensor's type is not supported: `tensor`, `typeName`. */
  | 'unsupported-type'
  /** The file breaks the rules of its format. */
  | 'malformed'
  /** The model's description lacks something: `key`. */
  | 'config'
  /** A prompt is longer than the context: `tokens`, `context`. */
  | 'context-full'
  /** The logits are not finite. */
  | 'not-finite'
  /** An argument is not what it may be: `option`. */
  | 'invalid'
  /** No such number format. */
  | 'unknown-format'
  /** The tokenizer or the chat template. */
  | 'tokenizer'
  | 'template'
  /** Reading the file failed. */
  | 'io'
  /** The Worker ended unexpectedly. */
  | 'crashed';

/** Values that belong to a code, as its comment says. */
export interface ErrorDetails {
  bytes?: number;
  limit?: number;
  limitName?: string;
  total?: number;
  status?: number;
  url?: string;
  expected?: string;
  got?: string;
  tensor?: string;
  typeName?: string;
  key?: string;
  tokens?: number;
  context?: number;
  option?: string;
}

/** What crosses the border of the Worker: plain values. */
export interface PlainError extends ErrorDetails {
  code: ErrorCode;
  message: string;
}

/** The one error of the package. `code` says what to do about it. */
export class MantissaError extends Error {
  override readonly name: string;
  readonly code: ErrorCode;
  declare readonly bytes?: number;
  declare readonly limit?: number;
  declare readonly limitName?: string;
  declare readonly total?: number;
  declare readonly status?: number;
  declare readonly url?: string;
  declare readonly expected?: string;
  declare readonly got?: string;
  declare readonly tensor?: string;
  declare readonly typeName?: string;
  declare readonly key?: string;
  declare readonly tokens?: number;
  declare readonly context?: number;
  declare readonly option?: string;

  constructor(plain: PlainError) {
    super(plain.message);
    // What the web platform calls it, so that code that knows only that finds it.
    this.name = plain.code === 'aborted' ? 'AbortError' : 'MantissaError';
    this.code = plain.code;
    const { code: _code, message: _message, ...details } = plain;
    Object.assign(this, details);
  }
}
