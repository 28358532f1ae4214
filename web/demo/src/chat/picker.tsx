/** Which model: ours, any by address, any from the disk; and how far loading is. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { type Progress, offer } from '../engine';
import {
  cancelLoading,
  failure,
  forget,
  kept,
  load,
  loadSettings,
  loading,
  progress,
  refreshKept,
} from '../model_state';
import { bytes } from '../units';
import { Failure } from '../ui/failure';
import { sourceName } from '../engine';

export function Picker() {
  useEffect(() => void refreshKept(), []);
  return (
    <div class="picker">
      <h1 tabIndex={-1}>A language model on your own GPU</h1>
      <p class="lead">
        It is fetched once and kept in this browser. It computes here, through WebGPU, in
        low-precision number formats; what you write goes nowhere.
      </p>
      {loading.value === null ? <Choices /> : <Loading />}
      {failure.value && <Failure words={failure.value} />}
    </div>
  );
}

function Choices() {
  const { url, title, bytes: size, sha256 } = offer();
  const address = useSignal('');
  const byAddress = (event: Event) => {
    event.preventDefault();
    const text = address.value.trim();
    if (text) void load(text);
  };
  return (
    <>
      <button type="button" class="primary large" onClick={() => void load(url, { sha256, title: sha256 && title })}>
        Load {title}
        {size ? `, ${bytes(size)}` : ''}
      </button>
      <form class="by-address" onSubmit={byAddress}>
        <label for="address">Or the address of a GGUF file</label>
        <div class="joined">
          <input
            id="address"
            type="text"
            inputMode="url"
            autocomplete="url"
            spellcheck={false}
            placeholder="https://…/model.gguf"
            value={address.value}
            onInput={(e) => (address.value = e.currentTarget.value)}
          />
          <button type="submit" disabled={!address.value.trim()}>
            Load
          </button>
        </div>
      </form>
      <div class="by-file">
        <label class="button" for="file">
          Choose a file
        </label>
        <input
          id="file"
          class="unseen"
          type="file"
          accept=".gguf,.safetensors"
          onChange={(e) => {
            const file = e.currentTarget.files?.[0];
            if (file) void load(file);
          }}
        />
        <span>or drop one anywhere on this page</span>
      </div>
      <Kept />
      <Before />
    </>
  );
}

function Kept() {
  if (kept.value.length === 0) return null;
  return (
    <section class="kept" aria-labelledby="kept-title">
      <h2 id="kept-title">Kept in this browser</h2>
      <ul>
        {kept.value.map(({ url, bytes: size, complete }) => (
          <li key={url}>
            <span class="name">{sourceName(url)}</span>
            <span class="size">
              {bytes(size)}
              {complete ? '' : ', in part'}
            </span>
            <button type="button" onClick={() => void load(url)} aria-label={`Load ${sourceName(url)}`}>
              Load
            </button>
            <button type="button" class="quiet" onClick={() => void forget(url)} aria-label={`Remove ${sourceName(url)}`}>
              Remove
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Before() {
  const set = (change: Partial<typeof loadSettings.value>) =>
    (loadSettings.value = { ...loadSettings.value, ...change });
  return (
    <details class="before">
      <summary>Context and memory</summary>
      <div class="fields">
        <label for="context">Context, tokens</label>
        <select
          id="context"
          value={String(loadSettings.value.context)}
          onChange={(e) => set({ context: Number(e.currentTarget.value) })}
        >
          {[512, 1024, 2048, 4096, 8192].map((n) => (
            <option key={n} value={String(n)}>
              {n}
            </option>
          ))}
        </select>
        <label for="kv">KV cache format</label>
        <select
          id="kv"
          value={loadSettings.value.kvCache}
          onChange={(e) => set({ kvCache: e.currentTarget.value })}
        >
          <option value="f32">f32, exact</option>
          <option value="f16">f16, half the memory</option>
          <option value="q8_0">q8_0, a quarter</option>
        </select>
      </div>
    </details>
  );
}

const STAGES: Record<Progress['stage'], string> = {
  download: 'Downloading',
  verify: 'Checking',
  upload: 'Moving to the GPU',
  compile: 'Compiling kernels',
  tune: 'Measuring kernels',
  ready: 'Ready',
};

/** What a stage has done, in words. */
export function stageWords({ stage, done, total, unit, cached }: Progress): string {
  const name = stage === 'download' && cached ? 'Reading from this browser' : STAGES[stage];
  if (unit === 'bytes') return `${name}: ${bytes(done)}${total ? ` of ${bytes(total)}` : ''}`;
  return total ? `${name}: ${done} of ${total}` : name;
}

function Loading() {
  const now = progress.value;
  return (
    <section class="progress" aria-label="Loading">
      <p class="model-name">{loading.value}</p>
      <p class="stage" id="stage">
        {now ? stageWords(now) : 'Starting'}
      </p>
      <progress aria-labelledby="stage" max={now?.total ?? 1} value={now?.total ? now.done : undefined} />
      <button type="button" onClick={cancelLoading}>
        Cancel
      </button>
    </section>
  );
}
