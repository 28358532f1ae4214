/** The numbers that a format has, on a line, and where a number lands. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { engine } from '../engine';
import { dark } from '../theme';
import { colour } from '../ui/chart';
import { digits } from '../units';
import { nearest } from './measure';
import { format, values } from './state';

const HEIGHT = 116;
const MARGIN = 16;

export function NumberLine() {
  const at = useSignal(0.3);
  const landed = useLanding(at.value);
  const canvas = useRef<HTMLCanvasElement>(null);
  const all = values.value;
  useEffect(() => {
    const element = canvas.current;
    if (!element) return undefined;
    const paint = () => draw(element, all, at.value, landed);
    paint();
    const watch = new ResizeObserver(paint);
    watch.observe(element);
    return () => watch.disconnect();
  }, [all, at.value, landed, dark.value]);

  const error = landed === null ? null : landed - at.value;
  return (
    <section aria-labelledby="line-title" class="card">
      <h2 id="line-title">Its numbers</h2>
      <p class="note">{describe(all)}</p>
      <canvas
        ref={canvas}
        class="line"
        role="img"
        aria-label={`Number line of ${format.value}: ${describe(all)}`}
        style={{ height: `${HEIGHT}px` }}
      />
      <label for="number">Number to round</label>
      <input
        id="number"
        type="range"
        min={-1}
        max={1}
        step={0.001}
        value={at.value}
        aria-valuetext={`${at.value} becomes ${landed === null ? 'unknown' : digits(landed, 6)}`}
        onInput={(e) => (at.value = Number(e.currentTarget.value))}
      />
      <dl class="figures">
        <div>
          <dt>Number</dt>
          <dd>{at.value.toFixed(3)}</dd>
        </div>
        <div>
          <dt>Becomes</dt>
          <dd>{landed === null ? '–' : digits(landed, 6)}</dd>
        </div>
        <div>
          <dt>Error</dt>
          <dd>{error === null ? '–' : digits(error)}</dd>
        </div>
        <div>
          <dt>Relative</dt>
          <dd>{error === null || at.value === 0 ? '–' : `${digits((100 * Math.abs(error)) / Math.abs(at.value))} %`}</dd>
        </div>
      </dl>
    </section>
  );
}

function describe(all: Float32Array | null): string {
  if (all === null) return 'Computing…';
  if (all.length === 0) return 'More than 65,536 numbers: the line is full.';
  return `${all.length.toLocaleString('en')} numbers that a weight can become, in a block whose largest is 1.`;
}

/** What the number becomes: the nearest that there is, or what the encoder says where they are too many. */
function useLanding(at: number): number | null {
  const all = values.value;
  const asked = useSignal<number | null>(null);
  const many = all?.length === 0;
  useEffect(() => {
    if (!many) return undefined;
    let current = true;
    // In a block whose largest is 1, as the line is.
    const block = Float32Array.of(1, at);
    engine.formats.roundTrip(format.value, block).then(
      (made) => current && (asked.value = made[1] ?? null),
      () => current && (asked.value = null),
    );
    return () => void (current = false);
  }, [many, at, format.value]);
  if (all === null) return null;
  return many ? asked.value : nearest(all, at);
}

function draw(element: HTMLCanvasElement, all: Float32Array | null, at: number, landed: number | null): void {
  const context = element.getContext('2d');
  if (!context) return;
  const width = element.clientWidth;
  const ratio = devicePixelRatio;
  element.width = Math.round(width * ratio);
  element.height = Math.round(HEIGHT * ratio);
  context.scale(ratio, ratio);
  const reach = Math.max(1, Math.abs(all?.[0] ?? 1), Math.abs(all?.at(-1) ?? 1));
  const x = (value: number) => MARGIN + ((value / reach + 1) / 2) * (width - 2 * MARGIN);
  const base = 66;

  context.fillStyle = colour('line');
  context.fillRect(MARGIN, base, width - 2 * MARGIN, 1);
  context.fillStyle = colour('accent');
  if (all?.length === 0) context.fillRect(MARGIN, base - 24, width - 2 * MARGIN, 24);
  // Many numbers share a pixel: each is drawn faint, and crowds come out dark.
  context.globalAlpha = all && all.length > 512 ? 0.35 : 1;
  for (const value of all ?? []) context.fillRect(x(value) - 0.75, base - 24, 1.5, 24);
  context.globalAlpha = 1;

  context.fillStyle = colour('quiet');
  context.font = `12px ${getComputedStyle(element).fontFamily}`;
  context.textAlign = 'center';
  for (const mark of [-1, -0.5, 0, 0.5, 1]) context.fillText(String(mark).replace('-', '−'), x(mark), base + 18);

  pointer(context, x(at), 8, 30, colour('text'));
  if (landed !== null) pointer(context, x(landed), 108, 88, colour('series-2'));
}

/** A small triangle from `tail` to `tip`. */
function pointer(context: CanvasRenderingContext2D, x: number, tail: number, tip: number, fill: string): void {
  context.fillStyle = fill;
  context.beginPath();
  context.moveTo(x, tip);
  context.lineTo(x - 6, tail);
  context.lineTo(x + 6, tail);
  context.fill();
}
