/** Layouts of work measured on the visitor's adapter, and kept. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

export function tuning(context) {
  let page;
  beforeEach(async () => {
    page = await context.page();
  });
  afterEach(() => page.close());

  /** Loads, completes, disposes: the stages in their order, how many layouts are known, the ids. */
  const attempt = (tune) =>
    page.evaluate(async (tune) => {
      const stages = [];
      const onProgress = ({ stage }) => stages.at(-1) !== stage && stages.push(stage);
      const model = await Mantissa.load('/files/tiny.gguf', { onProgress, tune });
      const { tokenIds } = await model.complete('hello', { maxTokens: 12 }).result;
      const { tuned } = model.info;
      await model.dispose();
      const kept = await caches.open('mantissa-tuning').then((cache) => cache.match('/tuning.json'));
      return { stages, tuned, tokenIds, kept: await kept?.text() };
    }, tune);

  test('what is measured is kept, and nothing of it measured again', async () => {
    const plain = await attempt(false);
    assert.ok(!plain.stages.includes('tune'), `${plain.stages}`);
    assert.deepEqual([plain.tuned, plain.kept], [0, undefined]);
    // Enough for every kind of multiplication, on any driver.
    const first = await attempt({ budgetMs: 300_000 });
    assert.deepEqual(first.stages.slice(-4), ['upload', 'tune', 'compile', 'ready']);
    assert.ok(first.tuned > 0);
    const kept = JSON.parse(first.kept).devices[0].choices;
    assert.equal(kept.length, first.tuned);
    const second = await attempt(true);
    assert.ok(!second.stages.includes('tune'), `${second.stages}`);
    assert.deepEqual([second.tuned, second.kept], [first.tuned, first.kept]);
    for (const { tokenIds } of [first, second]) assert.deepEqual(tokenIds, plain.tokenIds);
  });

  test('what is no tuning is replaced, and none costs the model', async () => {
    for (const text of ['', '{"form":1,"devices":[{}]}', '{"form":99}', '\u0000']) {
      await page.evaluate(async (text) => {
        const cache = await caches.open('mantissa-tuning');
        await cache.put('/tuning.json', new Response(text));
      }, text);
      // Too little to measure anything in.
      const got = await attempt({ budgetMs: 0.001 });
      assert.equal(got.tokenIds.length, 12, text);
      assert.equal(got.tuned, 0);
    }
  });

  test('a budget that is none is a typed error', async () => {
    for (const budgetMs of [0, -1, 1e12]) {
      const got = await page.evaluate(
        (budgetMs) => failure(() => Mantissa.load('/files/tiny.gguf', { tune: { budgetMs } })),
        budgetMs,
      );
      assert.equal(got.code, 'invalid', `${budgetMs}: ${got.message}`);
      assert.match(got.message, /budgetMs/);
    }
  });
}
