/** A queue that is filled on one side and iterated on the other. */
export class Stream<T> implements AsyncIterableIterator<T> {
  readonly #items: T[] = [];
  #wake: (() => void) | undefined;
  #end: { error?: unknown } | undefined;
  readonly #onReturn: () => void;

  /** `onReturn` hears that the reader has left before the end. */
  constructor(onReturn: () => void = () => {}) {
    this.#onReturn = onReturn;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    this.#end ??= {};
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      const value = this.#items.shift();
      if (value !== undefined) return { done: false, value };
      if (this.#end) {
        if ('error' in this.#end) throw this.#end.error;
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<T>> {
    if (!this.#end) {
      this.end();
      this.#onReturn();
    }
    this.#items.length = 0;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
