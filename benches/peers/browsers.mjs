// Mantissa beside onnxruntime-web (WebGPU) and wllama, in the same browser, on the same adapter, in one
// run of a few minutes. What is missing (packages, the build of web/) is made first.
//   node benches/peers/browsers.mjs [chromium|firefox…]
// Prints tables of medians in Markdown; a peer that fails is told with its reason.
//
// Firefox resolves a wait for the GPU on a tick of 100 ms, so a short operator whose result is read each
// time takes that long whatever computes it. Both sides are therefore measured in batches with one wait
// at the end; the quotient is the quicker of onnxruntime-web's two figures over ours.
import { join } from 'node:path';
import { chosen, packages, prepare, ROOT, table } from '../../web/bench/here.mjs';
import { decode, onnx, ours, wllama } from './in_page.mjs';
import { matMulNBits, softmax } from './onnx.mjs';

const MATMULS = [
  [576, 1536],
  [2048, 2048],
  [4096, 4096],
].flatMap(([k, n]) => [1, 128].map((m) => [m, k, n]));
const SOFTMAXES = [
  [1, 49_152],
  [64, 4096],
];
/** Milliseconds that a case is repeated for. */
const BUDGET = 700;
/** Milliseconds after which a measurement is given up, and after which no other of a browser begins. */
const PATIENCE = 75_000;
const LIMIT = 165_000;

prepare();
packages('benches/peers');
// They want what was prepared.
const { BROWSERS, launch } = await import('../../web/tests/browsers.mjs');
const { serve } = await import('../../web/tests/server.mjs');

/** A browser with a server, and measurements in pages of their own: a peer that dies takes only its page along. */
async function open(name) {
  const server = await serve({
    folders: { modules: join(ROOT, 'benches/peers/node_modules') },
    files: { 'model.gguf': process.env.MANTISSA_MODEL },
    // Threads for those who need them.
    headers: {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    },
  });
  const browser = await launch(name);
  const end = Date.now() + LIMIT;

  /** The result of `work(page)`, or `{ failed }`. */
  async function attempt(what, work) {
    if (Date.now() > end) return { failed: 'no time left' };
    const page = await browser.page();
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error(`no answer in ${PATIENCE / 1000} s`)), PATIENCE);
    });
    const measured = async () => {
      await page.goto(`${server.origin}/`);
      await page.evaluate(async () => {
        window.Mantissa = (await import('/dist/index.js')).Mantissa;
      });
      return work(page);
    };
    try {
      const got = await Promise.race([measured(), late]);
      console.error(`${name}, ${what}: ${JSON.stringify(got)}`);
      return got;
    } catch (error) {
      const failed = String(error?.message ?? error).split('\n')[0].slice(0, 120);
      console.error(`${name}, ${what}: failed: ${failed}; ${page.errors.join(' ').slice(0, 300)}`);
      return { failed };
    } finally {
      clearTimeout(timer);
      // A page that hangs may not close; the browser takes it along.
      await Promise.race([page.close().catch(() => {}), new Promise((done) => setTimeout(done, 5000))]);
    }
  }
  return {
    name,
    attempt,
    async close() {
      await Promise.race([browser.close().catch(() => {}), new Promise((done) => setTimeout(done, 10_000))]);
      await server.close();
    },
  };
}

const number = (got) => (typeof got === 'number' ? got.toFixed(2) : `failed: ${got.failed}`);

/** A row of the table of operators. */
function row(what, us, peer) {
  const shown = peer.failed ? [number(peer), ''] : [number(peer.batch), number(peer.each)];
  const quotient = us.failed || peer.failed ? '' : `${(Math.min(peer.batch, peer.each) / us).toFixed(1)} ×`;
  return [what, number(us), ...shown, quotient];
}

async function operators({ name, attempt }) {
  const how = { budget: BUDGET, firefox: name === 'firefox' };
  const rows = [];
  for (const [m, k, n] of MATMULS) {
    const what = `4 bits, ${m} × ${k} × ${n}`;
    const peer = await attempt(`${what}, onnxruntime-web`, (page) =>
      onnx(page, matMulNBits(m, k, n), [m, k], how),
    );
    const options = { kinds: ['matmul'], shapes: [[m, k, n]], formats: ['q4_0'], budget: BUDGET };
    const us = await attempt(`${what}, Mantissa`, async (page) => (await ours(page, options))[0].milliseconds);
    rows.push(row(what, us, peer));
  }
  const all = await attempt('softmax, Mantissa', (page) => ours(page, { kinds: ['softmax'], budget: BUDGET / 2 }));
  for (const [r, cols] of SOFTMAXES) {
    const what = `softmax, ${r} × ${cols}`;
    const peer = await attempt(`${what}, onnxruntime-web`, (page) =>
      onnx(page, softmax(r, cols), [r, cols], how),
    );
    const us = all.failed ? all : best(all.filter(({ shape }) => shape === `${r}×${cols}`));
    rows.push(row(what, us, peer));
  }
  return rows;
}

/** The quickest of our algorithms: a caller chooses one. */
const best = (rows) => Math.min(...rows.map(({ milliseconds }) => milliseconds));

async function models({ attempt }) {
  // Chromium's adapter here lacks shader-f16, and wllama then computes on the CPU without a word.
  return [
    ['Mantissa, WebGPU', number(await attempt('decode, Mantissa', decode))],
    ['wllama, CPU (wasm, 2 threads)', number(await attempt('decode, wllama, CPU', (page) => wllama(page, 0)))],
    ['wllama, WebGPU asked for', number(await attempt('decode, wllama, WebGPU', (page) => wllama(page, 999)))],
  ];
}

for (const name of chosen(BROWSERS)) {
  const side = await open(name);
  const rows = await operators(side);
  const decoded = await models(side);
  await side.close();
  const head = ['ms', 'Mantissa', 'onnxruntime-web, batch', 'onnxruntime-web, each read', 'quotient'];
  console.log(`\n### ${name}\n\n${table([head, ...rows])}\n`);
  console.log(table([['the default model', 'decode, tok/s'], ...decoded]));
}
// A browser that hangs must not hold the run up.
process.exit(0);
