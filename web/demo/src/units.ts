/** Numbers for people. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** `98.4 MB`. */
export function bytes(count: number): string {
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

/** `0.83 s`, `240 ms`. */
export function seconds(value: number): string {
  return value < 0.1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

/** Three digits that matter. */
export function digits(value: number, count = 3): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-4 ? value.toExponential(count - 1) : String(Number(value.toPrecision(count)));
}

/** `134.5 M`. */
export function millions(count: number): string {
  return count >= 1e9 ? `${(count / 1e9).toFixed(1)} billion` : `${(count / 1e6).toFixed(1)} million`;
}
