/** Error against bits per weight, for all formats. */
import { useEffect } from 'preact/hooks';
import { Plot, colour } from '../ui/chart';
import { digits } from '../units';
import { type Point, format, list, points, readPoints, sample } from './state';

/** An exact format has no place on a logarithmic axis. */
const drawn = (point: Point) => point.error > 0;

export function Scatter() {
  const all = list.value;
  const of = sample.value;
  useEffect(() => {
    if (all.length === 0) return undefined;
    const stop = new AbortController();
    void readPoints(stop.signal);
    return () => stop.abort();
  }, [all, of]);

  const shown = points.value.filter(drawn);
  const done = points.value.length;
  return (
    <section aria-labelledby="scatter-title" class="card wide">
      <h2 id="scatter-title">Error against bits</h2>
      <p class="note">
        Every format rounds the same weights. Lower is nearer to them, further left is smaller.{' '}
        {done < all.length ? `${done} of ${all.length} formats tried.` : `${all.length} formats.`}
      </p>
      <div class="beside">
        <Plot
          height={380}
          label={`Relative error against bits per weight, ${shown.length} formats`}
          deps={[shown.length, format.value, of]}
          config={() => ({
            type: 'scatter',
            data: { datasets: datasets(shown) },
            options: {
              parsing: false,
              onClick: (_event, hits, chart) => {
                const hit = hits[0];
                const point = hit && (chart.data.datasets[hit.datasetIndex]?.data[hit.index] as Named | undefined);
                if (point) format.value = point.name;
              },
              plugins: {
                legend: { display: false },
                tooltip: { callbacks: { label: ({ raw }) => tip(raw as Named) } },
              },
              scales: {
                x: { title: { display: true, text: 'bits per weight' }, min: 0 },
                y: {
                  type: 'logarithmic',
                  title: { display: true, text: 'relative error' },
                  ticks: { callback: (value) => digits(Number(value), 1), maxTicksLimit: 7 },
                },
              },
            },
          })}
        />
        <Table />
      </div>
    </section>
  );
}

interface Named {
  name: string;
  x: number;
  y: number;
}

const tip = ({ name, x, y }: Named) => `${name}: ${digits(x)} bits, ${digits(100 * y)} %`;

function datasets(shown: Point[]) {
  const named = (point: Point): Named => ({ name: point.name, x: point.bits, y: point.error });
  const own = shown.filter((p) => p.name === format.value);
  return [
    { data: own.map(named), backgroundColor: colour('series-2'), pointRadius: 8, pointHoverRadius: 9 },
    { data: shown.filter((p) => !own.includes(p)).map(named), backgroundColor: colour('accent'), pointRadius: 4.5 },
  ];
}

function Table() {
  const sorted = [...points.value].sort((a, b) => a.bits - b.bits || a.error - b.error);
  return (
    <div class="table-box" tabIndex={0} role="region" aria-label="Error by format">
      <table>
        <thead>
          <tr>
            <th scope="col">Format</th>
            <th scope="col" class="number">
              Bits
            </th>
            <th scope="col" class="number">
              Error
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((point) => (
            <tr key={point.name} class={point.name === format.value ? 'chosen' : ''}>
              <th scope="row">
                <button type="button" class="quiet" onClick={() => (format.value = point.name)}>
                  {point.name}
                </button>
              </th>
              <td class="number">{digits(point.bits, 4)}</td>
              <td class="number">{point.error === 0 ? 'exact' : `${digits(100 * point.error)} %`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
