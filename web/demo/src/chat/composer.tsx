/** Where one writes. Enter sends, Shift+Enter breaks the line, Escape stops. */
import { useEffect, useRef } from 'preact/hooks';
import { model } from '../model_state';
import { busy, draft, send, stop } from './state';

export function Composer() {
  const field = useRef<HTMLTextAreaElement>(null);
  const ready = model.value !== null;
  useEffect(() => {
    if (ready) field.current?.focus();
  }, [ready]);

  const submit = (event: Event) => {
    event.preventDefault();
    if (busy.value) stop();
    else send(draft.value);
    field.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // A word being composed (Japanese, Chinese) ends with Enter too.
    const enter = event.key === 'Enter' && !event.shiftKey && !event.isComposing;
    if (enter && !busy.value) submit(event);
    else if (enter) event.preventDefault();
    else if (event.key === 'Escape' && busy.value) stop();
  };
  return (
    <form class="composer" onSubmit={submit} aria-label="Write">
      <label class="unseen" for="composer">
        Message
      </label>
      <textarea
        id="composer"
        ref={field}
        rows={1}
        placeholder={ready ? 'Ask something' : 'Load a model first'}
        disabled={!ready}
        value={draft.value}
        onInput={(e) => (draft.value = e.currentTarget.value)}
        onKeyDown={onKeyDown}
        aria-describedby="composer-hint"
      />
      <button
        type="submit"
        class={busy.value ? 'stop' : 'primary'}
        disabled={!ready || (!busy.value && !draft.value.trim())}
      >
        {busy.value ? 'Stop' : 'Send'}
      </button>
      <p id="composer-hint" class="hint">
        Enter sends, Shift+Enter begins a line, Escape stops.
      </p>
    </form>
  );
}
