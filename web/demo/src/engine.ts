/** The only file that imports the package: what the page needs of it, and its errors in words. */
import { Mantissa, MantissaError } from 'mantissa';
import type { ModelSource } from 'mantissa';

export type {
  AdapterInfo,
  BenchRow,
  CachedModel,
  ConformanceRow,
  FormatInfo,
  Generation,
  GenerationResult,
  KvFormat,
  LoadOptions,
  MemoryInfo,
  Message,
  Model,
  ModelInfo,
  ModelSource,
  Progress,
  Stage,
  Stats,
  Support,
  TensorInfo,
} from 'mantissa';

export const engine = Mantissa;

/** What went wrong, and what can be done about it. */
export interface Words {
  what: string;
  advice: string;
}

const ADVICE: Record<string, string> = {
  http: 'Check the address: it must be that of the file itself, and open to everybody.',
  network:
    'Check the connection, and that the server allows other pages to read the file (CORS). Try again: what came so far is kept.',
  truncated: 'Try again. If it stays so, the file on the server is incomplete.',
  hash: 'Try again: the file was not kept. If it stays so, the server has another file.',
  quota: 'Remove kept models, or free space on the disk, and try again.',
  'no-adapter': 'The page about WebGPU says what can be done in this browser.',
  'out-of-memory': 'Take a smaller model, a shorter context or a smaller KV cache format, or close other tabs.',
  limit: 'Take a smaller model or a shorter context.',
  'device-lost': 'Load the model again. It is kept in the browser, so nothing is downloaded twice.',
  gpu: 'Load the model again; if it stays so, open Conformance and see which kernel this GPU gets wrong.',
  'unsupported-type': 'Take a file in another number format; Formats lists those that work.',
  malformed: 'Take another copy of the file; it must be GGUF or safetensors.',
  config: 'The model is of an architecture that Mantissa does not run; take one of the llama family.',
  'context-full': 'Begin a new conversation, or load the model with a longer context.',
  'not-finite': 'Begin a new conversation; if it stays so, open Conformance to check this GPU.',
  'unknown-format': 'Take a name from the list.',
  tokenizer: 'Take another copy of the file: it must hold its tokenizer.',
  template: 'Take an instruct model: it must hold a chat template.',
  io: 'Choose the file again; it may have been moved or changed.',
  crashed: 'Load the model again. It is kept in the browser, so nothing is downloaded twice.',
};

/** An error of the package, or any other, in words. */
export function words(error: unknown): Words {
  if (error instanceof MantissaError) {
    return { what: sentence(error.message), advice: ADVICE[error.code] ?? '' };
  }
  const what = error instanceof Error ? error.message : String(error);
  return { what: sentence(what), advice: 'Reload the page and try again.' };
}

function sentence(text: string): string {
  // An address stays as it is.
  const begun = /^\w+:/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** Whether somebody stopped it, which is no error. */
export function isAbort(error: unknown): boolean {
  if (error instanceof MantissaError) return error.code === 'aborted' || error.code === 'disposed';
  return error instanceof DOMException && error.name === 'AbortError';
}

/** What the page offers first: the address in `?model=`, the build's, or the package's. */
export interface Offer {
  url: string;
  title: string;
  bytes: number | undefined;
  sha256: string | undefined;
}

export function offer(): Offer {
  const asked = new URLSearchParams(location.search).get('model');
  if (asked) return { url: asked, title: sourceName(asked), bytes: undefined, sha256: undefined };
  const { url, title, bytes, sha256 } = engine.defaultModel;
  const own: string | undefined = import.meta.env.VITE_MODEL_URL;
  const root = document.documentElement.dataset.root ?? './';
  const at = own ? new URL(own, new URL(root, location.href)).href : url;
  return { url: at, title, bytes, sha256 };
}

/** What a person would call a source. */
export function sourceName(source: ModelSource): string {
  if (source instanceof File) return source.name;
  if (source instanceof Blob) return 'a file';
  const path = String(source).split(/[?#]/)[0] ?? '';
  try {
    return decodeURIComponent(path.split('/').pop() || path);
  } catch {
    return path;
  }
}
