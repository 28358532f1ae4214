/** How tokens are chosen and computed changes nothing about what they are. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { native, patchWorkers, TINY } from './context.mjs';

export function choosing(context) {
  let page;
  beforeEach(async () => {
    page = await context.page();
  });
  afterEach(() => page.close());

  for (const [who, options] of [
    ['the device', { topK: 40 }],
    ['the host, from all tokens,', { topK: 0 }],
    ['the host, with a penalty,', { topK: 40, repeatPenalty: 1.2 }],
  ]) {
    test(`what ${who} draws goes on with the same tokens after a lost device`, async () => {
      const drawn = { temperature: 1.3, topP: 1, minP: 0, seed: 5, ...options };
      const got = await page.evaluate(async (options) => {
        const model = await Mantissa.load('/files/tiny.gguf');
        const undisturbed = await model.complete('hello', options).result;
        const generation = model.complete('hello', options);
        let pieces = 0;
        for await (const _ of generation) if (++pieces === 2) await model.loseDevice();
        const result = await generation.result;
        await model.dispose();
        return { result, undisturbed };
      }, { ...drawn, maxTokens: 60 });
      assert.equal(got.result.recoveries, 1);
      assert.ok(got.result.tokens > 10, `${got.result.tokens}`);
      assert.deepEqual(got.result.tokenIds, got.undisturbed.tokenIds);
    });
  }

  test('guesses and steps ahead change nothing but the time', async () => {
    const prompt = 'hello hello hello hello';
    const got = await page.evaluate(async (prompt) => {
      const model = await Mantissa.load('/files/tiny.gguf');
      const ask = async (options) =>
        (await model.complete(prompt, { maxTokens: 24, ...options }).result);
      const all = [];
      for (const options of [{}, { lookup: 0 }, { lookup: 5 }, { inFlight: 1 }, { inFlight: 5 }]) {
        all.push(await ask(options));
      }
      const request = { messages: [{ role: 'user', content: prompt }], temperature: 0, max_tokens: 24 };
      const choices = [];
      for (const options of [{}, { lookup: 5, in_flight: 1 }]) {
        choices.push((await model.chat.completions.create({ ...request, ...options })).choices);
      }
      const refused = [];
      for (const options of [{ lookup: -1 }, { lookup: 1.5 }, { inFlight: 0 }, { inFlight: 2 ** 40 }]) {
        refused.push(await failure(() => ask(options)));
      }
      await model.dispose();
      return { all, choices, refused };
    }, prompt);
    const [plain, , guessed] = got.all;
    for (const { tokenIds } of got.all) assert.deepEqual(tokenIds, plain.tokenIds);
    assert.deepEqual([plain.guessedTokens, plain.confirmedTokens], [0, 0]);
    const flags = ['--raw', '--model', TINY, '--max-tokens', '24', '--lookup', '5'];
    const theirs = await native(context.name, prompt, ...flags);
    assert.deepEqual(guessed.tokenIds, theirs.token_ids);
    assert.ok(theirs.guessed_tokens > 0);
    const counts = [theirs.guessed_tokens, theirs.confirmed_tokens];
    assert.deepEqual([guessed.guessedTokens, guessed.confirmedTokens], counts);
    assert.deepEqual(got.choices[0], got.choices[1]);
    const told = got.refused.map(({ code, option }) => `${code} ${option}`);
    const [lookup, inFlight] = ['invalid lookup', 'invalid inFlight'];
    assert.deepEqual(told, [lookup, lookup, inFlight, inFlight]);
  });

  test('what drawing needs is compiled while loading, or behind it', async () => {
    await patchWorkers(page, TOLD_PIPELINES);
    const got = await page.evaluate(async () => {
      const made = [];
      new BroadcastChannel('pipelines').onmessage = ({ data }) => made.push(data);
      const drawing = () => made.filter((name) => /^(top_k|sample)\b/.test(name)).length;
      const rounds = [];
      for (const options of [{ sampling: { temperature: 0.8 } }, {}, { sampling: {} }]) {
        made.length = 0;
        const model = await Mantissa.load('/files/tiny.gguf', options);
        for (let tries = 0; drawing() < 2 && tries < 100; tries++) {
          await new Promise((done) => setTimeout(done, 50));
          if (options.sampling) break;
        }
        const before = drawing();
        const { tokens } = await model.complete('hello', { temperature: 0.8, maxTokens: 3 }).result;
        // Messages of a channel may come behind the result.
        await new Promise((done) => setTimeout(done, 200));
        rounds.push({ before, during: drawing() - before, tokens });
        await model.dispose();
      }
      const sampling = { temperature: -1 };
      return { rounds, refused: await failure(() => Mantissa.load('/files/tiny.gguf', { sampling })) };
    });
    const [during, behind, never] = got.rounds;
    for (const { before, during: late, tokens } of [during, behind]) {
      assert.ok(before >= 2, JSON.stringify(got.rounds));
      assert.deepEqual([late, tokens], [0, 3]);
    }
    // Whoever asks for the best token has no more compiled than that.
    assert.deepEqual([never.before, never.during], [0, behind.before]);
    assert.deepEqual([got.refused.code, got.refused.option], ['invalid', 'temperature']);
  });
}

/** Names of pipelines, as they are made. */
const TOLD_PIPELINES = `
  const channel = new BroadcastChannel('pipelines');
  const { createComputePipelineAsync } = GPUDevice.prototype;
  GPUDevice.prototype.createComputePipelineAsync = async function (how) {
    const made = await createComputePipelineAsync.call(this, how);
    channel.postMessage(how.label);
    return made;
  };`;
