/** Bars: a group for each shape, a colour for each algorithm or format. */
import type { BenchRow } from '../engine';
import { Plot, SERIES, colour } from '../ui/chart';
import { digits } from '../units';

/** What is compared: bytes that come in, for softmax; arithmetic, for matmul. */
const MEASURES = {
  softmax: { unit: 'GB/s', of: (row: BenchRow) => row.gigabytesPerSecond },
  matmul: { unit: 'GFLOP/s', of: (row: BenchRow) => row.gigaflops },
};

export function BenchChart({ kind, rows }: { kind: BenchRow['kind']; rows: BenchRow[] }) {
  const { unit, of } = MEASURES[kind];
  const shapes = [...new Set(rows.map((row) => row.shape))];
  const names = [...new Set(rows.map((row) => row.name))];
  const found = (name: string, shape: string) => rows.find((r) => r.name === name && r.shape === shape);
  const best = rows.reduce((a, b) => (of(b) > of(a) ? b : a));
  return (
    <Plot
      height={320}
      label={`${unit} by shape for ${names.join(', ')}; most is ${digits(of(best))} ${unit}, ${best.name} at ${best.shape}`}
      deps={[rows.length, kind]}
      config={() => ({
        type: 'bar',
        data: {
          labels: shapes,
          datasets: names.map((name, i) => ({
            label: name,
            data: shapes.map((shape) => {
              const row = found(name, shape);
              return row ? of(row) : null;
            }),
            backgroundColor: colour(SERIES[i % SERIES.length] ?? 'accent'),
            borderRadius: 3,
          })),
        },
        options: {
          scales: {
            x: { grid: { display: false } },
            // Shapes differ by orders of magnitude.
            y: { type: kind === 'matmul' ? 'logarithmic' : 'linear', title: { display: true, text: unit } },
          },
        },
      })}
    />
  );
}
