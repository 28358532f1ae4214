/** Softmax and quantized matmul, timed on the visitor's GPU. */
import { signal } from '@preact/signals';
import { type BenchRow, type Words, engine, isAbort, words } from '../engine';
import { support } from '../support';
import { announce } from '../ui/announce';
import { Failure } from '../ui/failure';
import { digits } from '../units';
import { BenchChart } from './chart';
import '../styles/pages.css';

const rows = signal<BenchRow[]>([]);
const total = signal(0);
const stopper = signal<AbortController | null>(null);
const failure = signal<Words | null>(null);
const kinds = signal<BenchRow['kind'][]>(['softmax', 'matmul']);

async function run(): Promise<void> {
  const own = new AbortController();
  stopper.value = own;
  rows.value = [];
  total.value = 0;
  failure.value = null;
  announce('Measuring.');
  try {
    const stream = engine.bench({ kinds: kinds.value, signal: own.signal });
    stream.total.then((count) => (total.value = count), () => undefined);
    for await (const row of stream) rows.value = [...rows.value, row];
    announce(`${own.signal.aborted ? 'Stopped after' : 'Measured'} ${rows.value.length} cases.`);
  } catch (error) {
    if (isAbort(error)) announce('Stopped.');
    else failure.value = words(error);
  } finally {
    stopper.value = null;
  }
}

export default function Bench() {
  const running = stopper.value !== null;
  return (
    <div class="page">
      <h1 tabIndex={-1}>Bench</h1>
      <p class="lead">
        Three ways to a softmax, and matrices multiplied while their weights stay in their blocks:
        measured on your GPU{adapter()}. Each case is checked against its reference before it is timed.
      </p>
      <div class="controls">
        <fieldset disabled={running}>
          <legend class="unseen">What to measure</legend>
          <Kind kind="softmax" label="Softmax" />
          <Kind kind="matmul" label="Quantized matmul" />
        </fieldset>
        <button type="button" class="primary" disabled={running || kinds.value.length === 0} onClick={() => void run()}>
          Run
        </button>
        <button type="button" disabled={!running} onClick={() => stopper.value?.abort()}>
          Stop
        </button>
        <p class="count" role="status">
          {rows.value.length > 0 || running ? `${rows.value.length}${total.value ? ` of ${total.value}` : ''} cases` : ''}
        </p>
      </div>
      {failure.value && <Failure words={failure.value} />}
      <Results kind="softmax" title="Softmax" />
      <Results kind="matmul" title="Quantized matmul" />
    </div>
  );
}

function adapter(): string {
  const answer = support.value;
  return answer?.supported ? `, ${answer.adapter.description || answer.adapter.name || answer.adapter.vendor}` : '';
}

function Kind({ kind, label }: { kind: BenchRow['kind']; label: string }) {
  const on = kinds.value.includes(kind);
  const toggle = () => (kinds.value = on ? kinds.value.filter((k) => k !== kind) : [...kinds.value, kind]);
  return (
    <label class="check">
      <input type="checkbox" checked={on} onChange={toggle} /> {label}
    </label>
  );
}

function Results({ kind, title }: { kind: BenchRow['kind']; title: string }) {
  const own = rows.value.filter((row) => row.kind === kind);
  if (own.length === 0) return null;
  return (
    <section class="card" aria-labelledby={`${kind}-title`}>
      <h2 id={`${kind}-title`}>{title}</h2>
      <div class="beside">
        <BenchChart kind={kind} rows={own} />
        <div class="table-box" tabIndex={0} role="region" aria-label={`${title}, figures`}>
          <table>
            <thead>
              <tr>
                <th scope="col">{kind === 'softmax' ? 'Algorithm' : 'Format'}</th>
                <th scope="col">Shape</th>
                <th scope="col" class="number">ms</th>
                <th scope="col" class="number">GB/s</th>
                {kind === 'matmul' && <th scope="col" class="number">GFLOP/s</th>}
                <th scope="col">Right</th>
              </tr>
            </thead>
            <tbody>
              {own.map((row) => (
                <tr key={`${row.name} ${row.shape}`}>
                  <th scope="row">{row.name}</th>
                  <td>{row.shape}</td>
                  <td class="number">{digits(row.milliseconds)}</td>
                  <td class="number">{digits(row.gigabytesPerSecond)}</td>
                  {kind === 'matmul' && <td class="number">{digits(row.gigaflops)}</td>}
                  <td class={row.correct ? 'good' : 'bad'}>{row.correct ? 'yes' : 'no'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </div>
    </section>
  );
}
