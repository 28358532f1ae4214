// From a click to the first token, and tokens per second: each browser beside the native program on
// the same driver, in turns, in one run. The model comes from the browser's cache.
//   MANTISSA_BIN=… MANTISSA_MODEL=… MANTISSA_LAVAPIPE_ICD=… MANTISSA_SWIFTSHADER_ICD=… \
//     node web/bench/speed.mjs [chromium|firefox…]
// Prints a line per measurement and a table of medians; BENCHMARKS.md quotes it.
import { BROWSERS } from '../tests/browsers.mjs';
import { native, open } from '../tests/package/context.mjs';

const PROMPT = 'Why is the sky blue?';
const TOKENS = 16;
const ROUNDS = 5;

const chosen = process.argv.slice(2);
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

async function inBrowser(page) {
  return page.evaluate(
    async ({ prompt, tokens }) => {
      const click = performance.now();
      const model = await Mantissa.load('/files/model.gguf');
      const loaded = performance.now();
      const answer = model.chat([{ role: 'user', content: prompt }], { maxTokens: tokens });
      let first;
      for await (const _ of answer) first ??= performance.now();
      const { prefillSeconds, decodeSeconds, tokenIds } = await answer.result;
      await model.dispose();
      return {
        load: (loaded - click) / 1000,
        first: (first - click) / 1000,
        prefill: prefillSeconds,
        rate: (tokenIds.length - 1) / decodeSeconds,
      };
    },
    { prompt: PROMPT, tokens: TOKENS },
  );
}

async function natively(browser) {
  const got = await native(browser, PROMPT, '--max-tokens', String(TOKENS));
  return {
    load: got.load_seconds,
    first: got.load_seconds + got.prefill_seconds,
    prefill: got.prefill_seconds,
    rate: (got.token_ids.length - 1) / got.decode_seconds,
  };
}

function show(name, { load, first, prefill, rate }) {
  const seconds = [load, first, prefill].map((s) => s.toFixed(2).padStart(7));
  console.log(`${name.padEnd(28)} ${seconds.join(' ')} ${rate.toFixed(2).padStart(7)}`);
}

console.log(`${''.padEnd(28)}    load   first prefill   tok/s   (seconds from the click; prefill by itself)`);
for (const name of chosen.length > 0 ? chosen : BROWSERS) {
  const context = await open(name);
  const page = await context.page();
  const sides = { [name]: () => inBrowser(page), [`native, ${name}'s driver`]: () => natively(name) };
  const all = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  // The first load fills the cache and is not counted.
  await inBrowser(page);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [side, run] of Object.entries(sides)) {
      const got = await run();
      all[side].push(got);
      show(side, got);
    }
  }
  console.log(`\nmedians of ${ROUNDS}`);
  const keys = ['load', 'first', 'prefill', 'rate'];
  const medians = Object.entries(all).map(([side, runs]) => [
    side,
    Object.fromEntries(keys.map((key) => [key, median(runs.map((run) => run[key]))])),
  ]);
  for (const [side, values] of medians) show(side, values);
  const [[, ours], [, theirs]] = medians;
  console.log(`decode, browser over native: ${(ours.rate / theirs.rate).toFixed(2)}\n`);
  await context.close();
}
