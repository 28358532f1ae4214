/** The engine behind the Worker's methods: WebAssembly, its device, and the model if there is one. */
import type { AnswerEvent, PlainGenerateOptions, PlainLoadOptions, PlainSource, SoftmaxOptions } from '../protocol.js';
import { describe } from '../support.js';
import type { AdapterInfo, GenerationResult, ModelInfo, Progress, Stage, Stats } from '../types.js';
import init, * as wasm from '../wasm/mantissa.js';
import { bench } from './bench.js';
import { conformance } from './conformance.js';
import { download, hash, type Tell } from './download.js';
import { fail } from './errors.js';
import type { Context, Handlers } from './main.js';
import { RemoteFile } from './remote.js';
import { keepTuning, knownTuning, tuningKey } from './tuning.js';

export class Engine {
  #ready: Promise<unknown> | undefined;
  #device: Promise<wasm.Device> | undefined;
  #model: wasm.Model | undefined;
  #info: ModelInfo | undefined;
  /** What the model was read from, and is again on a new device. */
  #source: Blob | RemoteFile | undefined;
  /** The end of the last answer: a conversation gives one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /** WebAssembly, compiled while it streams in. */
  #wasm(): Promise<unknown> {
    this.#ready ??= init();
    return this.#ready;
  }

  /** The device that single kernels use. One that was lost is replaced. */
  async #gpu(): Promise<wasm.Device> {
    await this.#wasm();
    const device = await this.#device?.catch(() => undefined);
    if (!device || device.isLost()) this.#device = requestDevice({});
    return this.#device as Promise<wasm.Device>;
  }

  /** Gives up whatever device there is. */
  async release(): Promise<void> {
    this.#model?.destroy();
    (await this.#device?.catch(() => undefined))?.destroy();
  }

  #loaded(): wasm.Model {
    return this.#model ?? fail({ code: 'invalid', message: 'no model is loaded' });
  }

  async #load(source: PlainSource, options: PlainLoadOptions, tell: Tell): Promise<ModelInfo> {
    await this.#wasm();
    const name = 'url' in source ? source.url : source.name;
    // Asked first: without a device there is no use in a download.
    this.#device = requestDevice(options);
    const device = await this.#device;
    const file = await this.#file(source, options, tell);
    const key = options.tune ? await tuningKey() : '';
    const json = loadOptions(options, options.tune ? await knownTuning(key) : undefined);
    this.#model = await this.#reading(file, async () => {
      const model = await wasm.Model.load(device, name, file as Blob, json, teller(tell));
      if (file instanceof RemoteFile) await file.finish();
      return model;
    });
    const tuning = this.#model.tuning();
    if (tuning !== undefined) await keepTuning(key, tuning, wasm.mergeTuning);
    const adapter = await adapterInfo(device);
    this.#info = { name, ...JSON.parse(this.#model.info()), adapter } as ModelInfo;
    tell({ stage: 'ready', done: 1, total: 1, unit: 'steps', cached: false });
    // What goes wrong here goes wrong again, and is told, where it is needed.
    if (!options.sampling && options.compile !== false) void this.#model.warmUpDrawing().catch(() => {});
    return this.#info;
  }

  /** An error of the engine's says only that the file could not be read; the file says why. */
  async #reading<T>(file: Blob | RemoteFile | undefined, work: () => Promise<T>): Promise<T> {
    this.#source = file;
    try {
      return await work();
    } catch (error) {
      throw (file instanceof RemoteFile && file.takeFailure()) || error;
    }
  }

  async #file(
    source: PlainSource,
    options: PlainLoadOptions,
    tell: Tell,
  ): Promise<Blob | RemoteFile> {
    const { cache = 'auto', sha256 } = options;
    const hasher = () => new wasm.Sha256();
    if ('url' in source) return download(source.url, { cache, sha256, tell, hasher });
    const got = sha256 && (await hash(source.file, hasher(), tell));
    if (got && got !== sha256.toLowerCase()) {
      const message = `${source.name}: SHA-256 is ${got}, not ${sha256}`;
      fail({ code: 'hash', message, expected: sha256, got });
    }
    return source.file;
  }

  async #answer(
    prompt: () => Uint32Array,
    options: PlainGenerateOptions,
    context: Context<AnswerEvent>,
  ): Promise<GenerationResult> {
    const model = this.#loaded();
    const before = this.#last;
    const mine = before.then(async () => {
      const ids = prompt();
      if (context.signal.aborted) return stopped(ids.length);
      const stop = () => model.stop();
      context.signal.addEventListener('abort', stop);
      try {
        const piece = (text: string, numbers: number[]) =>
          context.emit({ piece: text, stats: toStats(numbers) });
        const recovery = teller((progress) => context.emit({ progress }));
        const json = await this.#reading(this.#source, () =>
          model.generate(ids, plain(options), piece, recovery),
        );
        return JSON.parse(json) as GenerationResult;
      } finally {
        context.signal.removeEventListener('abort', stop);
      }
    });
    this.#last = mine.catch(() => {});
    return mine;
  }

  readonly handlers: Handlers = {
    load: ([source, options], { emit }) => this.#load(source, options, emit),
    chat: ([messages, options], context) =>
      this.#answer(() => this.#loaded().chatTokens(JSON.stringify(messages)), options, context),
    complete: ([prompt, { parseSpecial = true, ...options }], context) =>
      this.#answer(() => this.#loaded().tokenize(prompt, true, parseSpecial), options, context),
    tokenize: ([text, special, parse]) => this.#loaded().tokenize(text, special, parse),
    detokenize: ([ids, special]) => this.#loaded().detokenize(ids, special),
    embed: ([ids]) => this.#reading(this.#source, () => this.#loaded().embed(ids)),
    tensors: () => JSON.parse(this.#loaded().tensors()),
    readTensor: ([name, maxValues]) =>
      this.#reading(this.#source, () => this.#loaded().readTensor(name, maxValues)),
    memory: () => ({ gpuBytes: this.#loaded().gpuBytes(), wasmBytes: wasm.wasmBytes() }),
    destroyDevice: () => this.#loaded().destroy(),
    softmax: async ([x, { rows = 1, ...options }]) => {
      const cols = rows > 0 && x.length % rows === 0 ? x.length / rows : 0;
      return (await this.#gpu()).softmax(x, cols, JSON.stringify(options satisfies SoftmaxOptions));
    },
    matmul: async ([format, weights, { n, k }, x]) =>
      (await this.#gpu()).matmul(format, weights, n, k, x),
    dequantize: async ([format, weights, { rows, cols }]) =>
      (await this.#gpu()).dequantize(format, weights, rows, cols),
    quantize: async ([format, x, cols]) => (await this.#gpu()).quantize(format, x, cols),
    formats: async () => JSON.parse((await this.#wasm(), wasm.formatList())),
    roundTrip: async ([name, x]) => (await this.#wasm(), wasm.formatRoundTrip(name, x)),
    encode: async ([name, x]) => (await this.#wasm(), wasm.formatEncode(name, x)),
    decode: async ([name, bytes]) => (await this.#wasm(), wasm.formatDecode(name, bytes)),
    values: async ([name, peak]) => (await this.#wasm(), wasm.formatValues(name, peak)),
    bench: async ([options], context) => bench(await this.#gpu(), options, context),
    conformance: async ([options], context) => conformance(await this.#gpu(), options, context),
  };
}

function requestDevice({ without, memoryLimit }: PlainLoadOptions): Promise<wasm.Device> {
  if (!navigator.gpu) fail({ code: 'no-adapter', message: 'this browser has no WebGPU in Workers' });
  return wasm.Device.request(JSON.stringify({ without, memoryLimit }));
}

async function adapterInfo(device: wasm.Device): Promise<AdapterInfo> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  const known = JSON.parse(device.info()) as Partial<AdapterInfo>;
  const named = adapter ? describe(adapter) : { name: '', vendor: '', architecture: '', description: '' };
  return { ...named, ...known, name: named.name } as AdapterInfo;
}

function teller(tell: Tell) {
  return (stage: Stage, done: number, total: number) => {
    const unit: Progress['unit'] = stage === 'upload' ? 'bytes' : 'steps';
    tell({ stage, done, total, unit, cached: false });
  };
}

function loadOptions(options: PlainLoadOptions, known?: string): string {
  const { context, kvCache, sampling, compile, tune } = options;
  const { budgetMs = 1500 } = typeof tune === 'object' ? tune : {};
  const tuning = tune ? { budgetMs, known } : undefined;
  const json = JSON.stringify({ context, kvCache, sampling: {}, compile, tune: tuning });
  return sampling ? json.replace('"sampling":{}', `"sampling":${plain(sampling)}`) : json;
}

/** Only what is set; a seed may be larger than a number can hold. */
function plain({ seed, ...options }: PlainGenerateOptions): string {
  const json = JSON.stringify(options);
  if (seed === undefined) return json;
  return JSON.stringify({ ...options, seed: 0 }).replace('"seed":0', `"seed":${BigInt(seed)}`);
}

function toStats(numbers: number[]): Stats {
  const [tokens = 0, promptTokens = 0, cachedTokens = 0, prefill = 0, decode = 0] = numbers;
  return { tokens, promptTokens, cachedTokens, prefillSeconds: prefill, decodeSeconds: decode };
}

/** An answer that was stopped before its turn came. */
function stopped(promptTokens: number): GenerationResult {
  return {
    text: '',
    tokenIds: [],
    tokens: 0,
    promptTokens,
    cachedTokens: 0,
    prefillSeconds: 0,
    decodeSeconds: 0,
    finishReason: 'stopped',
    recoveries: 0,
    guessedTokens: 0,
    confirmedTokens: 0,
  };
}
