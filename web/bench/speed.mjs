// From a click to the first token, and tokens per second: each browser beside the native program on
// the same driver, in turns, in one run of a few minutes. The model comes from the browser's cache.
//   node web/bench/speed.mjs [chromium|firefox…]
// The native program is MANTISSA_BIN, else target/release/mantissa, else target/debug/mantissa.
// Prints a line per measurement, then a table of medians for BENCHMARKS.md.
import { chosen, median, prepare, table } from './here.mjs';

const PROMPT = 'Why is the sky blue?';
const TOKENS = 16;
/** Turns for each browser, and the time after which no other begins. */
const ROUNDS = 5;
const LIMIT_MS = 150_000;
const KEYS = ['load', 'first', 'prefill', 'rate'];

prepare();
// They want what was prepared.
const { BROWSERS } = await import('../tests/browsers.mjs');
const { native, open } = await import('../tests/package/context.mjs');

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

const cells = (values) => KEYS.map((key) => values[key].toFixed(2));

/** Both sides of a browser in turns; rows of the table. */
async function measure(name) {
  const context = await open(name);
  const page = await context.page();
  const sides = { [name]: () => inBrowser(page), [`native, ${name}'s driver`]: () => natively(name) };
  const all = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  const end = Date.now() + LIMIT_MS;
  // The first load fills the cache and is not counted.
  await inBrowser(page);
  for (let round = 0; round === 0 || (round < ROUNDS && Date.now() < end); round++) {
    for (const [side, run] of Object.entries(sides)) {
      const got = await run();
      all[side].push(got);
      console.error(`${side}: ${KEYS.map((key) => `${key} ${got[key].toFixed(2)}`).join(', ')}`);
    }
  }
  await context.close();
  const medians = Object.entries(all).map(([side, runs]) => [
    side,
    Object.fromEntries(KEYS.map((key) => [key, median(runs.map((run) => run[key]))])),
    runs.length,
  ]);
  const [[, ours], [, theirs]] = medians;
  return medians.map(([side, values, rounds], i) => [
    side,
    ...cells(values),
    i === 0 ? (ours.rate / theirs.rate).toFixed(2) : '',
    rounds,
  ]);
}

const rows = [];
for (const name of chosen(BROWSERS)) rows.push(...(await measure(name)));
console.error(`native: ${process.env.MANTISSA_BIN}`);
const head = ['', 'load, s', 'click to first token, s', 'prefill, s', 'decode, tok/s', 'browser / native', 'rounds'];
console.log(table([head, ...rows]));
