/** What runs in the page: each side on the same work. */

/**
 * Milliseconds of a run of an ONNX model: `each` with its result read, as an application calls it, and
 * `batch` with the results left on the GPU and one read at the end of many runs, as ours are measured.
 * In Firefox the latter is helped by empty submits, as ours is: without them every wait, also those
 * between runs, ends on a tick of 100 ms.
 */
export const onnx = (page, file, dims, { budget, firefox }) =>
  page.evaluate(
    async ({ file, dims, budget, pulsed }) => {
      const ort = await import('/modules/onnxruntime-web/dist/ort.webgpu.min.mjs');
      ort.env.wasm.wasmPaths = '/modules/onnxruntime-web/dist/';
      ort.env.wasm.numThreads = 1;
      const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0));
      const size = dims.reduce((a, b) => a * b);
      const x = new ort.Tensor('float32', Float32Array.from({ length: size }, (_, i) => Math.sin(i)), dims);
      const create = (options) =>
        ort.InferenceSession.create(bytes, { executionProviders: ['webgpu'], ...options });
      const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
      /** The median of some repetitions of `work` that does `count` runs. */
      const timed = async (work, count) => {
        const times = [];
        const end = performance.now() + budget;
        while (times.length < 3 || (performance.now() < end && times.length < 50)) {
          const start = performance.now();
          await work(count);
          times.push((performance.now() - start) / count);
        }
        return median(times);
      };

      const read = async () => (await (await session.run({ x })).y.getData());
      let session = await create({});
      await read();
      const each = await timed(read, 1);
      await session.release();

      // A wait is nothing beside such a run.
      if (each > budget / 3) return { each, batch: each };

      session = await create({ preferredOutputLocation: 'gpu-buffer' });
      const device = await ort.env.webgpu.device;
      const batch = async (count) => {
        const pulse = pulsed && setInterval(() => device.queue.submit([]), 1);
        let last;
        for (let i = 0; i < count; i++) {
          last?.dispose();
          last = (await session.run({ x })).y;
        }
        await last.getData(true);
        clearInterval(pulse);
      };
      // As many runs as fit a batch, by what a batch of many takes (as src/wasm/bench.rs counts ours).
      let count = 1;
      await batch(count);
      for (;;) {
        const start = performance.now();
        await batch(count);
        const one = (performance.now() - start) / count;
        const fitting = Math.min(1000, Math.max(1, Math.floor(budget / 5 / one)));
        if (fitting < 2 * count) break;
        count = fitting;
      }
      const shared = await timed(batch, count);
      await session.release();
      return { each, batch: shared };
    },
    { file: file.toString('base64'), dims, budget, pulsed: firefox },
  );

/** Rows of our own benchmark: the median of batches, the wait for the device shared by a batch. */
export const ours = (page, options) =>
  page.evaluate(async (options) => {
    const rows = [];
    for await (const row of Mantissa.bench(options)) rows.push(row);
    const wrong = rows.find((row) => !row.correct);
    if (wrong) throw new Error(`${wrong.name}, ${wrong.shape}: a wrong result`);
    return rows;
  }, options);

const PROMPT = 'Why is the sky blue?';
/** Medians of so many answers of so many tokens. */
const ANSWERS = { count: 3, tokens: 17 };

/** Tokens per second of our own decoding of the default model. */
export const decode = (page) =>
  page.evaluate(
    async ({ prompt, count, tokens }) => {
      const model = await Mantissa.load('/files/model.gguf', { cache: 'none' });
      const rates = [];
      for (let i = 0; i < count; i++) {
        const messages = [{ role: 'user', content: prompt }];
        const got = await model.chat(messages, { maxTokens: tokens }).result;
        rates.push((got.tokens - 1) / got.decodeSeconds);
      }
      await model.dispose();
      return rates.toSorted((a, b) => a - b)[count >> 1];
    },
    { prompt: PROMPT, ...ANSWERS },
  );

/** Tokens per second of wllama on the default model, with `gpuLayers` of it on its WebGPU. */
export const wllama = (page, gpuLayers) =>
  page.evaluate(
    async ({ prompt, count, tokens, gpuLayers }) => {
      const { Wllama } = await import('/modules/@wllama/wllama/esm/index.js');
      const engine = new Wllama({ default: '/modules/@wllama/wllama/esm/wasm/wllama.wasm' });
      const blob = await (await fetch('/files/model.gguf')).blob();
      await engine.loadModel([blob], { n_gpu_layers: gpuLayers, n_ctx: 512, n_threads: 2 });
      const messages = [{ role: 'user', content: prompt }];
      const timed = async (max_tokens) => {
        const start = performance.now();
        await engine.createChatCompletion({ messages, max_tokens, temperature: 0 });
        return performance.now() - start;
      };
      await timed(1);
      const rates = [];
      for (let i = 0; i < count; i++) {
        // The difference leaves the prompt out.
        const [few, many] = [await timed(2), await timed(tokens + 1)];
        rates.push((1000 * (tokens - 1)) / (many - few));
      }
      await engine.exit();
      return rates.toSorted((a, b) => a - b)[count >> 1];
    },
    { prompt: PROMPT, ...ANSWERS, gpuLayers },
  );
