/** Single kernels, formats, the benchmark, and every kernel against its reference. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

export function kernels(context) {
  let page;
  before(async () => {
    page = await context.page();
  });
  after(() => page?.close());

  test('softmax, matmul, quantize and dequantize are right', async () => {
    const got = await page.evaluate(async () => {
      const { ops, formats } = Mantissa;
      const x = Float32Array.from({ length: 128 }, (_, i) => Math.sin(i) * 3);
      const softmax = {};
      for (const algorithm of ['two-pass', 'three-pass', 'online']) {
        softmax[algorithm] = [...(await ops.softmax(x, { rows: 2, algorithm }))];
      }
      const blocks = await ops.quantize('q8_0', x, 64);
      const onCpu = await formats.encode('q8_0', x);
      const decoded = await ops.dequantize('q8_0', blocks, { rows: 2, cols: 64 });
      const identity = Float32Array.from({ length: 4096 }, (_, i) => (i % 65 === 0 ? 1 : 0));
      const y = await ops.matmul('f32', new Uint8Array(identity.buffer), { n: 64, k: 64 }, x);
      return {
        x: [...x], softmax, blocks: [...blocks], onCpu: [...onCpu], decoded: [...decoded], y: [...y],
        wrong: [
          await failure(() => ops.softmax(x, { rows: 3 })),
          await failure(() => ops.matmul('q8_0', blocks, { n: 2, k: 63 }, x)),
          await failure(() => ops.quantize('q9', x, 64)),
        ],
      };
    });
    for (const y of Object.values(got.softmax)) {
      for (const row of [0, 64]) {
        const exp = got.x.slice(row, row + 64).map(Math.exp);
        const sum = exp.reduce((a, b) => a + b);
        // docs/SOFTMAX.md: 2e-6 in the worst case, relatively.
        exp.forEach((e, i) => assert.ok(Math.abs(y[row + i] - e / sum) <= (2e-6 * e) / sum));
      }
    }
    assert.deepEqual(got.blocks, got.onCpu);
    got.decoded.forEach((v, i) => assert.ok(Math.abs(v - got.x[i]) <= 3 / 127));
    assert.deepEqual(got.y, got.x);
    assert.deepEqual(got.wrong.map((e) => e.code), ['invalid', 'invalid', 'unknown-format']);
  });

  test('formats tell what numbers become', async () => {
    const got = await page.evaluate(async () => {
      const { formats } = Mantissa;
      const list = await formats.list();
      return {
        list,
        e2m1: [...(await formats.values('mxfp4', 6))],
        nf4: (await formats.values('nf4')).length,
        f16: (await formats.values('f16', 65504)).length,
        f32: (await formats.values('f32')).length,
        rounded: [...(await formats.roundTrip('q8_0', Float32Array.of(1, -0.5, 0.25)))],
      };
    });
    assert.ok(got.list.length > 100);
    const q4 = got.list.find((f) => f.name === 'q4_0');
    assert.deepEqual([q4.bitsPerWeight, q4.blockLength, q4.gguf], [4.5, 32, true]);
    // OCP MX v1.0: E2M1's values.
    const half = [0.5, 1, 1.5, 2, 3, 4, 6];
    assert.deepEqual(got.e2m1, [...half.map((v) => -v).reverse(), 0, ...half]);
    assert.equal(got.nf4, 16);
    assert.equal(got.f16, 2 * 31_744 - 1);
    assert.equal(got.f32, 0);
    got.rounded.forEach((v, i) => assert.ok(Math.abs(v - [1, -0.5, 0.25][i]) <= 0.5 / 127 + 1e-3));
  });

  test('every kernel on every format agrees with its reference', async () => {
    const rows = await page.evaluate(async () => {
      const rows = [];
      const run = Mantissa.conformance();
      const total = await run.total;
      for await (const row of run) rows.push(row);
      return { rows, total };
    });
    assert.equal(rows.rows.length, rows.total);
    assert.ok(rows.total > 150, `${rows.total}`);
    const failed = rows.rows.filter((row) => !row.passed);
    assert.deepEqual(failed, []);
  });

  test('the benchmark checks what it times', async () => {
    const rows = await page.evaluate(async () => {
      const rows = [];
      const options = { sizes: [576], rows: [1], formats: ['q4_0', 'mxfp4'], budget: 20 };
      for await (const row of Mantissa.bench(options)) rows.push(row);
      return rows;
    });
    assert.equal(rows.length, 6 + 2);
    for (const row of rows) {
      assert.ok(row.correct && row.milliseconds > 0, JSON.stringify(row));
    }
  });
}
