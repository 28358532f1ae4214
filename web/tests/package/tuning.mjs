/** Layouts of work measured on the visitor's adapter, and kept. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

export function tuning(context) {
  let page;
  beforeEach(async () => {
    page = await context.page();
  });
  afterEach(() => page.close());

  /** Loads, completes unless it is not asked to, disposes: the stages in their order, how many layouts are known, the ids. */
  const attempt = (tune, completes = true) =>
    page.evaluate(async ({ tune, completes }) => {
      const stages = [];
      const onProgress = ({ stage }) => stages.at(-1) !== stage && stages.push(stage);
      const model = await Mantissa.load('/files/tiny.gguf', { onProgress, tune, compile: completes });
      const answer = completes && (await model.complete('hello', { maxTokens: 12 }).result);
      const { tuned } = model.info;
      await model.dispose();
      return { stages, tuned, tokenIds: answer.tokenIds, kept: (await kept()).map(({ text }) => text) };
    }, { tune, completes });
  /** In the page, `kept` gives what lies where tunings are kept. */
  const watch = () =>
    page.evaluate(() => {
      window.kept = async () => {
        const cache = await caches.open('mantissa-tuning');
        const entry = async ({ url }) => ({ url, text: await (await cache.match(url)).text() });
        return Promise.all((await cache.keys()).map(entry));
      };
    });

  test('what is measured is kept, nothing of it is measured again, and clearing forgets it', async () => {
    await watch();
    const plain = await attempt(false);
    assert.ok(!plain.stages.includes('tune'), `${plain.stages}`);
    assert.deepEqual([plain.tuned, plain.kept], [0, []]);
    // Enough for every kind of multiplication, on any driver.
    const first = await attempt({ budgetMs: 300_000 });
    assert.deepEqual(first.stages.slice(-4), ['upload', 'tune', 'compile', 'ready']);
    assert.ok(first.tuned > 0);
    assert.equal(first.kept.length, 1);
    assert.equal(JSON.parse(first.kept[0]).devices[0].choices.length, first.tuned);
    const second = await attempt(true);
    assert.ok(!second.stages.includes('tune'), `${second.stages}`);
    assert.deepEqual([second.tuned, second.kept], [first.tuned, first.kept]);
    for (const { tokenIds } of [first, second]) assert.deepEqual(tokenIds, plain.tokenIds);

    // What is no tuning is not used, and replaced.
    for (const text of ['', '{"form":2,"devices":[{}]}', '{"form":99}', '\u0000']) {
      await page.evaluate(async (text) => {
        const cache = await caches.open('mantissa-tuning');
        for (const { url } of await kept()) await cache.put(url, new Response(text));
      }, text);
      const got = await attempt({ budgetMs: 0 });
      assert.ok(!got.stages.includes('tune'), `${got.stages}`);
      assert.deepEqual([got.tokenIds, got.tuned, got.kept], [first.tokenIds, 0, [text]]);
    }
    const again = await attempt({ budgetMs: 300_000 }, false);
    assert.equal(JSON.parse(again.kept[0]).devices[0].choices.length, first.tuned);
    await page.evaluate(() => Mantissa.cache.clear());
    assert.deepEqual((await attempt(false, false)).kept, []);
  });

  test('what another tab keeps meanwhile stays, and is not counted as this model\'s', async () => {
    await watch();
    const got = await page.evaluate(async () => {
      await Mantissa.cache.clear();
      const compile = false;
      const model = await Mantissa.load('/files/tiny.gguf', { compile, tune: { budgetMs: 300_000 } });
      const { tuned } = model.info;
      await model.dispose();
      // The same device has another model's shape; the entry is emptied before a load and filled in it.
      const [{ url, text }] = await kept();
      const theirs = JSON.parse(text);
      const [device] = theirs.devices;
      const [{ class: own }] = device.choices;
      device.choices = [{ ...device.choices[0], class: { ...own, log_n: 30 } }];
      const cache = await caches.open('mantissa-tuning');
      await cache.delete(url);
      let other;
      const onProgress = ({ stage }) => {
        if (stage === 'tune') other ??= cache.put(url, new Response(JSON.stringify(theirs)));
      };
      const second = await Mantissa.load('/files/tiny.gguf', { onProgress, compile, tune: { budgetMs: 300_000 } });
      await other;
      const both = JSON.parse((await kept())[0].text).devices[0].choices;
      await second.dispose();
      const third = await Mantissa.load('/files/tiny.gguf', { compile, tune: { budgetMs: 0 } });
      const counted = third.info.tuned;
      await third.dispose();
      return { tuned, counted, both: both.map(({ class: { log_n } }) => log_n) };
    });
    assert.equal(got.both.length, got.tuned + 1);
    assert.ok(got.both.includes(30), `${got.both}`);
    assert.equal(got.counted, got.tuned);
  });

  test('an answer goes on with the same tokens after a lost device, on a tuned one, too', async () => {
    const got = await page.evaluate(async () => {
      const model = await Mantissa.load('/files/tiny.gguf', { tune: true });
      const undisturbed = await model.complete('hello', { maxTokens: 40 }).result;
      const generation = model.complete('hello', { maxTokens: 40 });
      let pieces = 0;
      for await (const _ of generation) if (++pieces === 2) await model.loseDevice();
      const result = await generation.result;
      await model.dispose();
      return { result, undisturbed };
    });
    assert.equal(got.result.recoveries, 1);
    assert.deepEqual(got.result.tokenIds, got.undisturbed.tokenIds);
  });

  test('where a browser refuses to keep anything, nothing is known and nothing fails', async () => {
    const { keepTuning, knownTuning } = await import('../../dist/worker/tuning.js');
    const refuse = async () => {
      throw new DOMException('no storage here', 'SecurityError');
    };
    const before = ['caches', 'navigator'].map((name) => [
      name,
      Object.getOwnPropertyDescriptor(globalThis, name),
    ]);
    const put = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });
    let asked = 0;
    put('caches', { open: () => (asked++, refuse()) });
    put('navigator', { locks: { request: (_, work) => work() } });
    try {
      assert.equal(await knownTuning('/a'), undefined);
      await keepTuning('/a', 'found', (kept, found) => kept + found);
      assert.equal(asked, 2);
    } finally {
      for (const [name, value] of before) {
        delete globalThis[name];
        if (value) Object.defineProperty(globalThis, name, value);
      }
    }
  });

  test('a budget that is none is a typed error', async () => {
    for (const budgetMs of [-1, 1e12]) {
      const got = await page.evaluate(
        (budgetMs) => failure(() => Mantissa.load('/files/tiny.gguf', { tune: { budgetMs } })),
        budgetMs,
      );
      assert.equal(got.code, 'invalid', `${budgetMs}: ${got.message}`);
      assert.match(got.message, /budgetMs/);
    }
  });
}
