/** The conversation. */
import { type Signal, computed, effect, signal } from '@preact/signals';
import {
  type Generation,
  type GenerationResult,
  type Message,
  type Stats,
  type Words,
  isAbort,
  words,
} from '../engine';
import { measureMemory, model, progress } from '../model_state';
import { announce } from '../ui/announce';
import { sampling, system } from './settings_state';

export interface Turn {
  id: number;
  role: 'user' | 'assistant';
  text: Signal<string>;
  /** What an answer cost; live while it comes. */
  stats: Signal<Stats | null>;
  /** How an answer ended; `null` while it comes. */
  end: Signal<GenerationResult | null>;
  failure: Signal<Words | null>;
}

export const turns = signal<Turn[]>([]);
/** The answer that is being made. */
export const running = signal<Generation | null>(null);
export const busy = computed(() => running.value !== null);
/** What stands in the composer. */
export const draft = signal('');

let nextId = 1;

function turn(role: Turn['role'], text = ''): Turn {
  return {
    id: nextId++,
    role,
    text: signal(text),
    stats: signal(null),
    end: signal(null),
    failure: signal(null),
  };
}

// Another model does not know this conversation's state: what it says stays, what runs ends.
let lastModel = model.peek();
effect(() => {
  if (model.value === lastModel) return;
  lastModel = model.value;
  running.peek()?.stop();
});

export function send(text: string): void {
  const content = text.trim();
  if (!content || busy.value || !model.value) return;
  turns.value = [...turns.value, turn('user', content)];
  draft.value = '';
  void answer();
}

export function stop(): void {
  running.value?.stop();
}

/** Answers the last question again. */
export function regenerate(): void {
  if (busy.value || !model.value) return;
  const last = turns.value.at(-1);
  if (last?.role === 'assistant') turns.value = turns.value.slice(0, -1);
  if (turns.value.length > 0) void answer();
}

/** Takes a question back into the composer, with all that followed it. */
export function edit(id: number): void {
  const at = turns.value.findIndex((t) => t.id === id);
  if (at < 0) return;
  stop();
  draft.value = turns.value[at]?.text.value ?? '';
  turns.value = turns.value.slice(0, at);
}

export function clear(): void {
  stop();
  turns.value = [];
  announce('A new conversation.');
}

function messages(): Message[] {
  const said = turns.value
    .filter((t) => t.role === 'user' || t.text.value)
    .map((t) => ({ role: t.role, content: t.text.value }));
  const prompt = system.value.trim();
  return prompt ? [{ role: 'system', content: prompt }, ...said] : said;
}

async function answer(): Promise<void> {
  const of = model.value;
  if (!of) return;
  const asked = messages();
  const reply = turn('assistant');
  turns.value = [...turns.value, reply];
  announce('The answer begins.');
  let generation: Generation | undefined;
  try {
    generation = of.chat(asked, { ...sampling.value, onRecovery: (now) => (progress.value = now) });
    running.value = generation;
    await stream(generation, reply);
    reply.end.value = await generation.result;
    announce(`The answer is complete: ${reply.text.value}`);
  } catch (error) {
    if (isAbort(error)) announce('The answer was stopped.');
    else reply.failure.value = words(error);
  } finally {
    reply.stats.value = generation ? { ...generation.stats } : null;
    if (running.value === generation) running.value = null;
    if (of === model.value) progress.value = null;
    void measureMemory();
  }
}

/** Shows pieces once a frame: faster than that nobody sees, and a page has other work. */
async function stream(generation: Generation, reply: Turn): Promise<void> {
  let text = '';
  let frame = 0;
  const show = () => {
    frame = 0;
    reply.text.value = text;
    reply.stats.value = { ...generation.stats };
  };
  try {
    for await (const piece of generation) {
      text += piece;
      // A lost device was replaced: the answer goes on.
      progress.value = null;
      frame ||= schedule(show);
    }
  } finally {
    // What the last frame has not shown yet.
    show();
  }
}

/** Frames stop in a tab that is not seen; the text goes on. */
function schedule(show: () => void): number {
  return document.hidden ? window.setTimeout(show, 250) : requestAnimationFrame(show);
}
