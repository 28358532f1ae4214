/** From a server, a file or a cache to a model, with all that can go wrong on the way. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import { patchWorkers, TINY, TINY_SHA256 as SHA256 } from './context.mjs';

const bytes = readFileSync(TINY);

export function loading(context) {
  let page;
  beforeEach(async () => {
    page = await context.page();
    context.server.requests.length = 0;
  });
  afterEach(() => page.close());

  const ranges = () => context.ranges();
  /** Loads, completes a prompt, disposes; gives the text, or what went wrong. */
  const attempt = (query, options = {}) =>
    page.evaluate(
      async ({ query, options }) => {
        let text;
        const failed = await failure(async () => {
          const model = await Mantissa.load(`/files/tiny.gguf${query}`, options);
          text = (await model.complete('hello', { maxTokens: 4 }).result).tokenIds.join();
          await model.dispose();
        });
        return { ...failed, text, cache: await Mantissa.cache.list() };
      },
      { query, options },
    );

  test('a connection that breaks is taken up where it broke', async () => {
    const got = await attempt('?break=50000', { sha256: SHA256 });
    assert.equal(got.code, 'none');
    assert.equal(ranges().length, 2);
    assert.match(ranges()[1], /^bytes=[1-9]\d*-$/);
  });

  test('without ranges it begins anew', async () => {
    const got = await attempt('?break=50000&norange', { sha256: SHA256 });
    assert.equal(got.code, 'none');
  });

  test('a download that ends early is an error, and goes on when asked again', async () => {
    const got = await attempt('?truncate=100000');
    assert.equal(got.code, 'truncated');
    assert.deepEqual([got.bytes, got.total], [100_000, bytes.length]);
    assert.deepEqual(got.cache.map((c) => [c.bytes, c.complete]), [[100_000, false]]);
  });

  test('a file that is not there is an error with its status', async () => {
    const got = await page.evaluate(() => failure(() => Mantissa.load('/files/nothing.gguf')));
    assert.deepEqual([got.code, got.status], ['http', 404]);
    assert.match(got.url, /nothing\.gguf$/);
  });

  test('a server that is not there is an error', async () => {
    const got = await page.evaluate(() => failure(() => Mantissa.load('http://localhost:9/m.gguf')));
    assert.equal(got.code, 'network');
  });

  test('a file with another hash is an error and is not kept', async () => {
    const got = await attempt('?corrupt', { sha256: SHA256 });
    assert.equal(got.code, 'hash');
    assert.equal(got.expected, SHA256);
    assert.deepEqual(got.cache, []);
  });

  test('the second load comes from the cache, of either kind', async () => {
    for (const [kind, query] of [['opfs', ''], ['cache-storage', '?2']]) {
      const first = await attempt(query, { cache: kind, sha256: SHA256 });
      assert.equal(first.code, 'none', first.message);
      const found = first.cache.find((c) => c.kind === kind);
      assert.deepEqual([found?.bytes, found?.complete], [bytes.length, true]);
      const asked = ranges().length;
      const second = await attempt(query, { cache: kind, sha256: SHA256 });
      assert.equal(second.text, first.text);
      assert.equal(ranges().length, asked);
    }
    assert.deepEqual(
      await page.evaluate(async () => {
        await Mantissa.cache.clear();
        return Mantissa.cache.list();
      }),
      [],
    );
  });

  test('Cache Storage keeps the beginning of a broken download too', async () => {
    const got = await attempt('?break=50000', { cache: 'cache-storage', sha256: SHA256 });
    assert.equal(got.code, 'none', got.message);
  });

  test('what is not compiled while loading is compiled for the first answer', async () => {
    const got = await page.evaluate(async () => {
      const stages = [new Set(), new Set()];
      const texts = [];
      for (const [i, options] of [{}, { compile: false }].entries()) {
        const onProgress = ({ stage }) => stages[i].add(stage);
        const model = await Mantissa.load('/files/tiny.gguf', { onProgress, ...options });
        texts.push((await model.complete('hello', { maxTokens: 4 }).result).tokenIds.join());
        await model.dispose();
      }
      return { texts, compiled: stages.map((stages) => stages.has('compile')) };
    });
    assert.deepEqual(got.compiled, [true, false]);
    assert.equal(got.texts[1], got.texts[0]);
  });

  test('nothing is kept where nothing is to be', async () => {
    const got = await attempt('', { cache: 'none', sha256: SHA256 });
    assert.equal(got.code, 'none');
    assert.deepEqual(got.cache, []);
  });

  test('a picked file answers as the same file from a server', async () => {
    const fromServer = await attempt('');
    const got = await page.evaluate(async () => {
      const blob = await (await fetch('/files/tiny.gguf')).blob();
      const model = await Mantissa.load(new File([blob], 'picked.gguf'));
      const text = (await model.complete('hello', { maxTokens: 4 }).result).tokenIds.join();
      const { name } = model.info;
      await model.dispose();
      const wrong = await failure(() => Mantissa.load(blob, { sha256: '00' }));
      return { text, name, wrong };
    });
    assert.equal(got.text, fromServer.text);
    assert.equal(got.name, 'picked.gguf');
    assert.equal(got.wrong.code, 'hash');
  });

  test('two loads of one address download it once', async () => {
    const got = await page.evaluate(async () => {
      const models = await Promise.all([1, 2].map(() => Mantissa.load('/files/tiny.gguf')));
      const answers = models.map((m) => m.complete('hello', { maxTokens: 4 }).result);
      const texts = (await Promise.all(answers)).map((r) => r.tokenIds.join());
      await Promise.all(models.map((m) => m.dispose()));
      return texts;
    });
    assert.equal(got[0], got[1]);
    assert.equal(ranges().length, 1);
  });

  test('cancelling frees everything, at each stage', async () => {
    for (const stage of ['before', 'download', 'verify', 'upload', 'tune', 'compile']) {
      const got = await page.evaluate(
        async ({ stage, sha256 }) => {
          const controller = new AbortController();
          if (stage === 'before') controller.abort();
          const onProgress = (p) => p.stage === stage && controller.abort();
          const options = { onProgress, sha256, signal: controller.signal, tune: stage === 'tune' };
          const failed = await failure(() => Mantissa.load(`/files/tiny.gguf?${stage}`, options));
          // Nobody holds the file any more.
          const { state, ...locks } = await navigator.locks.query();
          return { ...failed, held: locks.held.map((l) => l.name).filter((n) => n.includes('download')) };
        },
        { stage, sha256: SHA256 },
      );
      assert.deepEqual([got.code, got.name], ['aborted', 'AbortError'], stage);
      const again = await attempt(`?${stage}`, { sha256: SHA256 });
      assert.equal(again.code, 'none', `${stage}: ${again.message}`);
    }
  });

  test('a page that is closed leaves a download that the next one takes up', async () => {
    await page.evaluate(
      () =>
        new Promise((resolve) => {
          const onProgress = (p) => p.stage === 'download' && p.done > 30_000 && resolve();
          // Slow enough to be closed in the middle.
          const load = () => Mantissa.load('/files/tiny.gguf?truncate=60000&slow=20', { onProgress });
          // On a busy machine the end may come before anything was told of; what there is, is kept.
          void failure(load).then(resolve);
        }),
    );
    await page.goto(`${context.server.origin}/dist/`).catch(() => {});
    await page.goto(`${context.server.origin}/`);
    const got = await page.evaluate(async () => {
      const { Mantissa } = await import('/dist/index.js');
      return Mantissa.cache.list();
    });
    assert.equal(got.length, 1);
    assert.equal(got[0].complete, false);
    assert.ok(got[0].bytes > 0);
  });

  test('a file beyond the quota is refused before it comes, and the next load works', async () => {
    // More than any browser grants.
    const promised = 2 ** 50;
    const got = await page.evaluate(async (promised) => {
      const url = `/files/tiny.gguf?promise=${promised}`;
      const refused = {};
      for (const cache of ['opfs', 'cache-storage']) {
        refused[cache] = await failure(() => Mantissa.load(url, { cache }));
      }
      const kept = await Mantissa.cache.list();
      const model = await Mantissa.load('/files/tiny.gguf', { cache: 'opfs' });
      const { tokens } = await model.complete('hello', { maxTokens: 2 }).result;
      await model.dispose();
      return { refused, kept, tokens };
    }, promised);
    for (const error of Object.values(got.refused)) {
      assert.equal(error.code, 'quota', error.message);
      assert.equal(error.bytes, promised);
      assert.ok(error.limit > 0 && error.limit < promised, `${error.limit}`);
    }
    assert.deepEqual(got.kept, []);
    assert.equal(got.tokens, 2);
  });

  for (const [what, patch, limit] of [
    ['the browser says so', 'navigator.storage.estimate = async () => ({ quota: 1500, usage: 500 });', 1000],
    ['a write fails', FULL, undefined],
  ]) {
    test(`without room, as ${what}, a file is used without being kept, or is an error if it was to be`, async () => {
      await patchWorkers(page, patch);
      const free = await attempt('', { sha256: SHA256 });
      assert.equal(free.code, 'none', free.message);
      assert.deepEqual(free.cache, []);
      const strict = await attempt('', { cache: 'opfs' });
      assert.equal(strict.code, 'quota', strict.message);
      if (limit) assert.deepEqual([strict.bytes, strict.limit], [bytes.length, limit]);
      else assert.ok(strict.bytes > 0 && strict.bytes <= bytes.length && strict.limit > 0);
      await page.evaluate(() => unpatch());
      const after = await attempt('', { sha256: SHA256 });
      assert.deepEqual([after.code, after.text], ['none', free.text]);
      assert.deepEqual(after.cache.map((c) => [c.kind, c.complete]), [['opfs', true]]);
    });
  }
}

/** The disk is full after some bytes, although there was room. */
const FULL = `
  const { write } = FileSystemSyncAccessHandle.prototype;
  FileSystemSyncAccessHandle.prototype.write = function (bytes, how) {
    if (how.at + bytes.length > 50_000) throw new DOMException('full', 'QuotaExceededError');
    return write.call(this, bytes, how);
  };`;
