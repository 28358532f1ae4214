/** What a format makes of numbers, counted. */

/** Counts of `values` in equal bins over ±`reach`; what lies outside counts in the outer bins. */
export function histogram(values: Float32Array, reach: number, bins: number): number[] {
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) {
    const at = Math.floor(((value + reach) / (2 * reach)) * bins);
    const bin = Math.min(bins - 1, Math.max(0, at));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts;
}

/** Four standard deviations, where nearly all weights are. */
export function reach(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return 4 * Math.sqrt(sum / Math.max(1, values.length)) || 1;
}

/** √(Σ(a−b)² / Σa²): the error as a share of the weights. */
export function relativeError(before: Float32Array, after: Float32Array): number {
  let error = 0;
  let size = 0;
  for (let i = 0; i < before.length; i += 1) {
    const value = before[i] ?? 0;
    const difference = value - (after[i] ?? 0);
    error += difference * difference;
    size += value * value;
  }
  return size === 0 ? 0 : Math.sqrt(error / size);
}

/** The member of an ascending list that is nearest. */
export function nearest(sorted: Float32Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  const above = sorted[low] ?? 0;
  const below = sorted[Math.max(0, low - 1)] ?? above;
  return value - below <= above - value ? below : above;
}
