/** The KV cache in other number formats than f32. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { native, TINY } from './context.mjs';

const PROMPT = 'hello';

export function kvCache(context) {
  let page;
  beforeEach(async () => {
    page = await context.page();
  });
  afterEach(() => page.close());

  test('in f16 and q8_0 it answers as the native program does, in less memory', async () => {
    const taken = [];
    for (const kvCache of ['f32', 'f16', 'q8_0']) {
      const ours = await page.evaluate(
        async ({ kvCache, content }) => {
          const model = await Mantissa.load('/files/tiny.gguf', { kvCache });
          const answer = await model.chat([{ role: 'user', content }], { maxTokens: 12 }).result;
          const { gpuBytes } = await model.memory();
          const { context } = model.info;
          await model.dispose();
          return { kvCache: model.info.kvCache, tokenIds: answer.tokenIds, gpuBytes, context };
        },
        { kvCache, content: PROMPT },
      );
      const flags = ['--model', TINY, '--kv-cache', kvCache, '--max-tokens', '12'];
      const theirs = await native(context.name, PROMPT, ...flags);
      assert.equal(ours.kvCache, kvCache);
      assert.deepEqual(ours.tokenIds, theirs.token_ids, kvCache);
      taken.push(ours);
    }
    // Keys and values of 2 layers with one head of 32; blocks of q8_0 take 34 bytes instead of 128.
    const [f32, f16, q8] = taken.map(({ gpuBytes }) => gpuBytes);
    const values = 2 * 2 * 32 * taken[0].context;
    assert.ok(f32 - f16 >= 2 * values, `${f32 - f16} bytes less in f16, of ${values} values`);
    assert.ok(f16 - q8 >= 0.9 * values * (2 - 34 / 32), `${f16 - q8} bytes less in q8_0`);
  });

  test('a format that there is not, or that cannot be appended to, is a typed error', async () => {
    const got = await page.evaluate(async () => {
      const load = (kvCache) => () => Mantissa.load('/files/tiny.gguf', { kvCache });
      const { name } = (await Mantissa.formats.list()).find((format) => !format.gpuEncode);
      const errors = [await failure(load('q9')), await failure(load(name)), await failure(load(16))];
      const model = await load('f16')();
      const { tokens } = await model.complete('hello', { maxTokens: 2 }).result;
      await model.dispose();
      return { errors, tokens };
    });
    assert.deepEqual(got.errors.map((e) => e.code), ['unknown-format', 'invalid', 'invalid']);
    assert.match(got.errors[0].message, /q9/);
    assert.equal(got.errors[1].option, 'kvCache');
    assert.equal(got.tokens, 2);
  });
}
