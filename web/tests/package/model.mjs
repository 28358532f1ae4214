/** The default model: the native program's answers, and a page that stays awake. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { childrenMemory, MODEL_SHA256, native } from './context.mjs';

const PROMPT = 'Why is the sky blue?';

export function model(context) {
  /** One page for all tests here: the model is downloaded once. */
  let page;
  before(async () => {
    page = await context.page();
  });
  after(() => page?.close());

  /** Loads the model into `window.model`, and tells what the page heard and how long it was held up. */
  const load = (options = {}) =>
    page.evaluate(async (options) => {
      const blocked = [];
      let observer;
      if (PerformanceObserver.supportedEntryTypes.includes('longtask')) {
        observer = new PerformanceObserver((list) =>
          blocked.push(...list.getEntries().map((entry) => entry.duration)),
        );
        observer.observe({ entryTypes: ['longtask'] });
      }
      const stages = [];
      const onProgress = (p) => {
        if (stages.at(-1)?.stage === p.stage) stages.pop();
        stages.push(p);
      };
      const end = heartbeat();
      window.model = await Mantissa.load('/files/model.gguf', { onProgress, ...options });
      window.paused = end();
      window.blocked = () => {
        blocked.push(...(observer?.takeRecords() ?? []).map((entry) => entry.duration));
        return { watched: observer !== undefined, longest: Math.max(0, ...blocked) };
      };
      return stages;
    }, options);
  const dispose = () => page.evaluate(() => model.dispose());
  const ask = (options) =>
    page.evaluate(async ({ prompt, options }) => {
      const generation = model.chat([{ role: 'user', content: prompt }], options);
      const pieces = [];
      for await (const piece of generation) pieces.push(piece);
      return { pieces, ...(await generation.result) };
    }, { prompt: PROMPT, options });

  test('is downloaded, checked, uploaded, compiled, and told of by stage and byte', async () => {
    const stages = await load({ sha256: MODEL_SHA256 });
    assert.deepEqual(
      stages.map((s) => s.stage),
      ['download', 'verify', 'upload', 'compile', 'ready'],
    );
    for (const { done, total } of stages) assert.equal(done, total);
    assert.equal(stages[0].total, 98_362_432);
    const info = await page.evaluate(() => model.info);
    assert.equal(info.layers, 30);
    assert.equal(info.parameters, 134_515_008);
    assert.equal(info.adapter.software, true);
  });

  test('answers what the native program answers, greedily', async () => {
    const [ours, theirs] = [await ask({ maxTokens: 8 }), await native(context.name, PROMPT, '--max-tokens', '8')];
    assert.deepEqual(ours.tokenIds, theirs.token_ids);
    assert.equal(ours.text, theirs.text);
    assert.equal(ours.pieces.join(''), theirs.text);
    assert.equal(ours.promptTokens, theirs.prompt_tokens);
    assert.equal(ours.finishReason, 'length');
  });

  test('answers what the native program answers for the same seed and settings', async () => {
    const flags = ['--temperature', '0.9', '--top-k', '30', '--top-p', '0.9', '--seed', '7', '--max-tokens', '6'];
    const options = { temperature: 0.9, topK: 30, topP: 0.9, seed: 7, maxTokens: 6 };
    const [ours, theirs] = [await ask(options), await native(context.name, PROMPT, ...flags)];
    assert.deepEqual(ours.tokenIds, theirs.token_ids);
    assert.equal(ours.text, theirs.text);
    // The prompt was there already, but for the token that is fed again.
    assert.equal(ours.cachedTokens, ours.promptTokens - 1);
  });

  test('speaks the shape of OpenAI', async () => {
    const got = await page.evaluate(async (content) => {
      const messages = [{ role: 'user', content }];
      const request = { messages, temperature: 0, max_tokens: 3 };
      const chunks = [];
      const options = { include_usage: true };
      const stream = await model.chat.completions.create({ ...request, stream: true, stream_options: options });
      for await (const chunk of stream) chunks.push(chunk);
      return { chunks, whole: await model.chat.completions.create(request) };
    }, PROMPT);
    const text = got.chunks.map((c) => c.choices[0]?.delta.content ?? '').join('');
    assert.equal(text, got.whole.choices[0].message.content);
    assert.equal(got.chunks.at(-2).choices[0].finish_reason, 'length');
    assert.equal(got.chunks.at(-1).usage.completion_tokens, 3);
    assert.deepEqual(got.whole.usage, got.chunks.at(-1).usage);
    assert.equal(got.chunks[0].object, 'chat.completion.chunk');
  });

  test('tokens, embeddings and tensors are those of the file', async () => {
    const got = await page.evaluate(async () => {
      const text = 'Äpfel, 東京 & 🦙';
      const ids = await model.tokenize(text);
      const embedded = await model.embedTokens([...ids, ids[0]]);
      const first = await model.readTensor('token_embd.weight', 576);
      const zero = await model.embedTokens([0]);
      return {
        same: (await model.detokenize(ids)) === text,
        sizes: [embedded.length / (ids.length + 1), first.length, (await model.tensors()).length],
        repeats: embedded.slice(0, 576).join() === embedded.slice(-576).join(),
        rowZero: first.join() === zero.join() && zero.some((x) => x !== 0),
        unknown: await failure(() => model.readTensor('nothing')),
        outside: await failure(() => model.embedTokens([49_152])),
      };
    });
    assert.ok(got.same && got.repeats && got.rowZero);
    assert.deepEqual(got.sizes, [576, 576, 272]);
    assert.equal(got.unknown.code, 'invalid');
    assert.equal(got.outside.code, 'invalid');
  });

  test('stops by a signal, by leaving the loop, and before its turn', async () => {
    const got = await page.evaluate(async (content) => {
      const messages = [{ role: 'user', content }];
      const controller = new AbortController();
      const first = model.chat(messages, { maxTokens: 50, signal: controller.signal });
      const waiting = model.chat(messages, { maxTokens: 50 });
      waiting.stop();
      for await (const _ of first) controller.abort();
      const second = model.chat(messages, { maxTokens: 50 });
      for await (const _ of second) break;
      const all = [await first.result, await waiting.result, await second.result];
      return all.map(({ finishReason, tokens }) => ({ finishReason, tokens }));
    }, PROMPT);
    for (const { finishReason } of got) assert.equal(finishReason, 'stopped');
    assert.ok(got[0].tokens <= 3 && got[1].tokens === 0 && got[2].tokens <= 3, JSON.stringify(got));
  });

  test('a lost device is replaced, and the same answer goes on', async () => {
    const got = await page.evaluate(async (content) => {
      const generation = model.chat([{ role: 'user', content }], { maxTokens: 8 });
      let pieces = 0;
      for await (const _ of generation) if (++pieces === 3) await model.loseDevice();
      const result = await generation.result;
      const undisturbed = await model.chat([{ role: 'user', content }], { maxTokens: 8 }).result;
      return { result, undisturbed };
    }, PROMPT);
    assert.equal(got.result.recoveries, 1);
    assert.equal(got.undisturbed.recoveries, 0);
    assert.deepEqual(got.result.tokenIds, got.undisturbed.tokenIds);
    assert.equal(got.result.text, got.undisturbed.text);
  });

  test('the page was never held up for 50 ms', async () => {
    const { watched, longest } = await page.evaluate(() => blocked());
    // Firefox has no observer of long tasks: there, a heartbeat. The machine holds that up too, now and
    // then; what the page does to itself is in every round.
    assert.equal(watched, context.name === 'chromium');
    assert.ok(longest <= 50, `${longest} ms`);
    const { pauses, seen } = await page.evaluate(async (content) => {
      const pauses = [];
      for (let round = 0; round < 4; round++) {
        const end = heartbeat();
        for await (const _ of model.chat([{ role: 'user', content }], { maxTokens: 4 }));
        pauses.push(end());
      }
      const end = heartbeat();
      await new Promise((done) => setTimeout(done, 20));
      for (const start = performance.now(); performance.now() < start + 60; );
      return { pauses, seen: end() };
    }, PROMPT);
    assert.ok(Math.min(...pauses) <= 50, `answers: ${pauses} ms`);
    assert.ok(seen >= 60, `a heartbeat that sees ${seen} of 60 ms`);
  });

  test('a prompt that does not fit is an error, and the model stays usable', async () => {
    const got = await page.evaluate(async () => ({
      long: await failure(() => model.complete('a b c d e f '.repeat(500)).result),
      empty: await failure(() => model.chat([]).result),
      negative: await failure(() => model.complete('a', { temperature: -1 }).result),
      after: (await model.complete('One, two,', { maxTokens: 1 }).result).tokens,
    }));
    assert.equal(got.long.code, 'context-full');
    assert.equal(got.long.context, 2048);
    assert.ok(got.long.tokens > 2048);
    assert.equal(got.empty.code, 'invalid');
    assert.equal(got.negative.option, 'temperature');
    assert.equal(got.after, 1);
    await dispose();
  });

  test('ten rounds of loading and disposing take no more memory than the first', async () => {
    const rounds = [];
    for (let round = 0; round < 10; round++) {
      const stages = await load();
      assert.equal(stages[0].cached, true);
      const { gpuBytes, wasmBytes } = await page.evaluate(() => model.memory());
      const paused = await page.evaluate(() => window.paused);
      await dispose();
      rounds.push({ gpuBytes, wasmBytes, paused, children: childrenMemory() });
    }
    const [first] = rounds;
    const pauses = rounds.map(({ paused }) => paused);
    assert.ok(Math.min(...pauses) <= 50, `the page stood still while loading: ${pauses} ms`);
    for (const { gpuBytes, wasmBytes } of rounds) {
      assert.deepEqual([gpuBytes, wasmBytes], [first.gpuBytes, first.wasmBytes]);
    }
    // Nine models that are not freed would take nine times this. Browsers give memory back when
    // they come to it, so the least of some seconds counts.
    let growth = Infinity;
    for (let tries = 0; growth >= first.gpuBytes && tries < 40; tries++) {
      growth = Math.min(growth, childrenMemory() - rounds[1].children);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    assert.ok(growth < first.gpuBytes, `${growth >> 20} MiB: ${JSON.stringify(rounds)}`);
  });

  test('what is downloaded once is not asked for again', () => {
    const asked = context.server.requests.filter(({ path }) => path === '/files/model.gguf');
    assert.equal(asked.length, 1);
  });
}
