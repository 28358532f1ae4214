/** An error where it happened, in words. */
import type { ComponentChildren } from 'preact';
import type { Words } from '../engine';

export function Failure({ words, children }: { words: Words; children?: ComponentChildren }) {
  return (
    <div class="failure" role="alert">
      <p>
        <strong>{words.what}</strong>
      </p>
      {words.advice && <p>{words.advice}</p>}
      {children && <div class="row">{children}</div>}
    </div>
  );
}
