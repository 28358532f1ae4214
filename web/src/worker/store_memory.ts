/**
 * A download that is not kept, of a server without ranges: browsers move large Blobs out of memory by
 * themselves, some of them.
 */
import type { Meta, Store } from './store.js';

export class MemoryStore implements Store {
  readonly kind = 'memory';
  meta: Meta | undefined;
  size = 0;
  #parts: Blob[] = [];

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#parts.push(new Blob([bytes]));
    this.size += bytes.length;
  }

  async save(meta: Meta): Promise<void> {
    this.meta = meta;
  }

  async reset(): Promise<void> {
    this.#parts = [];
    this.size = 0;
    this.meta = undefined;
  }

  async blob(): Promise<Blob> {
    return new Blob(this.#parts);
  }

  async close(): Promise<void> {}
}
