/** Downloads in Cache Storage, in pieces, so that a broken one goes on at the last whole piece. */
import type { CachedModel } from '../types.js';
import { listed, type Meta, type Store } from './store.js';

const CACHE = 'mantissa';
const PIECE = 8 << 20;

/** Cache Storage wants addresses; nothing is ever fetched from these. */
const address = (key: string, part: string) => `https://mantissa.invalid/${key}/${part}`;

export class CacheStore implements Store {
  readonly kind = 'cache-storage';
  meta: Meta | undefined;
  size = 0;
  readonly #cache: Cache;
  readonly #key: string;
  #pieces = 0;
  #buffer = new Uint8Array(PIECE);
  #held = 0;

  private constructor(cache: Cache, key: string) {
    this.#cache = cache;
    this.#key = key;
  }

  static async open(key: string): Promise<CacheStore> {
    const store = new CacheStore(await caches.open(CACHE), key);
    store.meta = await readMeta(store.#cache, key);
    for (;;) {
      const piece = store.meta && (await store.#piece(store.#pieces));
      if (!piece) break;
      store.size += piece.size;
      store.#pieces += 1;
    }
    const { meta, size } = store;
    if (meta?.complete && meta.total !== size) await store.reset();
    return store;
  }

  async #piece(index: number): Promise<Blob | undefined> {
    return (await this.#cache.match(address(this.#key, String(index))))?.blob();
  }

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      const taken = rest.subarray(0, PIECE - this.#held);
      this.#buffer.set(taken, this.#held);
      this.#held += taken.length;
      this.size += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#held === PIECE) await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    if (this.#held === 0) return;
    const body = new Response(this.#buffer.slice(0, this.#held));
    await this.#cache.put(address(this.#key, String(this.#pieces)), body);
    this.#pieces += 1;
    this.#held = 0;
  }

  async save(meta: Meta): Promise<void> {
    if (meta.complete) await this.#flush();
    await this.#cache.put(address(this.#key, 'meta'), new Response(JSON.stringify(meta)));
    this.meta = meta;
  }

  async reset(): Promise<void> {
    await removeCached(this.#key);
    this.meta = undefined;
    this.size = this.#pieces = this.#held = 0;
  }

  async blob(): Promise<Blob> {
    const pieces: Blob[] = [];
    for (let index = 0; index < this.#pieces; index++) {
      const piece = await this.#piece(index);
      if (!piece) throw new Error('a piece of the cached file is gone');
      pieces.push(piece);
    }
    if (this.#held > 0) pieces.push(new Blob([this.#buffer.slice(0, this.#held)]));
    return new Blob(pieces);
  }

  async close(): Promise<void> {}
}

async function readMeta(cache: Cache, key: string): Promise<Meta | undefined> {
  const found = await cache.match(address(key, 'meta'));
  return found ? ((await found.json()) as Meta) : undefined;
}

export async function listCached(): Promise<CachedModel[]> {
  const cache = await caches.open(CACHE);
  const models: CachedModel[] = [];
  for (const { url } of await cache.keys()) {
    const [, key, part] = new URL(url).pathname.split('/');
    if (part !== 'meta' || !key) continue;
    const store = await CacheStore.open(key);
    if (store.meta) models.push(listed(store.meta, store.size, 'cache-storage'));
  }
  return models;
}

export async function removeCached(key: string): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const request of await cache.keys()) {
    if (request.url.startsWith(address(key, ''))) await cache.delete(request);
  }
}
