/** The format and the weights that the view is about. */
import { signal } from '@preact/signals';
import { type FormatInfo, type Words, engine, words } from '../engine';
import { relativeError } from './measure';
import { type Sample, normal } from './sample';

export const list = signal<FormatInfo[]>([]);
export const format = signal('q4_0');
export const sample = signal<Sample>(normal());
export const failure = signal<Words | null>(null);

/** What one element can be, in a block whose largest is 1; `null` while it is computed. */
export const values = signal<Float32Array | null>(null);
/** The sample after the format. */
export const after = signal<Float32Array | null>(null);

export interface Point {
  name: string;
  bits: number;
  error: number;
}
/** Error against bits, a point for each format of the list. */
export const points = signal<Point[]>([]);

/** As many as tell the error to two digits; some encoders search, and take their time. */
const TRIED = 8192;

export async function readList(): Promise<void> {
  if (list.value.length > 0) return;
  try {
    list.value = await engine.formats.list();
  } catch (error) {
    failure.value = words(error);
  }
}

/** Reads what depends on the format; what comes late is dropped. */
export async function readFormat(): Promise<void> {
  const name = format.value;
  const of = sample.value;
  const current = () => name === format.value && of === sample.value;
  try {
    const [found, made] = await Promise.all([
      engine.formats.values(name),
      engine.formats.roundTrip(name, of.values),
    ]);
    if (!current()) return;
    values.value = found;
    after.value = made;
    failure.value = null;
  } catch (error) {
    if (!current()) return;
    values.value = null;
    after.value = null;
    failure.value = words(error);
  }
}

/** Tries all formats on the sample, one after the other. */
export async function readPoints(signal: AbortSignal): Promise<void> {
  const before = sample.value.values.slice(0, TRIED);
  points.value = [];
  try {
    for (const { name, bitsPerWeight: bits } of list.value) {
      const made = await engine.formats.roundTrip(name, before);
      if (signal.aborted) return;
      points.value = [...points.value, { name, bits, error: relativeError(before, made) }];
    }
  } catch (error) {
    if (!signal.aborted) failure.value = words(error);
  }
}
