// Mantissa beside onnxruntime-web (WebGPU) and wllama, in the same browser, on the same adapter, in one
// run. First: npm ci, here and in web/, and a build of web/.
//   MANTISSA_MODEL=MODEL.gguf node benches/peers/browsers.mjs [chromium|firefox…]
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BROWSERS, launch } from '../../web/tests/browsers.mjs';
import { serve } from '../../web/tests/server.mjs';
import { matMulNBits, softmax } from './onnx.mjs';

const MODULES = join(dirname(fileURLToPath(import.meta.url)), 'node_modules');
const MATMULS = [
  [576, 1536],
  [2048, 2048],
  [4096, 4096],
].flatMap(([k, n]) => [1, 128].map((m) => [m, k, n]));
const SOFTMAXES = [
  [1, 49_152],
  [64, 4096],
];
const BUDGET = 1000;

/** Milliseconds of a run of an ONNX model: the median of some, each with its result read. */
const onnx = (page, file, dims) =>
  page.evaluate(
    async ({ file, dims, budget }) => {
      const ort = await import('/modules/onnxruntime-web/dist/ort.webgpu.min.mjs');
      ort.env.wasm.wasmPaths = '/modules/onnxruntime-web/dist/';
      ort.env.wasm.numThreads = 1;
      const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0));
      const session = await ort.InferenceSession.create(bytes, { executionProviders: ['webgpu'] });
      const size = dims.reduce((a, b) => a * b);
      const x = new ort.Tensor('float32', Float32Array.from({ length: size }, (_, i) => Math.sin(i)), dims);
      await session.run({ x });
      const times = [];
      const end = performance.now() + budget;
      while (times.length < 3 || (performance.now() < end && times.length < 50)) {
        const start = performance.now();
        await (await session.run({ x })).y.getData();
        times.push(performance.now() - start);
      }
      await session.release();
      return times.toSorted((a, b) => a - b)[times.length >> 1];
    },
    { file: file.toString('base64'), dims, budget: BUDGET },
  );

/** Tokens per second of wllama on the default model, with and without its WebGPU. */
const wllama = (page, gpuLayers) =>
  page.evaluate(async (gpuLayers) => {
    const { Wllama } = await import('/modules/@wllama/wllama/esm/index.js');
    const engine = new Wllama({ default: '/modules/@wllama/wllama/esm/wasm/wllama.wasm' });
    const blob = await (await fetch('/files/model.gguf')).blob();
    await engine.loadModel([blob], { n_gpu_layers: gpuLayers, n_ctx: 512, n_threads: 2 });
    const messages = [{ role: 'user', content: 'Why is the sky blue?' }];
    const complete = (max_tokens) =>
      engine.createChatCompletion({ messages, max_tokens, temperature: 0 });
    const timed = async (tokens) => {
      const start = performance.now();
      await complete(tokens);
      return performance.now() - start;
    };
    await timed(1);
    // The difference leaves the prompt out.
    const [few, many] = [await timed(2), await timed(18)];
    await engine.exit();
    return 16_000 / (many - few);
  }, gpuLayers);

const ours = (page, options) =>
  page.evaluate(async (options) => {
    const rows = [];
    for await (const row of Mantissa.bench(options)) rows.push(row);
    return rows;
  }, options);

const decode = (page) =>
  page.evaluate(async () => {
    const model = await Mantissa.load('/files/model.gguf', { cache: 'none' });
    const messages = [{ role: 'user', content: 'Why is the sky blue?' }];
    const { decodeSeconds, tokens } = await model.chat(messages, { maxTokens: 17 }).result;
    await model.dispose();
    return (tokens - 1) / decodeSeconds;
  });

/** A number, or why there is none; a peer that fails is part of the result. */
async function attempt(work) {
  const late = new Promise((_, fail) => setTimeout(() => fail(new Error('no answer in 120 s')), 120_000));
  try {
    return (await Promise.race([work(), late])).toFixed(2);
  } catch (error) {
    return `failed: ${String(error.message ?? error).split('\n')[0].slice(0, 90)}`;
  }
}

for (const name of process.argv.length > 2 ? process.argv.slice(2) : BROWSERS) {
  const server = await serve({
    folders: { modules: MODULES },
    files: { 'model.gguf': process.env.MANTISSA_MODEL },
    // Threads for those who need them.
    headers: {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    },
  });
  const browser = await launch(name);
  /** Each measurement has a page of its own: a peer that dies takes only that along. */
  const fresh = async (work) => {
    const page = await browser.page();
    try {
      await page.goto(`${server.origin}/`);
      await page.evaluate(async () => {
        window.Mantissa = (await import('/dist/index.js')).Mantissa;
      });
      return await work(page);
    } finally {
      await page.close().catch(() => {});
    }
  };
  console.log(`\n${name}: milliseconds, ours with the wait shared by a batch, onnxruntime-web's with its own`);
  for (const [m, k, n] of MATMULS) {
    const peer = await attempt(() => fresh((page) => onnx(page, matMulNBits(m, k, n), [m, k])));
    const us = await attempt(() =>
      fresh((page) =>
        page.evaluate(async ({ m, k, n, budget }) => {
          const options = { kinds: ['matmul'], shapes: [[m, k, n]], formats: ['q4_0'], budget };
          for await (const row of Mantissa.bench(options)) return row.milliseconds;
        }, { m, k, n, budget: BUDGET }),
      ),
    );
    console.log(`4 bits, ${m} × ${k} × ${n}: Mantissa ${us}, onnxruntime-web ${peer}`);
  }
  const rows = await fresh((page) => ours(page, { kinds: ['softmax'], budget: BUDGET }));
  for (const [r, cols] of SOFTMAXES) {
    const peer = await attempt(() => fresh((page) => onnx(page, softmax(r, cols), [r, cols])));
    const us = rows.find((row) => row.shape === `${r}×${cols}` && row.name === 'two-pass');
    console.log(`softmax ${r} × ${cols}: Mantissa ${us.milliseconds.toFixed(2)}, onnxruntime-web ${peer}`);
  }
  console.log('tokens per second, the default model:');
  console.log(`  Mantissa ${await attempt(() => fresh(decode))}`);
  console.log(`  wllama, CPU ${await attempt(() => fresh((page) => wllama(page, 0)))}`);
  console.log(`  wllama, WebGPU ${await attempt(() => fresh((page) => wllama(page, 999)))}`);
  await browser.close();
  await server.close();
}
