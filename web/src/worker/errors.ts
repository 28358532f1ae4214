/** Whatever was thrown, as what can be sent. */
import type { PlainError } from '../errors.js';

/** Thrown on the Worker's side. */
export class Failure extends Error {
  constructor(readonly plain: PlainError) {
    super(plain.message);
  }
}

export function fail(plain: PlainError): never {
  throw new Failure(plain);
}

export function toPlain(error: unknown): PlainError {
  if (error instanceof Failure) return error.plain;
  if (typeof error === 'object' && error !== null) {
    // The engine throws plain objects.
    if ('code' in error && typeof error.code === 'string') return error as PlainError;
    if (error instanceof WebAssembly.RuntimeError) {
      return { code: 'crashed', message: error.message };
    }
    if ('message' in error) return { code: 'io', message: String(error.message) };
  }
  return { code: 'io', message: String(error) };
}
