/**
 * A file that stays on its server, where the browser has no place for it: read while it streams past,
 * and by ranges where the reader goes another way.
 */
import type { Hasher, Tell } from './download.js';
import { fail, Failure } from './errors.js';
import { MAX_ATTEMPTS, pause } from './retry.js';
import { hex } from './store.js';

/** What is asked for, checked and remembered at a time. */
const PIECE = 1 << 20;
/** Pieces that are remembered, and that the reader may be ahead of the stream. */
const WINDOW = 16;

type Bytes = Uint8Array<ArrayBuffer>;

/** As much of a Blob as the engine uses. */
export interface FileLike {
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

export interface RemoteOptions {
  sha256: string | undefined;
  hasher: () => Hasher;
  tell: Tell;
}

/** Bytes of an address from one place on; a connection that breaks is taken up where it broke. */
class Feed {
  readonly #url: string;
  readonly #end: number | undefined;
  /** The server's word for the version of the file that is read. */
  etag: string | null | undefined;
  #at: number;
  #body: ReadableStreamDefaultReader<Bytes> | undefined;
  #rest: Bytes = new Uint8Array(0);
  /** The whole file's bytes, once a server has answered. */
  total: number | undefined;

  constructor(url: string, at: number, end?: number, like?: Feed) {
    this.#url = url;
    this.#at = at;
    this.#end = end;
    this.etag = like?.etag;
    this.total = like?.total;
  }

  /** Asks; false where the server does not give ranges, or does not say of how much. */
  async open(): Promise<boolean> {
    const last = this.#end === undefined ? '' : this.#end - 1;
    const headers = { Range: `bytes=${this.#at}-${last}` };
    const response = await fetch(this.#url, { headers, cache: 'no-store' });
    const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '');
    const encoded = response.headers.has('Content-Encoding');
    if (response.status !== 206 || !range || encoded || Number(range[1]) !== this.#at) {
      await response.body?.cancel();
      return false;
    }
    const [etag, total] = [response.headers.get('ETag'), Number(range[2])];
    const changed = this.etag !== undefined && (etag !== this.etag || total !== this.total);
    if (changed) {
      await response.body?.cancel();
      fail({ code: 'network', message: `${this.#url}: the file is another one now`, url: this.#url });
    }
    [this.etag, this.total] = [etag, total];
    this.#body = response.body?.getReader() as ReadableStreamDefaultReader<Bytes> | undefined;
    return true;
  }

  /** The next `length` bytes. */
  async pull(length: number): Promise<Bytes> {
    const piece = new Uint8Array(length);
    let done = 0;
    for (let failures = 0; done < length; ) {
      try {
        const chunk = await this.#chunk();
        const taken = chunk.subarray(0, length - done);
        piece.set(taken, done);
        done += taken.length;
        this.#at += taken.length;
        this.#rest = chunk.subarray(taken.length);
        failures = 0;
      } catch (error) {
        if (error instanceof Failure) throw error;
        this.cancel();
        if (++failures >= MAX_ATTEMPTS) this.#giveUp(error);
        await pause(failures);
      }
    }
    return piece;
  }

  async #chunk(): Promise<Bytes> {
    if (this.#rest.length > 0) return this.#rest;
    if (!this.#body && !(await this.open())) throw new Error('the server gives no ranges any more');
    const { value } = (await this.#body?.read()) ?? {};
    return value ?? Promise.reject(new Error('the answer ends early'));
  }

  #giveUp(problem: unknown): never {
    const reason = problem instanceof Error ? problem.message : String(problem);
    const message = `${this.#url}: at byte ${this.#at} of ${this.total ?? '?'}: ${reason}`;
    const total = this.total === undefined ? {} : { total: this.total };
    fail({ code: 'network', message, url: this.#url, bytes: this.#at, ...total });
  }

  cancel(): void {
    void this.#body?.cancel().catch(() => {});
    this.#body = undefined;
    this.#rest = new Uint8Array(0);
  }
}

export class RemoteFile implements FileLike {
  readonly size: number;
  #failure: unknown;
  readonly #url: string;
  readonly #options: RemoteOptions;
  /** The file from its beginning, and the piece that comes next; for the hash it has to pass whole. */
  readonly #stream: Feed;
  readonly #hasher: Hasher | undefined;
  #next = 0;
  #streams = true;
  /** The last pieces, and what each piece was when it was first seen. */
  readonly #window = new Map<number, Bytes>();
  readonly #digests = new Map<number, string>();
  /** The end of the last read: one comes after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(url: string, size: number, stream: Feed, options: RemoteOptions) {
    this.#url = url;
    this.size = size;
    this.#stream = stream;
    this.#options = options;
    this.#hasher = options.sha256 === undefined ? undefined : options.hasher();
  }

  /** The file, if its server gives ranges. */
  static async open(url: string, options: RemoteOptions): Promise<RemoteFile | undefined> {
    const stream = new Feed(url, 0);
    // Whoever asks next tells what is wrong with the address.
    const opened = await stream.open().catch(() => false);
    if (!opened || stream.total === undefined) return undefined;
    return new RemoteFile(url, stream.total, stream, options);
  }

  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> } {
    return { arrayBuffer: () => this.#turn(() => this.#read(start, end)) };
  }

  /** Lets the rest pass, where there is a hash to compare, and lets go of the stream. */
  finish(): Promise<void> {
    return this.#turn(async () => {
      const { sha256, tell } = this.#options;
      if (this.#hasher && sha256 !== undefined) {
        const passed = () => {
          const done = Math.min(this.#next * PIECE, this.size);
          tell({ stage: 'verify', done, total: this.size, unit: 'bytes', cached: false });
        };
        passed();
        while (this.#next * PIECE < this.size) {
          await this.#advance(this.#next);
          passed();
        }
        const got = this.#hasher.digest();
        if (got !== sha256.toLowerCase()) this.#wrong(`SHA-256 is ${got}, not ${sha256}`, sha256, got);
      }
      this.#streams = false;
      this.#stream.cancel();
      this.#window.clear();
    });
  }

  async #turn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    this.#last = mine.catch((error: unknown) => (this.#failure = error));
    return mine;
  }

  /** Why a read failed since this was asked last. */
  takeFailure(): unknown {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  async #read(start: number, end: number): Promise<ArrayBuffer> {
    const bytes = new Uint8Array(end - start);
    const copy = (index: number, piece: Bytes) => {
      const at = index * PIECE - start;
      bytes.set(piece.subarray(Math.max(0, -at), end - index * PIECE), Math.max(0, at));
    };
    const last = Math.ceil(end / PIECE);
    for (let index = Math.floor(start / PIECE); index < last; ) {
      const piece = this.#window.get(index) ?? (await this.#advance(index));
      if (piece) copy(index++, piece);
      else index = await this.#ranges(index, last, copy);
    }
    return bytes.buffer;
  }

  /** Whether the stream comes by this piece soon. */
  #comes(index: number): boolean {
    return this.#streams && index >= this.#next && index < this.#next + WINDOW;
  }

  /** Lets the stream pass up to a piece, if it comes by. */
  async #advance(index: number): Promise<Bytes | undefined> {
    if (!this.#comes(index)) return undefined;
    while (this.#next <= index) {
      const piece = await this.#stream.pull(this.#length(this.#next));
      this.#hasher?.update(piece);
      await this.#keep(this.#next++, piece);
    }
    return this.#window.get(index);
  }

  /** Asks for a run of pieces, up to one that is there or comes by; gives the index behind it. */
  async #ranges(
    first: number,
    last: number,
    use: (index: number, piece: Bytes) => void,
  ): Promise<number> {
    let end = first + 1;
    while (end < last && !this.#window.has(end) && !this.#comes(end)) end++;
    const feed = new Feed(this.#url, first * PIECE, Math.min(end * PIECE, this.size), this.#stream);
    for (let index = first; index < end; index++) {
      const piece = await feed.pull(this.#length(index));
      await this.#keep(index, piece);
      use(index, piece);
    }
    return end;
  }

  #length(index: number): number {
    return Math.min(PIECE, this.size - index * PIECE);
  }

  /** Remembers a piece. What was hashed and what was used must be the same, however often it comes. */
  async #keep(index: number, piece: Bytes): Promise<void> {
    if (this.#hasher) {
      const digest = hex(await crypto.subtle.digest('SHA-256', piece));
      const before = this.#digests.get(index) ?? digest;
      if (digest !== before) {
        const what = `the bytes from ${index * PIECE} on are not those that came before`;
        this.#wrong(what, before, digest);
      }
      this.#digests.set(index, digest);
    }
    this.#window.delete(index);
    this.#window.set(index, piece);
    const [oldest] = this.#window.keys();
    if (this.#window.size > WINDOW && oldest !== undefined) this.#window.delete(oldest);
  }

  #wrong(what: string, expected: string, got: string): never {
    fail({ code: 'hash', message: `${this.#url}: ${what}`, expected, got, url: this.#url });
  }
}
