/** What is said to those who listen. */
import { signal } from '@preact/signals';

const said = signal('');

/** Says it once, politely. */
export function announce(text: string): void {
  // The same text twice would not be said again.
  said.value = said.value === text ? `${text}\u00a0` : text;
}

export function Announcer() {
  return (
    <div class="unseen" role="status" aria-live="polite" id="announcer">
      {said.value}
    </div>
  );
}
