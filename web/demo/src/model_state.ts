/** The page's one model: loading it, cancelling, letting it go. */
import { computed, signal } from '@preact/signals';
import {
  type CachedModel,
  type KvFormat,
  type MemoryInfo,
  type Model,
  type ModelSource,
  type Progress,
  type Words,
  engine,
  isAbort,
  sourceName,
  words,
} from './engine';
import { storedObject } from './stored';
import { announce } from './ui/announce';

/** What must be chosen before loading. */
export const loadSettings = storedObject<{ context: number; kvCache: string }>('load', {
  context: 2048,
  kvCache: 'f32',
});

export const model = signal<Model | null>(null);
/** What is being loaded, by name. */
export const loading = signal<string | null>(null);
/** While loading, and again while a lost device is being replaced. */
export const progress = signal<Progress | null>(null);
/** What the page calls it: files' own names for themselves are often not what people know. */
export const title = computed(
  () => given.value ?? model.value?.info.title ?? model.value?.info.name ?? 'the model',
);
const given = signal<string | null>(null);
export const failure = signal<Words | null>(null);
export const memory = signal<MemoryInfo | null>(null);
export const kept = signal<CachedModel[]>([]);

/** An answer tells stages again when its device was lost and the model is put onto a new one. */
export const recovering = computed(
  () => model.value !== null && progress.value !== null && progress.value.stage !== 'ready',
);

let cancel = new AbortController();

export function cancelLoading(): void {
  cancel.abort();
}

/** `known` is what the page knows of the file beforehand. */
export async function load(
  source: ModelSource,
  known: { sha256?: string | undefined; title?: string | undefined } = {},
): Promise<void> {
  cancel.abort();
  const own = (cancel = new AbortController());
  const name = sourceName(source);
  await unload();
  if (own.signal.aborted) return;
  loading.value = name;
  failure.value = null;
  announce(`Loading ${name}.`);
  try {
    const loaded = await engine.load(source, {
      ...(known.sha256 ? { sha256: known.sha256 } : {}),
      context: loadSettings.value.context,
      kvCache: loadSettings.value.kvCache as KvFormat,
      signal: own.signal,
      onProgress: (now) => {
        if (own === cancel) progress.value = now;
      },
    });
    if (own.signal.aborted) {
      await loaded.dispose();
      return;
    }
    given.value = known.title ?? null;
    model.value = loaded;
    announce(`${name} is ready.`);
    void measureMemory();
  } catch (error) {
    if (own !== cancel) return;
    if (isAbort(error)) announce('Loading was cancelled.');
    else failure.value = words(error);
  } finally {
    if (own === cancel) {
      loading.value = null;
      progress.value = null;
    }
    void refreshKept();
  }
}

export async function unload(): Promise<void> {
  const old = model.value;
  model.value = null;
  memory.value = null;
  progress.value = null;
  await old?.dispose();
}

export async function measureMemory(): Promise<void> {
  const of = model.value;
  try {
    const measured = await of?.memory();
    if (measured && of === model.value) memory.value = measured;
  } catch (error) {
    // The model went away meanwhile; anything else its own call will say.
    if (!isAbort(error)) memory.value = null;
  }
}

export async function refreshKept(): Promise<void> {
  try {
    kept.value = await engine.cache.list();
  } catch {
    // No storage, nothing kept.
    kept.value = [];
  }
}

export async function forget(url: string): Promise<void> {
  try {
    await engine.cache.remove(url);
  } catch (error) {
    failure.value = words(error);
  }
  await refreshKept();
}
