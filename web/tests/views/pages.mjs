/** Bench, Formats and Conformance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VIEWS } from './context.mjs';

/** A software GPU is slow, and compiles its kernels first. */
const SLOW = { timeout: 240_000 };

export function pages(context) {
  test('formats: a number is rounded, every format is tried, a wrong name is said', async () => {
    const page = await context.at(VIEWS.formats.at);
    await page.see(/17 numbers that a weight can become/, SLOW);
    // q4_0 with a largest of 1 counts in eighths: 0.3 becomes 0.25.
    await page.see(/Becomes\s+0\.25\s/);
    await page.focus('slider', 'Number to round');
    for (let i = 0; i < 20; i += 1) await page.press('ArrowRight');
    await page.see(/Number\s+0\.320\s+Becomes\s+0\.375\s/);

    await page.until(() => /\d+ formats\./.test(document.querySelector('.wide').innerText), undefined, SLOW);
    const figures = await page.evaluate(() => {
      const rows = [...document.querySelectorAll('.wide tbody tr')];
      return Object.fromEntries(rows.map((r) => [r.cells[0].innerText.trim(), r.cells[2].innerText]));
    });
    assert.ok(Object.keys(figures).length > 40, `${Object.keys(figures).length} formats`);
    assert.equal(figures.f32, 'exact');
    assert.ok(parseFloat(figures.q8_0) < parseFloat(figures.q4_0));
    await page.screenshot(context.picture('formats-tried'));

    await page.choose('combobox', 'Format', 'f16');
    await page.see(/numbers that a weight can become|the line is full/);
    await page.fill('textbox', 'Another by name', 'q9_9');
    await page.press('Enter');
    await page.until(() => document.querySelector('[role=alert]')?.innerText.includes('q9_9'));
    await page.fill('textbox', 'Another by name', 'bfp:m3:n32');
    await page.press('Enter');
    await page.until(() => document.querySelector('[role=alert]') === null);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('bench: rows and a chart come, and stop ends it', async () => {
    const page = await context.at(VIEWS.bench.at);
    await page.click('checkbox', 'Quantized matmul');
    await page.click('button', 'Run');
    await page.until(() => document.querySelectorAll('tbody tr').length >= 2, undefined, SLOW);
    const right = await page.evaluate(() =>
      [...document.querySelectorAll('tbody tr')].every((r) => r.lastElementChild.innerText === 'yes'),
    );
    assert.ok(right, 'a result is wrong');
    assert.ok(await page.evaluate(() => document.querySelector('canvas[role=img]').ariaLabel.includes('GB/s')));
    await page.screenshot(context.picture('bench-running'));
    if (await page.evaluate(() => document.querySelector('.controls .primary').disabled)) {
      await page.click('button', 'Stop');
    }
    await page.until(() => !document.querySelector('.controls .primary').disabled, undefined, SLOW);
    assert.deepEqual(page.errors, []);
    await page.close();
  });

  test('conformance: rows stream in, stop ends it, the report can be had', async () => {
    const page = await context.at(VIEWS.conformance.at);
    await page.click('button', 'Run');
    await page.until(() => document.querySelectorAll('tbody tr').length >= 10, undefined, SLOW);
    await page.click('button', 'Stop');
    await page.see(/\d+ passed, 0 failed, stopped/, SLOW);
    await page.evaluate(() => {
      const make = URL.createObjectURL;
      URL.createObjectURL = (blob) => {
        window.report = blob.text();
        return make.call(URL, blob);
      };
    });
    await page.click('button', 'Download as JSON');
    const report = await page.evaluate(async () => JSON.parse(await window.report));
    assert.equal(report.complete, false);
    assert.ok(report.rows.length >= 10);
    assert.ok(report.rows.every((row) => row.passed));
    await page.screenshot(context.picture('conformance-rows'));
    assert.deepEqual(page.errors, []);
    await page.close();
  });
}
