/** Signals that outlive the page. */
import { effect, signal, type Signal } from '@preact/signals';

/** A string kept in the browser's storage; `parse` makes sure of what is found there. */
export function stored<T extends string>(
  key: string,
  initial: T,
  parse: (text: string) => T,
): Signal<T> {
  const found = read(key);
  const value = signal(found === null ? initial : parse(found));
  effect(() => write(key, value.value));
  return value;
}

/** An object kept as JSON: members that are missing or of another type are `initial`'s. */
export function storedObject<T extends object>(key: string, initial: T): Signal<T> {
  const value = signal(merged(initial, read(key)));
  effect(() => write(key, JSON.stringify(value.value)));
  return value;
}

function merged<T extends object>(initial: T, text: string | null): T {
  if (text === null) return initial;
  try {
    const found = JSON.parse(text) as Record<string, unknown>;
    const entries = Object.entries(initial).map(([key, value]) => {
      const kept = found?.[key];
      return [key, typeof kept === typeof value ? kept : value];
    });
    return Object.fromEntries(entries) as T;
  } catch {
    return initial;
  }
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, text: string): void {
  try {
    localStorage.setItem(key, text);
  } catch {
    // Storage is off or full: the setting lives as long as the page.
  }
}
