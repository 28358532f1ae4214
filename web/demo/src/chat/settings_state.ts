/** What the visitor sets, kept in the browser. */
import { stored, storedObject } from '../stored';

export const system = stored<string>('system', '', (text) => text);

export const DEFAULTS = {
  temperature: 0,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  repeatPenalty: 1,
  seed: 0,
  maxTokens: 256,
};

export type Sampling = typeof DEFAULTS;
export const sampling = storedObject<Sampling>('sampling', DEFAULTS);

export interface Setting {
  key: keyof Sampling;
  label: string;
  hint: string;
  min: number;
  max: number;
  step: number;
  /** A number to type, rather than to slide. */
  typed?: boolean;
}

export const SETTINGS: Setting[] = [
  { key: 'temperature', label: 'Temperature', hint: '0 always takes the likeliest token', min: 0, max: 2, step: 0.05 },
  { key: 'topK', label: 'Top-k', hint: 'Keep the k likeliest; 0 keeps all', min: 0, max: 200, step: 1 },
  { key: 'topP', label: 'Top-p', hint: 'Keep the likeliest that make up this share', min: 0.05, max: 1, step: 0.05 },
  { key: 'minP', label: 'Min-p', hint: 'Keep those at least this likely, against the likeliest', min: 0, max: 0.5, step: 0.01 },
  { key: 'repeatPenalty', label: 'Repeat penalty', hint: '1 is none', min: 1, max: 2, step: 0.05 },
  { key: 'seed', label: 'Seed', hint: 'The same seed gives the same text', min: 0, max: 4294967295, step: 1, typed: true },
  { key: 'maxTokens', label: 'Most tokens', hint: 'An answer ends there', min: 1, max: 8192, step: 1, typed: true },
];

/** Within the bounds, and whole where steps are whole; the default for what is no number. */
export function clamped(setting: Setting, value: number): number {
  if (!Number.isFinite(value)) return DEFAULTS[setting.key];
  const inside = Math.min(setting.max, Math.max(setting.min, value));
  return setting.step >= 1 ? Math.round(inside) : inside;
}
