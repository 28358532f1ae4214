/** The side panel: the model, the system prompt, how tokens are chosen. */
import { memory, model, title, unload } from '../model_state';
import { bytes, millions } from '../units';
import { busy, clear, running, turns } from './state';
import { DEFAULTS, SETTINGS, type Setting, clamped, sampling, system } from './settings_state';

export function Panel({ open }: { open: boolean }) {
  return (
    <aside id="panel" class={open ? 'panel open' : 'panel'} aria-label="Model and settings">
      <ModelCard />
      <section aria-labelledby="system-title">
        <h2 id="system-title">
          <label for="system">System prompt</label>
        </h2>
        <textarea
          id="system"
          rows={3}
          placeholder="None"
          value={system.value}
          onInput={(e) => (system.value = e.currentTarget.value)}
        />
      </section>
      <section aria-labelledby="sampling-title">
        <div class="spread">
          <h2 id="sampling-title">Sampling</h2>
          <button type="button" class="quiet" onClick={() => (sampling.value = DEFAULTS)}>
            Reset
          </button>
        </div>
        {SETTINGS.map((setting) => (
          <SettingRow key={setting.key} setting={setting} />
        ))}
      </section>
    </aside>
  );
}

function SettingRow({ setting }: { setting: Setting }) {
  const { key, label, hint, min, max, step, typed } = setting;
  const value = sampling.value[key];
  const set = (text: string) =>
    (sampling.value = { ...sampling.value, [key]: clamped(setting, text === '' ? NaN : Number(text)) });
  const common = { id: `s-${key}`, min, max, step, value, 'aria-describedby': `h-${key}` };
  return (
    <div class="setting">
      <label for={`s-${key}`}>{label}</label>
      {typed ? (
        <input type="number" {...common} onChange={(e) => set(e.currentTarget.value)} />
      ) : (
        <>
          <output for={`s-${key}`}>{Number(value.toFixed(2))}</output>
          <input type="range" {...common} onInput={(e) => set(e.currentTarget.value)} />
        </>
      )}
      <p class="hint" id={`h-${key}`}>
        {hint}
      </p>
    </div>
  );
}

function ModelCard() {
  const loaded = model.value;
  if (!loaded) return null;
  const { info } = loaded;
  const stats = running.value?.stats;
  // Live numbers come with the turn's text.
  void turns.value.at(-1)?.stats.value;
  const used = stats ? stats.promptTokens + stats.tokens : undefined;
  const sizes = memory.value;
  return (
    <section aria-labelledby="model-title">
      <h2 id="model-title">Model</h2>
      <p class="model-name">{title.value}</p>
      <dl class="facts">
        <dt>Parameters</dt>
        <dd>{millions(info.parameters)}</dd>
        <dt>Formats</dt>
        <dd>{info.formats.map((f) => f.format).join(', ')}</dd>
        <dt>Context</dt>
        <dd>
          {used ? `${used} of ` : ''}
          {info.context} tokens
        </dd>
        <dt>KV cache</dt>
        <dd>{info.kvCache}</dd>
        <dt>GPU</dt>
        <dd>{info.adapter.description || info.adapter.name || info.adapter.vendor}</dd>
        <dt>GPU memory</dt>
        <dd>{sizes ? bytes(sizes.gpuBytes) : '–'}</dd>
        <dt>wasm memory</dt>
        <dd>{sizes ? bytes(sizes.wasmBytes) : '–'}</dd>
      </dl>
      <div class="row">
        <button type="button" onClick={clear} disabled={turns.value.length === 0}>
          New conversation
        </button>
        <button type="button" onClick={() => void unload()} disabled={busy.value}>
          Other model
        </button>
      </div>
    </section>
  );
}
