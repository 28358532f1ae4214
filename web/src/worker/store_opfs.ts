/** Downloads in the origin's private file system: a file of bytes and one of JSON beside it. */
import type { CachedModel } from '../types.js';
import { listed, type Meta, type Store } from './store.js';

/** What TypeScript's DOM library leaves to its library for Workers. */
interface SyncAccessHandle {
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  getSize(): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

type WorkerFileHandle = FileSystemFileHandle & {
  createSyncAccessHandle(): Promise<SyncAccessHandle>;
};

const FOLDER = 'mantissa';

async function folder(): Promise<FileSystemDirectoryHandle> {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle(FOLDER, { create: true });
}

export class OpfsStore implements Store {
  readonly kind = 'opfs';
  meta: Meta | undefined;
  size: number;
  readonly #folder: FileSystemDirectoryHandle;
  readonly #key: string;
  readonly #file: FileSystemFileHandle;
  #access: SyncAccessHandle | undefined;

  private constructor(
    folder: FileSystemDirectoryHandle,
    key: string,
    file: FileSystemFileHandle,
    access: SyncAccessHandle,
    meta: Meta | undefined,
  ) {
    this.#folder = folder;
    this.#key = key;
    this.#file = file;
    this.#access = access;
    this.meta = meta;
    this.size = access.getSize();
  }

  /** Only one at a time per key; whoever calls holds a lock. */
  static async open(key: string): Promise<OpfsStore> {
    const dir = await folder();
    const file = (await dir.getFileHandle(`${key}.bin`, { create: true })) as WorkerFileHandle;
    const access = await file.createSyncAccessHandle();
    const store = new OpfsStore(dir, key, file, access, await readMeta(dir, key));
    // Bytes of an unknown file, or fewer than the note beside it says.
    const { meta, size } = store;
    if ((!meta && size > 0) || (meta?.complete && meta.total !== size)) await store.reset();
    return store;
  }

  async append(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const written = this.#access?.write(bytes, { at: this.size }) ?? 0;
    if (written !== bytes.length) {
      throw new DOMException('the file system took fewer bytes', 'QuotaExceededError');
    }
    this.size += written;
  }

  async save(meta: Meta): Promise<void> {
    this.#access?.flush();
    const file = await this.#folder.getFileHandle(`${this.#key}.json`, { create: true });
    const access = await (file as WorkerFileHandle).createSyncAccessHandle();
    try {
      access.truncate(0);
      access.write(new TextEncoder().encode(JSON.stringify(meta)), { at: 0 });
      access.flush();
    } finally {
      access.close();
    }
    this.meta = meta;
  }

  async reset(): Promise<void> {
    this.#access?.truncate(0);
    this.size = 0;
    this.meta = undefined;
    await this.#folder.removeEntry(`${this.#key}.json`).catch(() => {});
  }

  async blob(): Promise<Blob> {
    await this.close();
    return this.#file.getFile();
  }

  async close(): Promise<void> {
    this.#access?.close();
    this.#access = undefined;
  }
}

async function readMeta(dir: FileSystemDirectoryHandle, key: string): Promise<Meta | undefined> {
  try {
    const file = await (await dir.getFileHandle(`${key}.json`)).getFile();
    return JSON.parse(await file.text()) as Meta;
  } catch {
    // None, or cut off while it was written: the download begins anew.
    return undefined;
  }
}

export async function listOpfs(): Promise<CachedModel[]> {
  const dir = await folder();
  const models: CachedModel[] = [];
  for await (const name of dir.keys()) {
    if (!name.endsWith('.json')) continue;
    const key = name.slice(0, -'.json'.length);
    const meta = await readMeta(dir, key);
    if (!meta) continue;
    const { size } = await (await dir.getFileHandle(`${key}.bin`)).getFile();
    models.push(listed(meta, size, 'opfs'));
  }
  return models;
}

export async function removeOpfs(key: string): Promise<void> {
  const dir = await folder();
  for (const name of [`${key}.json`, `${key}.bin`]) {
    await dir.removeEntry(name).catch((error: unknown) => {
      if (!(error instanceof DOMException && error.name === 'NotFoundError')) throw error;
    });
  }
}
