/** Where downloads are kept: one interface, three kinds. */
import type { CachedModel, CacheKind } from '../types.js';
import { CacheStore } from './store_cache.js';
import { MemoryStore } from './store_memory.js';
import { OpfsStore } from './store_opfs.js';

/** What is known about a download. */
export interface Meta {
  url: string;
  /** All of its bytes, where the server says. */
  total?: number;
  /** The server's word for this version of the file. */
  etag?: string;
  /** Whether all is there. */
  complete: boolean;
  /** Its hash, once it has been computed. */
  sha256?: string;
}

/** One download in the making, or complete. */
export interface Store {
  readonly kind: 'opfs' | 'cache-storage' | 'memory';
  readonly meta: Meta | undefined;
  /** Bytes that are there. */
  readonly size: number;
  append(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Writes what is known down. */
  save(meta: Meta): Promise<void>;
  /** Forgets everything. */
  reset(): Promise<void>;
  /** The bytes; nothing is appended afterwards. */
  blob(): Promise<Blob>;
  /** Lets go of the file, whatever is in it. */
  close(): Promise<void>;
}

/** A store for this address, the first of its kind that works. */
export async function openStore(kind: CacheKind, url: string): Promise<Store> {
  const key = await keyOf(url);
  if (kind === 'auto' || kind === 'opfs') {
    try {
      return await OpfsStore.open(key);
    } catch (error) {
      // Private windows and older browsers have no OPFS, or none that a Worker may write.
      if (kind === 'opfs') throw error;
    }
  }
  if (kind === 'auto' || kind === 'cache-storage') {
    try {
      return await CacheStore.open(key);
    } catch (error) {
      if (kind === 'cache-storage') throw error;
    }
  }
  return new MemoryStore();
}

/** A name for an address that every file system takes. */
export async function keyOf(url: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url));
  return hex(digest.slice(0, 16));
}

export function hex(digest: ArrayBuffer): string {
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function listed(meta: Meta, bytes: number, kind: CachedModel['kind']): CachedModel {
  return { url: meta.url, bytes, total: meta.total, complete: meta.complete, kind };
}
