/** The models that this origin keeps. */
import type { Cache } from './types.js';
import { keyOf } from './worker/store.js';
import { listCached, removeCached } from './worker/store_cache.js';
import { listOpfs, removeOpfs } from './worker/store_opfs.js';
import { forgetTuning } from './worker/tuning.js';

/** A browser without the one has the other. */
async function or<T>(work: Promise<T>, otherwise: T): Promise<T> {
  return work.catch(() => otherwise);
}

export const cache: Cache = {
  async list() {
    return [...(await or(listOpfs(), [])), ...(await or(listCached(), []))];
  },
  async remove(address) {
    const url = new URL(address, globalThis.location?.href);
    url.hash = '';
    const key = await keyOf(url.href);
    await removeOpfs(key);
    await or(removeCached(key), undefined);
  },
  async clear() {
    for (const { url } of await this.list()) await this.remove(url);
    await or(forgetTuning(), undefined);
  },
};
