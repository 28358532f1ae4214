/** Every kernel on every format against its reference, on the visitor's GPU. */
import { signal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { type ConformanceRow, type Words, engine, isAbort, words } from '../engine';
import { support } from '../support';
import { announce } from '../ui/announce';
import { Failure } from '../ui/failure';
import { digits } from '../units';
import '../styles/pages.css';

const rows = signal<ConformanceRow[]>([]);
const total = signal(0);
const stopper = signal<AbortController | null>(null);
const failure = signal<Words | null>(null);
const failuresOnly = signal(false);
const finished = signal(false);

/** Rows come by hundreds a second: they are shown together. */
const EVERY = 200;

async function run(): Promise<void> {
  const own = new AbortController();
  const found: ConformanceRow[] = [];
  stopper.value = own;
  rows.value = [];
  total.value = 0;
  failure.value = null;
  finished.value = false;
  announce('The suite runs.');
  const show = setInterval(() => (rows.value = [...found]), EVERY);
  try {
    const stream = engine.conformance({ signal: own.signal });
    stream.total.then((count) => (total.value = count), () => undefined);
    for await (const row of stream) found.push(row);
    // An end that was asked for is no failure, but no whole run either.
    finished.value = !own.signal.aborted;
  } catch (error) {
    if (!isAbort(error)) failure.value = words(error);
  } finally {
    clearInterval(show);
    rows.value = found;
    stopper.value = null;
    announce(summary());
  }
}

function summary(): string {
  const failed = rows.value.filter((row) => !row.passed).length;
  const passed = rows.value.length - failed;
  const end = finished.value ? '' : stopper.value ? ' so far' : ', stopped';
  return `${passed} passed, ${failed} failed${end}`;
}

function download(): void {
  const answer = support.value;
  const report = {
    mantissa: engine.version,
    date: new Date().toISOString(),
    userAgent: navigator.userAgent,
    adapter: answer?.supported ? answer.adapter : null,
    complete: finished.value,
    rows: rows.value,
  };
  const blob = new Blob([JSON.stringify(report, null, 1)], { type: 'application/json' });
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = 'mantissa-conformance.json';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export default function Conformance() {
  const running = stopper.value !== null;
  const some = rows.value.length > 0;
  return (
    <div class="page">
      <h1 tabIndex={-1}>Conformance</h1>
      <p class="lead">
        Every kernel on every number format, on your GPU, against a reference in double precision.
        An error of 1 is what was derived as the bound; decoding is compared bit by bit.
      </p>
      <div class="controls">
        <button type="button" class="primary" disabled={running} onClick={() => void run()}>
          Run
        </button>
        <button type="button" disabled={!running} onClick={() => stopper.value?.abort()}>
          Stop
        </button>
        <button type="button" disabled={!some || running} onClick={download}>
          Download as JSON
        </button>
        <label class="check">
          <input
            type="checkbox"
            checked={failuresOnly.value}
            onChange={(e) => (failuresOnly.value = e.currentTarget.checked)}
          />{' '}
          Failures only
        </label>
      </div>
      <div class="summary">
        <progress aria-label="Cases run" max={total.value || 1} value={running || some ? rows.value.length : 0} />
        <p>
          {some || running ? summary() : 'Not run yet'}
          {total.value > 0 && ` · ${rows.value.length} of ${total.value}`}
        </p>
      </div>
      {failure.value && <Failure words={failure.value} />}
      {some && <Results />}
    </div>
  );
}

const CHUNK = 100;

function Results() {
  const shown = failuresOnly.value ? rows.value.filter((row) => !row.passed) : rows.value;
  const chunks = Array.from({ length: Math.ceil(shown.length / CHUNK) }, (_, i) => i);
  return (
    <div class="table-box tall" tabIndex={0} role="region" aria-label="Results">
      <table>
        <thead>
          <tr>
            <th scope="col">Kernel</th>
            <th scope="col">Format</th>
            <th scope="col">Case</th>
            <th scope="col" class="number">Error</th>
            <th scope="col">Result</th>
            <th scope="col" class="number">ms</th>
          </tr>
        </thead>
        {chunks.map((i) => {
          const part = shown.slice(i * CHUNK, (i + 1) * CHUNK);
          return <Chunk key={i} first={part[0]} count={part.length} part={part} />;
        })}
        {shown.length === 0 && (
          <tbody>
            <tr>
              <td colSpan={6}>None.</td>
            </tr>
          </tbody>
        )}
      </table>
    </div>
  );
}

interface ChunkProps {
  first: ConformanceRow | undefined;
  count: number;
  part: ConformanceRow[];
}

/** Rows never change once they are there: a chunk that is full is not looked at again. */
function Chunk({ first, count, part }: ChunkProps) {
  return useMemo(
    () => (
      <tbody>
        {part.map((row) => (
          <Row key={`${row.op} ${row.format} ${row.shape}`} row={row} />
        ))}
      </tbody>
    ),
    [first, count],
  );
}

function Row({ row }: { row: ConformanceRow }) {
  return (
    <>
      <tr>
        <th scope="row">{row.op}</th>
        <td>{row.format ?? ''}</td>
        <td>{row.shape}</td>
        <td class="number">{row.error == null ? 'bits' : digits(row.error, 2)}</td>
        <td class={row.passed ? 'good' : 'bad'}>{row.passed ? 'passed' : 'failed'}</td>
        <td class="number">{digits(row.milliseconds, 2)}</td>
      </tr>
      {!row.passed && (
        <tr class="detail">
          <td colSpan={6}>{row.detail}</td>
        </tr>
      )}
    </>
  );
}
