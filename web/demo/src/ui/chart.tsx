/** A chart of Chart.js in the page's colours; what it shows also stands in a table. */
import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  type ChartConfiguration,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  ScatterController,
  Filler,
  Tooltip,
} from 'chart.js';
import { useEffect, useRef } from 'preact/hooks';
import { dark } from '../theme';

Chart.register(
  BarController, BarElement, LineController, LineElement, ScatterController, PointElement,
  CategoryScale, LinearScale, LogarithmicScale, Legend, Filler, Tooltip,
);

/** A colour of the style sheet, as it is in this theme. */
export function colour(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** The colours of series, in order; told apart by lightness too. */
export const SERIES = ['series-1', 'series-2', 'series-3', 'series-4', 'series-5', 'series-6'];

interface Props {
  /** What it shows, in a sentence. */
  label: string;
  height?: number;
  /** Makes the configuration anew, so that its colours are this theme's. */
  config: () => ChartConfiguration;
  /** What the configuration depends on. */
  deps: unknown[];
}

export function Plot({ label, height = 280, config, deps }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const chart = useRef<Chart | null>(null);
  const isDark = dark.value;
  useEffect(() => {
    if (!canvas.current) return;
    styleDefaults();
    const { type, data, options } = config() as ChartConfiguration<'bar'>;
    const old = chart.current;
    if (old && (old.config as ChartConfiguration).type === type) {
      old.data = data;
      if (options) old.options = options;
      old.update('none');
    } else {
      old?.destroy();
      chart.current = new Chart(canvas.current, { type, data, options });
    }
  }, [...deps, isDark]);
  useEffect(() => () => chart.current?.destroy(), []);
  return (
    <div class="plot" style={{ height: `${height}px` }}>
      <canvas ref={canvas} role="img" aria-label={label} />
    </div>
  );
}

function styleDefaults(): void {
  Chart.defaults.animation = false;
  Chart.defaults.maintainAspectRatio = false;
  Chart.defaults.color = colour('quiet');
  Chart.defaults.borderColor = colour('line');
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 12;
}
