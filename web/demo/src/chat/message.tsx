/** A turn of the conversation. */
import { useMemo, useState } from 'preact/hooks';
import { useComputed } from '@preact/signals';
import type { GenerationResult, Stats } from '../engine';
import { recovering } from '../model_state';
import { seconds } from '../units';
import { announce } from '../ui/announce';
import { Failure } from '../ui/failure';
import { blocks, html } from './markdown';
import { type Turn, busy, edit, regenerate, running, turns } from './state';

function Block({ source }: { source: string }) {
  const __html = useMemo(() => html(source), [source]);
  return <div class="block" dangerouslySetInnerHTML={{ __html }} />;
}

function Answer({ turn }: { turn: Turn }) {
  const parts = useComputed(() => blocks(turn.text.value));
  return (
    <div class="prose">
      {parts.value.map((source, i) => (
        <Block key={i} source={source} />
      ))}
    </div>
  );
}

export function Entry({ turn, last }: { turn: Turn; last: boolean }) {
  const assistant = turn.role === 'assistant';
  const streaming = assistant && last && busy.value;
  return (
    <li class={`turn turn-${turn.role}`}>
      <article aria-label={assistant ? 'Answer' : 'You'} aria-busy={streaming}>
        {assistant ? <Answer turn={turn} /> : <p class="question">{turn.text}</p>}
        {streaming && !turn.text.value && <Waiting />}
        {turn.failure.value && (
          <Failure words={turn.failure.value}>
            <button type="button" onClick={regenerate} disabled={busy.value}>
              Try again
            </button>
          </Failure>
        )}
      </article>
      <div class="under">
        {assistant && <Cost stats={turn.stats.value} end={turn.end.value} streaming={streaming} />}
        <div class="actions">
          {!streaming && turn.text.value && <Copy text={turn.text.value} />}
          {!assistant && !busy.value && (
            <button type="button" class="quiet" onClick={() => takeBack(turn.id)}>
              Edit
            </button>
          )}
          {assistant && last && !streaming && (
            <button type="button" class="quiet" onClick={regenerate}>
              Regenerate
            </button>
          )}
        </div>
      </div>
    </li>
  );
}

function takeBack(id: number): void {
  edit(id);
  document.getElementById('composer')?.focus();
}

function Waiting() {
  return (
    <p class="waiting">
      <span class="dots" aria-hidden="true" />
      {recovering.value ? 'The GPU was lost; the model is being put back' : 'Reading the conversation'}
    </p>
  );
}

function Cost(props: { stats: Stats | null; end: GenerationResult | null; streaming: boolean }) {
  const { stats, end, streaming } = props;
  if (!stats || stats.tokens === 0) return <p class="cost">&nbsp;</p>;
  const rate = stats.tokens > 1 ? (stats.tokens - 1) / stats.decodeSeconds : 0;
  const parts = [
    `${stats.tokens} tokens`,
    rate > 0 && Number.isFinite(rate) ? `${rate.toFixed(1)} tokens/s` : '',
    `first after ${seconds(stats.prefillSeconds)}`,
    streaming || !end ? '' : (ENDS[end.finishReason] ?? ''),
    end && end.recoveries > 0 ? `the GPU was lost ${end.recoveries === 1 ? 'once' : `${end.recoveries} times`}; the answer went on` : '',
  ];
  return <p class="cost">{parts.filter(Boolean).join(' · ')}</p>;
}

const ENDS: Record<GenerationResult['finishReason'], string> = {
  stop: '',
  stopped: 'stopped',
  length: 'ended at the most tokens',
  context: 'ended at the end of the context',
};

function Copy({ text }: { text: string }) {
  const [said, setSaid] = useState('Copy');
  const copy = async () => {
    const ok = await navigator.clipboard.writeText(text).then(() => true, () => false);
    const result = ok ? 'Copied' : 'Not allowed';
    setSaid(result);
    announce(ok ? 'Copied.' : 'The browser does not allow copying here.');
    setTimeout(() => setSaid('Copy'), 1500);
  };
  return (
    <button type="button" class="quiet copy" onClick={() => void copy()}>
      {said}
    </button>
  );
}

export function Conversation() {
  const all = turns.value;
  // Read here, so that the end of an answer shows its buttons.
  void running.value;
  return (
    <ol class="turns" aria-label="Conversation">
      {all.map((turn, i) => (
        <Entry key={turn.id} turn={turn} last={i === all.length - 1} />
      ))}
    </ol>
  );
}
