/** The weights before and after. */
import { useEffect } from 'preact/hooks';
import { useSignal } from '@preact/signals';
import { words } from '../engine';
import { model } from '../model_state';
import { Plot, colour } from '../ui/chart';
import { digits } from '../units';
import { histogram, reach, relativeError } from './measure';
import { matrices, normal, tensor } from './sample';
import { after, failure, format, sample } from './state';

const BINS = 161;
const SYNTHETIC = '';

export function Weights() {
  const names = useSignal<string[]>([]);
  const chosen = useSignal(SYNTHETIC);
  const of = model.value;
  useEffect(() => {
    names.value = [];
    if (!of) return;
    matrices(of).then(
      (found) => of === model.value && (names.value = found),
      (error) => (failure.value = words(error)),
    );
  }, [of]);

  const choose = (name: string) => {
    chosen.value = name;
    if (name === SYNTHETIC || !of) sample.value = normal();
    else {
      tensor(of, name).then(
        (read) => chosen.value === name && (sample.value = read),
        (error) => (failure.value = words(error)),
      );
    }
  };
  return (
    <section aria-labelledby="weights-title" class="card">
      <h2 id="weights-title">Weights before and after</h2>
      <div class="fields">
        <label for="tensor">Weights</label>
        <select id="tensor" value={chosen.value} onChange={(e) => choose(e.currentTarget.value)}>
          <option value={SYNTHETIC}>Normal numbers, σ = 0.05</option>
          {names.value.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </div>
      {!of && <p class="note">Load a model in Chat, and its tensors can be chosen here.</p>}
      <Before />
    </section>
  );
}

function Before() {
  const before = sample.value.values;
  const made = after.value;
  const error = made && relativeError(before, made);
  const distinct = made && new Set(made).size;
  const width = reach(before);
  const label =
    made && error !== null
      ? `Histogram of ${before.length} weights before and after ${format.value}: relative error ${digits(100 * error)} percent`
      : 'Histogram of the weights';
  const step = (2 * width) / BINS;
  const labels = Array.from({ length: BINS }, (_, i) => digits(-width + (i + 0.5) * step, 2));
  return (
    <>
      <Plot
        label={label}
        deps={[before, made]}
        config={() => ({
          type: 'bar',
          data: {
            labels,
            datasets: [
              {
                label: 'before',
                data: histogram(before, width, BINS),
                type: 'line' as const,
                borderColor: colour('text'),
                backgroundColor: 'transparent',
                borderWidth: 1.5,
                order: 0,
                pointRadius: 0,
                stepped: 'middle' as const,
              },
              {
                label: 'after',
                data: made ? histogram(made, width, BINS) : [],
                backgroundColor: colour('accent'),
                barPercentage: 1,
                categoryPercentage: 1,
                order: 1,
              },
            ],
          } as never,
          options: {
            scales: {
              x: { ticks: { maxTicksLimit: 9, maxRotation: 0 }, grid: { display: false } },
              y: { type: 'linear', ticks: { maxTicksLimit: 5 } },
            },
          },
        })}
      />
      <dl class="figures">
        <div>
          <dt>Weights</dt>
          <dd>{before.length.toLocaleString('en')}</dd>
        </div>
        <div>
          <dt>Distinct after</dt>
          <dd>{distinct === null ? '–' : distinct.toLocaleString('en')}</dd>
        </div>
        <div>
          <dt>Relative error</dt>
          <dd>{error === null ? '–' : `${digits(100 * error)} %`}</dd>
        </div>
      </dl>
    </>
  );
}
