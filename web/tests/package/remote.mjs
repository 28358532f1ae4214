/** Files that the browser has no place for: read from their server while the model loads. */
import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, test } from 'node:test';
import { MODEL_SHA256, native, patchWorkers, TINY_SHA256 as SHA256 } from './context.mjs';

export function remote(context) {
  let page;
  /** What the file answers, and answers again on a new device, where it is kept. */
  let expected;
  before(async () => {
    page = await context.page();
    const kept = await attempt('', { sha256: SHA256 });
    assert.equal(kept.code, 'none', kept.message);
    expected = kept.ids;
    await page.close();
  });
  beforeEach(async () => {
    page = await context.page();
    context.server.requests.length = 0;
  });
  afterEach(() => page.close());

  const ranges = () => context.ranges();
  /** Loads, completes a prompt, and once more on a new device; gives the ids, or what went wrong. */
  const attempt = (query, options) =>
    page.evaluate(
      async ({ query, options }) => {
        const ids = [];
        const failed = await failure(async () => {
          const model = await Mantissa.load(`/files/tiny.gguf${query}`, options);
          ids.push((await model.complete('hello', { maxTokens: 4 }).result).tokenIds.join());
          await model.loseDevice();
          ids.push((await model.complete('hello', { maxTokens: 4 }).result).tokenIds.join());
          await model.dispose();
        });
        return { ...failed, ids, cache: await Mantissa.cache.list() };
      },
      { query, options },
    );

  for (const [why, options, patch] of [
    ['nothing is to be kept', { cache: 'none' }, ''],
    ['there is no room', {}, 'navigator.storage.estimate = async () => ({ quota: 1500, usage: 500 });'],
    ['there is no storage', {}, 'delete StorageManager.prototype.getDirectory; Object.defineProperty(globalThis, "caches", {});'],
  ]) {
    test(`where ${why}, nothing holds the whole file, and it is read again for a new device`, async () => {
      await page.evaluate(async (sha256) => {
        const model = await Mantissa.load('/files/tiny.gguf', { sha256, compile: false });
        await model.dispose();
      }, SHA256);
      await patchWorkers(page, patch + NO_BLOBS);
      for (const sha256 of [undefined, SHA256]) {
        const got = await attempt(`?${sha256}`, { ...options, ...(sha256 ? { sha256 } : {}) });
        assert.equal(got.code, 'none', got.message);
        assert.deepEqual(got.ids, expected);
        assert.equal(got.cache.length, 1, 'only what was kept before');
      }
    });
  }

  test('a connection that breaks is taken up where it broke', async () => {
    const got = await attempt('?break=60000', { cache: 'none', sha256: SHA256 });
    assert.equal(got.code, 'none', got.message);
    assert.ok(ranges().some((range) => /^bytes=[1-9]\d*-$/.test(range)), `${ranges()}`);
  });

  test('a connection that always breaks is an error', async () => {
    const got = await attempt('?truncate=100000', { cache: 'none' });
    assert.equal(got.code, 'network', got.message);
    assert.equal(got.bytes, 100_000);
  });

  test('without ranges it is downloaded as ever', async () => {
    const got = await attempt('?norange', { cache: 'none', sha256: SHA256 });
    assert.equal(got.code, 'none', got.message);
    assert.deepEqual(got.cache, []);
  });

  test('another hash is an error', async () => {
    const got = await attempt('?corrupt', { cache: 'none', sha256: SHA256 });
    assert.deepEqual([got.code, got.expected, got.ids.length], ['hash', SHA256, 0], got.message);
  });

  test('bytes that are not those that were hashed are an error', async () => {
    const got = await attempt('?fickle', { cache: 'none', sha256: SHA256 });
    assert.deepEqual([got.code, got.ids.length], ['hash', 1], got.message);
  });

  test('a model of many pieces answers what the native program answers', async () => {
    await patchWorkers(page, NO_BLOBS);
    const prompt = 'Why is the sky blue?';
    const got = await page.evaluate(
      async ({ prompt, sha256 }) => {
        const stages = new Map();
        const onProgress = (p) => stages.set(p.stage, p);
        const options = { cache: 'none', sha256, onProgress };
        const model = await Mantissa.load('/files/model.gguf', options);
        const messages = [{ role: 'user', content: prompt }];
        const { tokenIds } = await model.chat(messages, { maxTokens: 2 }).result;
        await model.dispose();
        return { tokenIds, stages: Object.fromEntries(stages) };
      },
      { prompt, sha256: MODEL_SHA256 },
    );
    const theirs = await native(context.name, prompt, '--max-tokens', '2');
    assert.deepEqual(got.tokenIds, theirs.token_ids);
    const { upload, verify } = got.stages;
    assert.equal(upload.done, upload.total);
    assert.deepEqual([verify.done, verify.total], [98_362_432, 98_362_432]);
  });
}

/** A Worker that makes a Blob of what it fetches holds all of it. */
const NO_BLOBS = `
  globalThis.Blob = class { constructor() { throw new Error('a Blob was made'); } };`;
