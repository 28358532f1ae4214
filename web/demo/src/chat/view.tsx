/** The chat: a picker until there is a model, then the conversation. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { load, model, progress, recovering, title } from '../model_state';
import { announce } from '../ui/announce';
import { Composer } from './composer';
import { Conversation } from './message';
import { Panel } from './panel';
import { Picker, stageWords } from './picker';
import { busy, turns } from './state';
import '../styles/chat.css';

export default function Chat() {
  const open = useSignal(false);
  const dropping = useDrop();
  return (
    <div
      class="chat"
      onKeyDown={(e) => {
        if (e.key === 'Escape' && open.value) open.value = false;
      }}
    >
      <div class="talk">
        {model.value ? <Talk /> : <div class="scroll"><Picker /></div>}
        {model.value && (
          <div class="foot">
            <Recovery />
            <Composer />
          </div>
        )}
        <button
          type="button"
          class="panel-toggle"
          aria-expanded={open.value}
          aria-controls="panel"
          onClick={() => (open.value = !open.value)}
        >
          {open.value ? 'Close settings' : 'Settings'}
        </button>
      </div>
      <Panel open={open.value} />
      {dropping && <div class="drop" aria-hidden="true">Drop the model here</div>}
    </div>
  );
}

function Talk() {
  const scroll = useRef<HTMLDivElement>(null);
  useFollow(scroll);
  return (
    <div class="scroll" ref={scroll} tabIndex={0} role="region" aria-label="Conversation with the model">
      <h1 class="unseen" tabIndex={-1}>
        Chat with {title.value}
      </h1>
      {turns.value.length === 0 && (
        <p class="empty">
          {title.value} is ready. Small models err often: ask for something short, and check what it says.
        </p>
      )}
      <Conversation />
    </div>
  );
}

/** Keeps the end in sight while an answer comes, unless the reader has scrolled away from it. */
function useFollow(box: { current: HTMLDivElement | null }): void {
  const pinned = useRef(true);
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const onScroll = () =>
      (pinned.current = element.scrollHeight - element.scrollTop - element.clientHeight < 48);
    const follow = () => {
      if (pinned.current) element.scrollTop = element.scrollHeight;
    };
    const watch = new ResizeObserver(follow);
    for (const child of element.children) watch.observe(child);
    watch.observe(element);
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      watch.disconnect();
      element.removeEventListener('scroll', onScroll);
    };
  }, []);
  useEffect(() => {
    // One's own question is worth seeing.
    if (busy.value && box.current) {
      pinned.current = true;
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [busy.value]);
}

function Recovery() {
  const lost = recovering.value;
  useEffect(() => {
    if (lost) announce('The GPU was lost. The model is being put back; the answer will go on.');
  }, [lost]);
  if (!lost || !progress.value) return null;
  return (
    <p class="recovery">
      The GPU was lost. The model is being put back, and the answer goes on. {stageWords(progress.value)}
    </p>
  );
}

/** A file dropped anywhere is a model. */
function useDrop(): boolean {
  const over = useSignal(false);
  useEffect(() => {
    const hasFile = (e: DragEvent) => e.dataTransfer?.types.includes('Files') ?? false;
    const onOver = (e: DragEvent) => {
      if (!hasFile(e)) return;
      e.preventDefault();
      over.value = true;
    };
    const onLeave = (e: DragEvent) => {
      if (!e.relatedTarget) over.value = false;
    };
    const onDrop = (e: DragEvent) => {
      over.value = false;
      const file = e.dataTransfer?.files[0];
      if (!file) return;
      e.preventDefault();
      void load(file);
    };
    addEventListener('dragover', onOver);
    addEventListener('dragleave', onLeave);
    addEventListener('drop', onDrop);
    return () => {
      removeEventListener('dragover', onOver);
      removeEventListener('dragleave', onLeave);
      removeEventListener('drop', onDrop);
    };
  }, []);
  return over.value;
}
