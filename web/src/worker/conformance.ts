/** The conformance suite's cases, one after the other. */
import type { ConformanceOptions, ConformanceRow } from '../types.js';
import type { Device } from '../wasm/mantissa.js';
import * as wasm from '../wasm/mantissa.js';
import type { EventOf } from '../protocol.js';
import type { Context } from './main.js';

export async function conformance(
  device: Device,
  { ops }: ConformanceOptions,
  { emit, signal }: Context<EventOf<'conformance'>>,
): Promise<void> {
  const names = JSON.parse(wasm.conformanceCases()) as { op: string }[];
  const chosen = names
    .map(({ op }, index) => ({ op, index }))
    .filter(({ op }) => !ops || ops.some((start) => op.startsWith(start)));
  emit({ total: chosen.length });
  for (const { index } of chosen) {
    if (signal.aborted) return;
    const start = performance.now();
    const row = JSON.parse(await device.conformanceCase(index)) as ConformanceRow;
    emit({ row: { ...row, milliseconds: performance.now() - start } });
  }
}
