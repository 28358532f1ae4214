/** The benchmark's cases, one after the other. */
import type { BenchOptions, BenchRow } from '../types.js';
import type { Device } from '../wasm/mantissa.js';
import type { EventOf } from '../protocol.js';
import type { Context } from './main.js';

const FORMATS = ['q4_0', 'q8_0', 'mxfp4', 'f16'];
const SIZES = [576, 2048];
const ROWS = [1, 128];
const SOFTMAX = [
  [1, 49_152],
  [64, 4096],
] as const;
const ALGORITHMS = ['two-pass', 'three-pass', 'online'] as const;
const BUDGET_MS = 300;

export async function bench(
  device: Device,
  options: BenchOptions,
  { emit, signal }: Context<EventOf<'bench'>>,
): Promise<void> {
  const { kinds = ['softmax', 'matmul'], budget = BUDGET_MS } = options;
  const cases: (() => Promise<string>)[] = [];
  if (kinds.includes('softmax')) {
    for (const [rows, cols] of SOFTMAX) {
      for (const name of ALGORITHMS) {
        cases.push(() => device.benchSoftmax(name, rows, cols, budget));
      }
    }
  }
  if (kinds.includes('matmul')) {
    const { formats = FORMATS, sizes = SIZES, rows = ROWS } = options;
    const square = sizes.flatMap((n) => rows.map((m): [number, number, number] => [m, n, n]));
    for (const [m, k, n] of options.shapes ?? square) {
      for (const name of formats) cases.push(() => device.benchMatmul(name, m, k, n, budget));
    }
  }
  emit({ total: cases.length });
  for (const run of cases) {
    if (signal.aborted) return;
    emit({ row: JSON.parse(await run()) as BenchRow });
  }
}
