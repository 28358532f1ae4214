/** From an address to a file: streamed, resumed, kept, and checked; or left where it is. */
import type { CacheKind, Progress } from '../types.js';
import { fail, Failure } from './errors.js';
import { RemoteFile } from './remote.js';
import { MAX_ATTEMPTS, pause } from './retry.js';
import { type Meta, openStore, type Store } from './store.js';
import { MemoryStore } from './store_memory.js';

/** Progress is told no more often than this. */
const TELL_MS = 50;

export type Tell = (progress: Progress) => void;

/** Something to hash with, one piece after the other. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  digest(): string;
}

export interface DownloadOptions {
  cache: CacheKind;
  sha256: string | undefined;
  tell: Tell;
  hasher: () => Hasher;
}

/**
 * The file at `url`. Another load of the same address waits, and then finds it in the cache. What is
 * kept nowhere is not downloaded, but read from its server, where that gives ranges; its hash is
 * compared by {@link RemoteFile.finish}.
 */
export async function download(
  url: string,
  options: DownloadOptions,
): Promise<Blob | RemoteFile> {
  return navigator.locks.request(`mantissa-download:${url}`, async () => {
    let store = await openStore(options.cache, url);
    try {
      if (store.meta?.complete) tellCached(store, options.tell);
      else if (store.kind !== 'memory') store = await fetchAll(url, store, options);
      if (store.kind === 'memory') {
        const remote = await RemoteFile.open(url, options);
        if (remote) return remote;
        store = await fetchAll(url, store, options);
      }
      const meta = store.meta ?? { url, complete: true };
      const blob = await store.blob();
      await check(blob, meta, store, url, options);
      return blob;
    } finally {
      await store.close();
    }
  });
}

function tellCached(store: Store, tell: Tell): void {
  const { size } = store;
  tell({ stage: 'download', done: size, total: size, unit: 'bytes', cached: true });
}

/** Compares hashes; a file with the wrong one is thrown away. */
async function check(
  blob: Blob,
  meta: Meta,
  store: Store,
  url: string,
  { cache, sha256, tell, hasher }: DownloadOptions,
): Promise<void> {
  if (!sha256) return;
  const got = meta.sha256 ?? (await hash(blob, hasher(), tell));
  if (got === sha256.toLowerCase()) {
    if (meta.sha256 || store.kind === 'memory') return;
    await store.save({ ...meta, sha256: got });
    return;
  }
  await store.close();
  await (await openStore(cache, url)).reset();
  fail({
    code: 'hash',
    message: `${url}: SHA-256 is ${got}, not ${sha256}; the file is not kept`,
    expected: sha256,
    got,
    url,
  });
}

/** SHA-256 of a Blob, in pieces. */
export async function hash(blob: Blob, hasher: Hasher, tell: Tell): Promise<string> {
  const piece = 4 << 20;
  for (let at = 0; at < blob.size; at += piece) {
    hasher.update(new Uint8Array(await blob.slice(at, at + piece).arrayBuffer()));
    const done = Math.min(at + piece, blob.size);
    tell({ stage: 'verify', done, total: blob.size, unit: 'bytes', cached: false });
  }
  return hasher.digest();
}

/**
 * Attempts until all is there, or several in a row have brought nothing. Gives a store that keeps
 * nothing, and is empty, where the browser has no room.
 */
async function fetchAll(url: string, store: Store, options: DownloadOptions): Promise<Store> {
  let best = store.size;
  let failures = 0;
  for (;;) {
    let problem: unknown;
    try {
      const outcome = await attempt(url, store, options);
      if (outcome === 'complete') return store;
      if (outcome === 'no-room') return unkept(store);
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (isQuota(error)) {
        // There was less room than the browser had said.
        if (options.cache !== 'auto') quota(store, left(store), await room());
        return unkept(store);
      }
      problem = error;
    }
    failures = store.size > best ? 0 : failures + 1;
    best = Math.max(best, store.size);
    if (failures >= MAX_ATTEMPTS) giveUp(url, store, problem);
    await pause(failures);
  }
}

/** A store that keeps nothing, instead of one without room, whose open file is locked against other loads. */
async function unkept(store: Store): Promise<Store> {
  await store.reset();
  await store.close();
  return new MemoryStore();
}

/** Bytes that are missing, or that are there if it is not known. */
function left({ meta, size }: Store): number {
  return meta?.total === undefined ? size : meta.total - size;
}

function giveUp(url: string, store: Store, problem: unknown): never {
  const total = store.meta?.total;
  const values = { url, bytes: store.size, ...(total === undefined ? {} : { total }) };
  if (store.meta) {
    const message = `${url}: the download ends after ${store.size} of ${total ?? '?'} bytes`;
    fail({ code: 'truncated', message, ...values });
  }
  const reason = problem instanceof Error ? problem.message : String(problem);
  fail({ code: 'network', message: `${url}: ${reason}`, ...values });
}

/** One request, from the first byte that is missing. */
async function attempt(
  url: string,
  store: Store,
  { cache, tell }: DownloadOptions,
): Promise<'complete' | 'incomplete' | 'no-room'> {
  const headers: HeadersInit = store.size > 0 ? { Range: `bytes=${store.size}-` } : {};
  const response = await fetch(url, { headers, cache: 'no-store' });
  if (response.status === 416) return rangeRefused(response, store, url);
  if (!response.ok) refused(url, response);
  const etag = response.headers.get('ETag') ?? undefined;
  const changed = store.meta?.etag !== undefined && etag !== store.meta.etag;
  if (store.size > 0 && (response.status !== 206 || changed)) {
    // No ranges here, or another file than before: from the beginning.
    await response.body?.cancel();
    await store.reset();
    return changed ? 'incomplete' : attempt(url, store, { cache, tell } as DownloadOptions);
  }
  const length = response.headers.get('Content-Length');
  const encoded = response.headers.has('Content-Encoding');
  const total = length === null || encoded ? undefined : store.size + Number(length);
  const left = store.kind === 'memory' ? Infinity : await room();
  if (total !== undefined && total - store.size > left) {
    await response.body?.cancel();
    if (cache === 'auto') return 'no-room';
    quota(store, total - store.size, left);
  }
  const meta: Meta = {
    url,
    complete: false,
    ...(total === undefined ? {} : { total }),
    ...(etag === undefined ? {} : { etag }),
  };
  await store.save(meta);
  await receive(response, store, total, tell);
  if (total !== undefined && store.size !== total) return 'incomplete';
  await store.save({ ...meta, total: store.size, complete: true });
  return 'complete';
}

async function receive(
  response: Response,
  store: Store,
  total: number | undefined,
  tell: Tell,
): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  let told = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (value) await store.append(value);
    if (done || performance.now() - told > TELL_MS) {
      told = performance.now();
      tell({ stage: 'download', done: store.size, total, unit: 'bytes', cached: false });
    }
    if (done) return;
  }
}

/** Servers say 416 where nothing is left, or less than before. */
async function rangeRefused(
  response: Response,
  store: Store,
  url: string,
): Promise<'complete' | 'incomplete'> {
  const total = Number(response.headers.get('Content-Range')?.split('/')[1] ?? NaN);
  if (total === store.size || store.meta?.total === store.size) {
    await store.save({ ...(store.meta ?? { url }), total: store.size, complete: true });
    return 'complete';
  }
  if (store.meta?.total !== undefined && store.size < store.meta.total) return 'incomplete';
  await store.reset();
  return 'incomplete';
}

function refused(url: string, { status, statusText }: Response): never {
  const message = `${url}: the server says ${status} ${statusText}`.trim();
  // A server that is overloaded may answer the next attempt.
  if (status >= 500 || status === 429) throw new Error(message);
  fail({ code: 'http', message, status, url });
}

/** Bytes that the browser will let be kept besides what is there. */
async function room(): Promise<number> {
  const { quota, usage } = await navigator.storage.estimate();
  return quota === undefined ? Infinity : quota - (usage ?? 0);
}

function isQuota(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'QuotaExceededError';
}

function quota(store: Store, bytes: number, limit: number): never {
  const place = `this browser keeps no ${bytes} more bytes for this page (${store.kind})`;
  const message = `${place}; remove kept models, or choose the cache "none"`;
  fail({ code: 'quota', message, bytes, ...(limit < Infinity ? { limit } : {}) });
}
