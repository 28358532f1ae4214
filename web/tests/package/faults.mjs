/** Files, devices and Workers that fail. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { patchWorkers } from './context.mjs';

export function faults(context) {
  let page;
  beforeEach(async () => {
    page = await context.page();
  });
  afterEach(() => page.close());

  test('a model beyond the budget is a typed error, and nothing stays loaded', async () => {
    const got = await page.evaluate(() =>
      failure(() => Mantissa.load('/files/tiny.gguf', { memoryLimit: 50_000 })),
    );
    assert.equal(got.code, 'out-of-memory');
    assert.equal(got.limit, 50_000);
    assert.ok(got.bytes > 50_000);
  });

  test('out of memory in the middle of a load: both numbers, nothing half-loaded, the next load works', async () => {
    // SwiftShader refuses a buffer of 1 GiB; lavapipe refuses none, so there it is the budget that ends.
    const real = context.name === 'chromium';
    if (real) await patchWorkers(page, HUGE_TENTH_BUFFER);
    const got = await page.evaluate(async (options) => {
      const stages = new Set();
      const onProgress = ({ stage }) => stages.add(stage);
      const error = await failure(() => Mantissa.load('/files/tiny.gguf', { onProgress, ...options }));
      const held = async () =>
        (await navigator.locks.query()).held.filter(({ name }) => name.startsWith('mantissa-worker'));
      // Its Worker, and with it all that it had, goes.
      while ((await held()).length > 0) await new Promise((done) => setTimeout(done, 20));
      window.unpatch?.();
      const model = await Mantissa.load('/files/tiny.gguf');
      const { tokens } = await model.complete('hello', { maxTokens: 2 }).result;
      await model.dispose();
      return { error, stages: [...stages], tokens };
    }, real ? {} : { memoryLimit: 200_000 });
    assert.equal(got.error.code, 'out-of-memory', got.error.message);
    assert.ok(got.error.bytes > 0 && got.error.limit > 0, JSON.stringify(got.error));
    assert.match(got.error.message, new RegExp(`${got.error.bytes} bytes.*${got.error.limit}`));
    assert.ok(got.stages.includes('upload') && !got.stages.includes('ready'), `${got.stages}`);
    assert.equal(got.tokens, 2);
  });

  test('a context beyond the device is a typed error with both numbers', async () => {
    const got = await page.evaluate(() =>
      failure(() => Mantissa.load('/files/tiny.gguf', { context: 50_000_000 })),
    );
    assert.ok(['limit', 'out-of-memory'].includes(got.code), JSON.stringify(got));
    assert.ok(got.bytes > got.limit && got.limit > 0, JSON.stringify(got));
  });

  test('a file that is no model, and an empty one, are typed errors', async () => {
    const got = await page.evaluate(async () => ({
      page: await failure(() => Mantissa.load('/files/page.html')),
      empty: await failure(() => Mantissa.load(new Blob([]))),
      cut: await failure(async () => {
        const blob = await (await fetch('/files/tiny.gguf')).blob();
        await Mantissa.load(blob.slice(0, 20_000));
      }),
    }));
    for (const [what, error] of Object.entries(got)) {
      assert.equal(error.code, 'malformed', `${what}: ${error.message}`);
    }
  });

  test('a tensor of a type that is not supported is named', async () => {
    const got = await page.evaluate(async () => {
      const bytes = new Uint8Array(await (await fetch('/files/tiny.gguf')).arrayBuffer());
      // The type's number stands behind the name and the dimensions of the tensor's description.
      const name = new TextEncoder().encode('blk.0.attn_q.weight');
      const at = bytes.findIndex((_, i) => name.every((c, j) => bytes[i + j] === c));
      const view = new DataView(bytes.buffer);
      const dims = view.getUint32(at + name.length, true);
      view.setUint32(at + name.length + 4 + 8 * dims, 36, true);
      return failure(() => Mantissa.load(new Blob([bytes])));
    });
    assert.equal(got.code, 'unsupported-type', got.message);
    assert.equal(got.tensor, 'blk.0.attn_q.weight');
    assert.ok(got.typeName);
  });

  test('disposing during an answer ends it with its own error', async () => {
    const got = await page.evaluate(async () => {
      const model = await Mantissa.load('/files/tiny.gguf');
      const generation = model.complete('hello', { maxTokens: 100 });
      const iterated = failure(async () => {
        for await (const _ of generation) await model.dispose();
      });
      const ended = await failure(() => generation.result);
      return { ended, iterated: await iterated, after: await failure(() => model.tokenize('a')) };
    });
    for (const error of Object.values(got)) assert.equal(error.code, 'disposed');
  });

  test('a Worker that is terminated is noticed', async () => {
    const got = await page.evaluate(async () => {
      const workers = [];
      const Original = Worker;
      window.Worker = class extends Original {
        constructor(...args) {
          super(...args);
          workers.push(this);
        }
      };
      const model = await Mantissa.load('/files/tiny.gguf');
      const generation = model.complete('hello', { maxTokens: 100 });
      const ended = failure(() => generation.result);
      workers[0].terminate();
      const result = await ended;
      const again = await Mantissa.load('/files/tiny.gguf');
      const { tokens } = await again.complete('hello', { maxTokens: 2 }).result;
      return { ...result, tokens };
    });
    assert.equal(got.code, 'crashed');
    assert.equal(got.tokens, 2);
  });

  test('a device lost between two answers is replaced', async () => {
    const got = await page.evaluate(async () => {
      const model = await Mantissa.load('/files/tiny.gguf');
      const before = await model.complete('hello', { maxTokens: 5 }).result;
      await model.loseDevice();
      const after = await model.complete('hello', { maxTokens: 5 }).result;
      return { before, after, memory: await model.memory() };
    });
    assert.deepEqual(got.after.tokenIds, got.before.tokenIds);
    assert.equal(got.after.recoveries, 1);
    assert.ok(got.memory.gpuBytes > 0);
  });

  test('where only a tick tells what is done, nothing waits for it', async () => {
    await patchWorkers(page, TICKING);
    const got = await page.evaluate(async () => {
      let ticks = 0;
      new BroadcastChannel('ticks').onmessage = () => ticks++;
      const told = () => new Promise((done) => setTimeout(done, 200));
      const model = await Mantissa.load('/files/tiny.gguf');
      await told();
      const loading = ticks;
      const { tokens } = await model.complete('hello', { maxTokens: 8 }).result;
      await told();
      await model.dispose();
      return { loading, answering: ticks - loading, tokens };
    });
    // Two are waited for: they are how the package learns that there is a tick.
    assert.deepEqual(got, { loading: 2, answering: 0, tokens: 8 });
  });

  test('without WebGPU the page is told so', async () => {
    const got = await page.evaluate(async () => {
      Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined });
      return Mantissa.support();
    });
    assert.deepEqual([got.supported, got.reason], [false, 'no-webgpu']);
  });

  test('it works with no capability at all', async () => {
    const got = await page.evaluate(async () => {
      const without = { f16: true, subgroups: true, limits: true };
      const model = await Mantissa.load('/files/tiny.gguf', { without });
      const plain = await Mantissa.load('/files/tiny.gguf');
      const ask = async (m) => (await m.complete('hello', { maxTokens: 4 }).result).tokenIds;
      return {
        texts: [await ask(model), await ask(plain)],
        adapter: model.info.adapter,
        isolated: window.crossOriginIsolated,
        shared: typeof SharedArrayBuffer,
      };
    });
    assert.deepEqual(got.texts[0], got.texts[1]);
    const { f16, subgroups, maxBindingSize } = got.adapter;
    assert.deepEqual([f16, subgroups, maxBindingSize], [false, false, 134_217_728]);
    assert.deepEqual([got.isolated, got.shared], [false, 'undefined']);
  });
}

/** The tenth buffer of weights asks the driver for more than there is. */
const HUGE_TENTH_BUFFER = `
  const { createBuffer } = GPUDevice.prototype;
  let made = 0;
  GPUDevice.prototype.createBuffer = function (how) {
    const huge = (how.usage & GPUBufferUsage.STORAGE) !== 0 && !how.mappedAtCreation && ++made === 10;
    return createBuffer.call(this, huge ? { ...how, size: 2 ** 30 } : how);
  };`;

/**
 * A device that tells that work is done, or a buffer mapped, when something is submitted, or on a tick, as
 * Firefox does. This tick is so long that nobody is late for it, and it is told of.
 */
const TICKING = `
  const channel = new BroadcastChannel('ticks');
  const waiting = new Set();
  const { submit } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (commands) {
    submit.call(this, commands);
    for (const go of waiting) go();
    waiting.clear();
  };
  const tick = (go) => {
    if (!waiting.delete(go)) return;
    channel.postMessage('');
    go();
  };
  for (const [{ prototype }, name] of [[GPUQueue, 'onSubmittedWorkDone'], [GPUBuffer, 'mapAsync']]) {
    const original = prototype[name];
    prototype[name] = async function (...how) {
      await original.apply(this, how);
      await new Promise((go) => {
        waiting.add(go);
        setTimeout(tick, 2000, go);
      });
    };
  }`;
