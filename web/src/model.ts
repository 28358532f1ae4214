/** A model in a Worker of its own. */
import { completions } from './completions.js';
import { Connection } from './connection.js';
import { MantissaError } from './errors.js';
import { generation } from './generation.js';
import type { PlainSource } from './protocol.js';
import type {
  Chat,
  CompleteOptions,
  GenerateOptions,
  Generation,
  LoadOptions,
  MemoryInfo,
  Message,
  Model,
  ModelInfo,
  ModelSource,
  TensorInfo,
} from './types.js';

/** Loads a model; whatever goes wrong, nothing of it is left behind. */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  const { onProgress, signal, ...plain } = options;
  const aborted = () =>
    new MantissaError({ code: 'aborted', message: 'the load was cancelled' });
  if (signal?.aborted) throw aborted();
  const connection = new Connection();
  // Ending the Worker frees everything at any stage; a download keeps what it has on disk.
  const abort = () => void connection.close('aborted', 'the load was cancelled');
  signal?.addEventListener('abort', abort);
  try {
    const hear = onProgress ? { onEvent: onProgress } : {};
    const info = await connection.call('load', [plainSource(source), plain], hear);
    return new LoadedModel(connection, info);
  } catch (error) {
    void connection.close('disposed', 'the model could not be loaded');
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function plainSource(source: ModelSource): PlainSource {
  if (source instanceof Blob) {
    return { file: source, name: source instanceof File ? source.name : 'a Blob' };
  }
  const url = new URL(source, globalThis.location?.href);
  url.hash = '';
  return { url: url.href };
}

class LoadedModel implements Model {
  readonly info: ModelInfo;
  readonly chat: Chat;
  readonly #connection: Connection;

  constructor(connection: Connection, info: ModelInfo) {
    this.#connection = connection;
    this.info = info;
    const ask = (messages: Message[], options: GenerateOptions = {}): Generation => {
      const { signal, onRecovery, ...plain } = options;
      return generation(connection, 'chat', [messages, plain], { signal, onRecovery });
    };
    this.chat = Object.assign(ask, { completions: completions(ask, info.title ?? info.name) });
  }

  complete(prompt: string, options: CompleteOptions = {}): Generation {
    const { signal, onRecovery, ...plain } = options;
    return generation(this.#connection, 'complete', [prompt, plain], { signal, onRecovery });
  }

  tokenize(
    text: string,
    options: { special?: boolean; parseSpecial?: boolean } = {},
  ): Promise<Uint32Array> {
    const { special = false, parseSpecial = false } = options;
    return this.#connection.call('tokenize', [text, special, parseSpecial]);
  }

  detokenize(ids: ArrayLike<number>, options: { special?: boolean } = {}): Promise<string> {
    return this.#connection.call('detokenize', [Uint32Array.from(ids), options.special ?? false]);
  }

  embedTokens(ids: ArrayLike<number>): Promise<Float32Array> {
    return this.#connection.call('embed', [Uint32Array.from(ids)]);
  }

  tensors(): Promise<TensorInfo[]> {
    return this.#connection.call('tensors', []);
  }

  readTensor(name: string, maxValues = 65_536): Promise<Float32Array> {
    return this.#connection.call('readTensor', [name, maxValues]);
  }

  memory(): Promise<MemoryInfo> {
    return this.#connection.call('memory', []);
  }

  dispose(): Promise<void> {
    return this.#connection.close('disposed', 'the model was disposed of');
  }

  /** For tests: loses the device, as a driver's reset would. */
  loseDevice(): Promise<void> {
    return this.#connection.call('destroyDevice', []);
  }
}
